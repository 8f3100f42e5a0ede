"""Exit codes are a promise to scripts; messages are one line with a cure."""

import signal

import pytest

from charlm import errors
from charlm.errors import CharlmError, StoppedError

# As charlm/docs/troubleshooting.md lists them.
EXIT_CODES = {
    "UsageError": 2,
    "OptionError": 2,
    "SettingsError": 2,
    "DataError": 3,
    "CheckpointError": 3,
    "NetworkError": 4,
    "StorageError": 5,
    "OutOfMemoryError": 5,
    "LostProcessError": 5,
    "BusyError": 6,
    "DivergedError": 7,
}


def all_errors(base: type[CharlmError] = CharlmError) -> list[type[CharlmError]]:
    return [kind for child in base.__subclasses__() for kind in (child, *all_errors(child))]


def test_every_error_has_the_exit_code_of_the_design() -> None:
    defined = {kind.__name__: kind.exit_code for kind in all_errors() if kind.__module__ == errors.__name__}
    defined.pop("StoppedError")
    assert defined == EXIT_CODES


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_has_the_shell_s_exit_code(number: signal.Signals, code: int) -> None:
    error = StoppedError(number, "stopped", "go on")
    assert (error.exit_code, error.signal_number) == (code, number)


@pytest.mark.parametrize("kind", [kind for kind in all_errors() if kind is not StoppedError])
def test_a_message_says_what_and_what_to_do(kind: type[CharlmError]) -> None:
    assert str(kind("the disk is full", "free some space")) == "the disk is full; free some space"
