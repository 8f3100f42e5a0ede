"""Options that several commands share, and checks of their values before the work begins."""

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlm import storage, terminal
from charlm.commands import completion
from charlm.errors import DataError, UsageError

if TYPE_CHECKING:
    from charlm.settings import Layer

_start_time = {"started": time.monotonic()}


def start_time() -> float:
    """The time on the monotonic clock at which the process started; max_minutes counts from here."""
    return _start_time["started"]


def restart_clock() -> None:
    """Restart the clock in a process that was forked from one that imported this module long ago."""
    _start_time["started"] = time.monotonic()


ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE_OR_NAME",
        help="Settings of an experiment, a TOML file.",
        autocompletion=completion.config_names,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one setting, such as training.max_minutes=3."),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="A prepared corpus, by name or directory; the last one if left out.",
        autocompletion=completion.corpora,
    ),
]
RunsDataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="A prepared corpus, by name or directory; the run's own if left out.",
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
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="A run, by name or directory, or a checkpoint, or hub:USER/NAME for a model of the Hugging Face hub; the"
        " last run if left out.",
        autocompletion=completion.runs,
    ),
]
CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="WHICH",
        help="The checkpoint of the run: best, last, or a step; best if left out. It does not go with a RUN that is a"
        " checkpoint itself.",
        autocompletion=completion.checkpoints,
    ),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME",
        help="The label that a run of --task generate is given; of several columns, one of each (repeatable).",
    ),
]
BeamsOption = Annotated[
    int,
    typer.Option(
        "--beams",
        metavar="N",
        min=1,
        max=1024,
        help="Of a run of --task transduce: the number of beginnings of texts that the search keeps.",
    ),
]
LengthPenaltyOption = Annotated[
    float,
    typer.Option(
        "--length-penalty",
        metavar="A",
        min=0,
        max=10,
        help="Of a run of --task transduce: compare texts by log p over the number of tokens to the power A.",
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")]


def given_parameters(context: typer.Context) -> set[str]:
    """The names of the parameters that the command line gives, even with the value that they have by default."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def flags(given: dict[str, tuple[str, Any]]) -> "list[Layer]":
    from charlm.settings import single_value_layer

    return [single_value_layer(key, value, flag) for flag, (key, value) in given.items() if value is not None]


def run_or_bundled(run: str | None) -> str | None:
    """The given run, or the bundled model, with a note, where none is given and there is no run yet."""
    from charlm.workspace import run_or_bundled

    chosen = run_or_bundled(run)
    if chosen != run:
        terminal.note(
            "there is no run here yet, so this is the bundled model, a small one trained on Python's documentation in"
            " English; make your own with `charlm prepare` and `charlm train`"
        )
    return chosen


def read_text(name: str) -> str:
    """The content of a UTF-8 file, or of standard input where the name is `-`; one leading BOM is dropped."""
    shown = terminal.STANDARD_INPUT if name == "-" else name
    try:
        content = terminal.read_stdin() if name == "-" else Path(name).read_bytes()
        return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown} is not UTF-8: byte {error.start:,}", "convert it to UTF-8") from error
    except IsADirectoryError as error:
        raise UsageError(
            f"{name} is a folder, not a text file", "give a file in it, or - for standard input"
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        from charlm.text.reading.inputs import suggest_file

        cure = suggest_file(Path(name)) or "give a file, or - for standard input"
        raise UsageError(f"there is no text file {name}", cure) from error
    except OSError as error:
        raise storage.path_error(error) from error


def parse_folder(given: str) -> Path:
    """Return the path of an output folder; an empty name, as of an unset variable of the shell, is refused.

    Raises:
        UsageError: the name is empty.
    """
    if not given:
        raise UsageError("--out is empty", "give a value, or leave it out")
    return Path(given)


def check_folder(path: Path | None, option: str) -> None:
    """Check before the work begins that `path` can be a folder.

    Raises:
        UsageError: it is a file, or its name has a control character.
    """
    from charlm.workspace import check_output_name

    if path is None:
        return
    check_output_name(path, option)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{option} {path} is a file, and must be a folder", f"choose another {option}")


def check_file(path: Path | None, option: str) -> None:
    """Check before the work begins that a file can be written, or a pipe or device written through.

    Raises:
        UsageError: its folder does not exist, or it is a folder itself.
        StorageError: its folder, or the pipe or device, cannot be written to.
    """
    if path is None:
        return
    try:
        if storage.is_special(path):
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return
        target = storage.follow_links(path)
    except OSError as error:
        raise storage.path_error(error) from error
    if target.is_dir():
        raise UsageError(f"{option} {path} is a folder, and must be a file", f"name a file in it: {option} {path}/NAME")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", f"make it first, or choose another {option}")
    storage.check_writable(target.parent)
