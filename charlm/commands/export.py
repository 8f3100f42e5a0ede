"""`charlm export`: a model in the form that another program reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlm import storage, terminal
from charlm.commands import completion
from charlm.commands.options import (
    CheckpointOption,
    JsonOption,
    OverwriteOption,
    RunArgument,
    check_file,
    check_folder,
    read_text,
    run_or_bundled,
)
from charlm.errors import DataError

if TYPE_CHECKING:
    from charlm.export.figures import Figures


def export(
    run: RunArgument = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="KIND",
            help="html (a page that runs the model in a browser), onnx (one step of the network, for ONNX runtimes),"
            " hub (a directory for the Hugging Face hub), stanza, or flair (a character language model for their"
            " taggers).",
            autocompletion=completion.export_formats,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="The file or directory to write; called after the run if left out."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            metavar="ID",
            help="For hub: the licence that you give the weights, such as mit or cc-by-sa-4.0.",
        ),
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option(
            "--figures",
            metavar="FILE",
            help="What `charlm eval --json` printed of the run, for page or model card; - reads standard input.",
        ),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            "--max-bytes",
            metavar="N",
            help="For html: the most bytes of the page, 32,000,000 if left out. The rarest n-grams are left out until"
            " it fits.",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model in the form that another program reads. The whole output appears at once, or nothing."""
    from charlm.export.base import DirectoryFormat
    from charlm.export.formats import find_format

    chosen = find_format(format_)
    if isinstance(chosen, DirectoryFormat):
        check_folder(out, "--out")
    else:
        check_file(out, "--out")
    from charlm.export.exported_model import ExportOptions
    from charlm.workflows.export import ExportRequest, export_run

    options = ExportOptions(
        licence=licence, figures=None if figures is None else _read_figures(figures), max_bytes=max_bytes
    )
    request = ExportRequest(out=out, overwrite=overwrite, options=options)
    exported = export_run(run_or_bundled(run), checkpoint, chosen, request)
    for note in exported.notes:
        terminal.note(note)
    if as_json:
        terminal.print_json({"run": exported.run, "format": chosen.name, "path": str(exported.path)})
    else:
        print(exported.path)


def _read_figures(name: str) -> "Figures":
    from charlm.export.figures import parse_figures

    try:
        return parse_figures(storage.from_json(read_text(name)))
    except ValueError as error:
        shown = terminal.STANDARD_INPUT if name == "-" else name
        raise DataError(f"{shown} is not JSON: {error}", "give the output of `charlm eval --json`") from error
