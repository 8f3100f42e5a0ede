"""The exceptions that charlm raises for what a user can fix, and the exit code of each.

    CharlmError                 the base class, never raised itself
    |- UsageError           2   command line, or a path that does not exist
    |  `- OptionError       2   an option or keyword whose value does not fit
    |- SettingsError        2   a setting with a wrong name, type or value, or two that contradict each other
    |- DataError            3   bad or hostile data: dumps, corpora, text
    |  `- CheckpointError   3   a checkpoint that is damaged, foreign or too new
    |- NetworkError         4
    |- StorageError         5   disk full, read-only, permission, input/output error
    |- OutOfMemoryError     5
    |- BusyError            6   another process holds the directory
    |- DivergedError        7   three non-finite steps in a row
    |- LostProcessError     5   another process of a distributed job has ended
    `- StoppedError   130/143   SIGINT or SIGTERM, after everything was saved

Every message is `WHAT; WHAT TO DO` on one line. Only `cli` prints errors and turns them into exit codes.
A bug in charlm is any other exception, and exits with 1.
"""

import re
import signal
from collections.abc import Callable

EXIT_BUG = 1
EXIT_CLOSED_PIPE = 141


class CharlmError(Exception):
    """An error that says what was found (`what`) and what the user can do about it (`cure`)."""

    exit_code = EXIT_BUG

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what, cure)
        self.what = what
        self.cure = cure

    def for_command_line(self) -> tuple[str, str]:
        """What and cure, in the words of the command line."""
        return self.what, self.cure

    def __str__(self) -> str:
        return f"{self.what}; {self.cure}"


class UsageError(CharlmError):
    """The command line names something that does not exist or does not fit."""

    exit_code = 2


class OptionError(UsageError):
    """An option of the command line, or the keyword of the same name in Python, has a value that does not fit.

    Both templates write the option as `{top_p}`. Python reads `top_p`, the command line shows `--top-p`.
    """

    def __init__(self, what: str, cure: str, /, **values: object) -> None:
        """
        Args:
            values: replace `{name}` by a value; text of a user belongs here, as it may hold braces.
        """
        super().__init__(what, cure)
        self._values = values
        self.what, self.cure = self.spelled(str)

    @property
    def options(self) -> list[str]:
        """The options that the error is about, in the order in which it names them."""
        names = re.findall(r"\{(\w+)\}", " ".join(self.args))
        return [name for name in names if name not in self._values]

    def for_command_line(self) -> tuple[str, str]:
        return self.spelled(lambda option: f"--{option.replace('_', '-')}")

    def spelled(self, spell: Callable[[str], str]) -> tuple[str, str]:
        """What and cure, with the options as `spell` writes their names."""
        what, cure = (
            re.sub(r"\{(\w+)\}", lambda found: str(self._values.get(found[1], spell(found[1]))), template)
            for template in self.args
        )
        return what, cure


class SettingsError(CharlmError):
    """A setting has a wrong name, type or value."""

    exit_code = 2


class DataError(CharlmError):
    """Data are damaged, hostile, or of another kind than expected."""

    exit_code = 3


class CheckpointError(DataError):
    """A checkpoint is damaged, foreign, or written by a newer charlm."""


class NetworkError(CharlmError):
    """A server could not be reached, or sent something else than it announced."""

    exit_code = 4


class StorageError(CharlmError):
    """The disk is full, read-only, or failing."""

    exit_code = 5


class OutOfMemoryError(CharlmError):
    """The memory of the machine or of the device is too small."""

    exit_code = 5


class BusyError(CharlmError):
    """Another process works in the same directory."""

    exit_code = 6


class DivergedError(CharlmError):
    """Training produced non-finite losses or gradients three times in a row."""

    exit_code = 7


class LostProcessError(CharlmError):
    """Another process of a distributed job has ended, or cannot be reached."""

    exit_code = 5


class SilentError(Exception):
    """Another process of this job failed with this exit code and prints why; this error is not printed."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
        self.what = "the first process of this job failed"


class StoppedError(CharlmError):
    """A signal asked the process to stop, and everything was saved."""

    def __init__(self, signal_number: int, what: str, cure: str) -> None:
        super().__init__(what, cure)
        self.signal_number = signal.Signals(signal_number)
        self.exit_code = 128 + self.signal_number
