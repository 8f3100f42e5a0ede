"""Options that several commands share, and what becomes of them."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.errors import DataError, UsageError

if TYPE_CHECKING:
    from charlm.settings import Layer

_start_time = {"started": time.monotonic()}


def start_time() -> float:
    """When the process began, nearly, on the monotonic clock: budgets in minutes count from here."""
    return _start_time["started"]


def restart_clock() -> None:
    """For a process that was forked from one that had imported this long before."""
    _start_time["started"] = time.monotonic()


ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="FILE_OR_NAME", help="An experiment, TOML.", autocompletion=completion.config_names
    ),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as training.max_minutes=3.")
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="A prepared corpus; the last one if left out.",
        autocompletion=completion.corpora,
    ),
]
RunsDataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="A prepared corpus; the run's own if left out.",
        autocompletion=completion.corpora,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda or mps.",
        autocompletion=completion.words(*completion.DEVICES),
    ),
]
SplitOption = Annotated[
    str,
    typer.Option(
        "--split",
        metavar="NAME",
        help="train, valid or test.",
        autocompletion=completion.words(*completion.SPLITS),
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="A run, by name or directory, or a checkpoint; the last if left out.",
        autocompletion=completion.runs,
    ),
]
CheckpointOption = Annotated[
    str,
    typer.Option("--checkpoint", metavar="WHICH", help="best, last, or a step.", autocompletion=completion.checkpoints),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


def flags(given: dict[str, tuple[str, Any]]) -> "list[Layer]":
    from charlm.settings import single_value_layer

    return [single_value_layer(key, value, flag) for flag, (key, value) in given.items() if value is not None]


def run_or_bundled(run: str | None) -> str | None:
    """The run that is meant; while there is none yet, the model that comes with charlm, which is said."""
    from charlm.workspace import run_or_bundled

    chosen = run_or_bundled(run)
    if chosen != run:
        terminal.note(
            "no run here yet: this is the bundled model, a small one of Python's documentation, in English; make your"
            " own with `charlm prepare` and `charlm train`"
        )
    return chosen


def read_text(name: str) -> str:
    """The content of a UTF-8 file, or of standard input where the name is `-`; one leading BOM is dropped."""
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8: byte {error.start:,}", "convert it to UTF-8") from error
    except IsADirectoryError as error:
        raise UsageError(
            f"{name} is a folder, and no text file", "give a file in it, or - for standard input"
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        from charlm.text.reading.inputs import suggest_file

        cure = suggest_file(Path(name)) or "give a file, or - for standard input"
        raise UsageError(f"there is no text file {name}", cure) from error


def check_folder(path: Path | None, option: str) -> None:
    """Before the work: a folder may be there, or nothing yet.

    Raises:
        UsageError: it is a file.
    """
    if path is not None and path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, and {option} a folder", f"choose another {option}")


def check_file(path: Path | None, option: str) -> None:
    """Before the work: whether a file can be written there.

    Raises:
        UsageError: its folder is not there, or it is a folder itself.
        StorageError: nothing can be written to its folder.
    """
    from charlm.storage import check_writable

    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder, and {option} a file", f"name a file in it: {option} {path}/NAME")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", f"make it first, or choose another {option}")
    check_writable(path.parent)
