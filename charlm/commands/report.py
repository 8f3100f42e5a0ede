"""`charlm report`: draw the learning curves of runs."""

from pathlib import Path
from typing import Annotated

import typer

from charlm import terminal
from charlm.commands import completion
from charlm.commands.options import JsonOption, check_folder, parse_folder
from charlm.errors import UsageError


def report(
    chosen: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN...]",
            help="Runs, by name or directory; the last run if left out.",
            autocompletion=completion.runs,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            parser=parse_folder,
            help="The folder of report.html and report.png; ./report if left out.",
        ),
    ] = None,
    png: Annotated[bool, typer.Option("--png/--no-png", help="Also draw a PNG (needs matplotlib).")] = True,
    as_json: JsonOption = False,
) -> None:
    """Draw validation bits per character over characters seen and over time, as an HTML page and a PNG.

    Of runs that predict labels or tags: bits per label, accuracy, and F1 where it chooses the best checkpoint.
    """
    from charlm import workspace
    from charlm.report.write_report import write_report

    if out is not None and out.suffix in (".html", ".png"):
        raise UsageError(
            f"--out {out} names a file, and must be a folder",
            f"write --out {out.with_suffix('')}",
        )
    check_folder(out, "--out")
    names = workspace.drop_current_file(chosen or [])
    found = [workspace.find_run(name) for name in names] or [workspace.find_run(None)]
    files = write_report(found, out or Path("report"), png=png)
    if as_json:
        terminal.print_json({"page": str(files.page), "figure": str(files.figure) if files.figure else None})
    else:
        print(" ".join(str(path) for path in (files.page, files.figure) if path))
