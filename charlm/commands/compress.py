"""`charlm compress` and `charlm decompress`: lossless compression of any file by a model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import CheckpointOption, JsonOption, OverwriteOption, check_file, run_or_bundled
from charlm.errors import UsageError

_STANDARD = "-"

RunOrFileArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="A run, by name or directory, or a checkpoint. Left out: the last run; for an archive, the run that it"
        " names.",
        autocompletion=completion.runs,
    ),
]
FileArgument = Annotated[str | None, typer.Argument(metavar="FILE", help="The file; - reads standard input.")]
OutOption = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="The file to write; - writes to standard output. If left out: FILE with .charlm at its end, or without.",
    ),
]


def compress(
    run: RunOrFileArgument = None,
    file: FileArgument = None,
    out: OutOption = None,
    lanes: Annotated[
        int | None,
        typer.Option(
            "--lanes",
            metavar="N",
            min=1,
            max=256,
            help="Parts of each block that the model reads side by side: more are faster, and cost some bytes. If left"
            " out, 1 to 64 by the size of the file.",
        ),
    ] = None,
    embed: Annotated[
        bool, typer.Option("--embed", help="Put the model into the archive, which then needs no run.")
    ] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not decode each block before it is written: twice as fast.")
    ] = False,
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Only write the run's integer model into its checkpoint, and compress nothing."),
    ] = False,
    checkpoint: CheckpointOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compress a file without loss, with a model of whole numbers that gives the same bits on every machine.

    The first time, the run's integer model is made and kept in its checkpoint. The archive can only be decompressed
    with it, so keep the run, or use --embed.
    """
    from charlm.workflows.compress import ArchiveRequest, CompressOptions, compress_file, prepare_run
    from charlm.workflows.progress import byte_bar

    if prepare:
        given = {"FILE": file, "--out": out, "--lanes": lanes, "--embed": embed, "--no-verify": no_verify}
        for name, value in given.items():
            if value:
                raise UsageError(f"{name} has no effect with --prepare, which compresses nothing", "leave it out")
        _show(prepare_run(run_or_bundled(run), checkpoint), as_json=as_json)
        return
    run, file = _find_run_and_file(run, file, "compress")
    _check_outputs(file, out, as_json=as_json)
    with byte_bar("compressing", file, quiet=as_json) as on_progress:
        found = compress_file(
            run_or_bundled(run),
            checkpoint,
            ArchiveRequest(file, out, overwrite),
            CompressOptions(num_lanes=lanes, embed=embed, verify=not no_verify),
            on_progress,
        )
    if found["archive"] != _STANDARD:
        _show(found, as_json=as_json)


def decompress(
    run: RunOrFileArgument = None,
    file: FileArgument = None,
    out: OutOption = None,
    checkpoint: CheckpointOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decompress an archive of `charlm compress`. Each block is checked before it is written."""
    from charlm.workflows.compress import ArchiveRequest, decompress_file
    from charlm.workflows.progress import byte_bar

    run, file = _find_run_and_file(run, file, "decompress")
    _check_outputs(file, out, as_json=as_json)
    with byte_bar("decompressing", None, quiet=as_json) as on_progress:
        found = decompress_file(run, checkpoint, ArchiveRequest(file, out, overwrite), on_progress)
    if found["file"] != _STANDARD:
        _show(found, as_json=as_json)


def _find_run_and_file(run: str | None, file: str | None, command: str) -> tuple[str | None, str]:
    """Take a single argument for the file.

    Raises:
        UsageError: there is none, or it names a run.
    """
    from charlm.workspace import RUNS, directory_names, path_exists

    if run is None:
        raise UsageError("no FILE is given", f"give one: `charlm {command} [RUN] FILE`; - reads standard input")
    if file is not None:
        return run, file
    if run in directory_names(RUNS) and not path_exists(Path(run)):
        raise UsageError(f"no FILE is given, and {run} is a run", f"give one: `charlm {command} {run} FILE`")
    return None, run


def _check_outputs(file: str, out: str | None, *, as_json: bool) -> None:
    """
    Raises:
        UsageError: two outputs go to standard output, or the file cannot be written.
        StorageError: its folder cannot be written to.
    """
    if out is not None and out != _STANDARD:
        check_file(Path(out), "--out")
    if as_json and _STANDARD in (out, *([file] if out is None else [])):
        raise UsageError("--json prints on standard output, where the content goes too", "give --out FILE")


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found)
    else:
        terminal.print_table(found)
