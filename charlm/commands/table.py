"""The table of `charlm baseline` and `charlm compare`: its options, their checks, and its output."""

from pathlib import Path
from typing import Annotated

import typer

from charlm import terminal
from charlm.commands.options import check_file

BaselinesOption = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="Settings of the baselines, a TOML file: baselines = [...]."),
]
SetBaselinesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one setting, such as 'baselines=[{type=\"xz\"}]'."),
]
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write the table to a file.")]
PngOption = Annotated[
    Path | None, typer.Option("--png", metavar="FILE", help="Also draw the table as bars (needs matplotlib).")
]


def check_outputs(csv: Path | None, png: Path | None) -> None:
    """Check before the work begins that the files can be written."""
    from charlm.report.figure import check_matplotlib

    check_file(csv, "--csv")
    check_file(png, "--png")
    if png is not None:
        check_matplotlib()


def note_training_text(split: str, *, has_runs: bool, has_baselines: bool) -> None:
    """Say which rows of the table are of text that is not new."""
    if split == "train" and has_runs:
        terminal.note("runs that were trained on this split know it, so their scores say little about new text")
    if split == "train" and has_baselines:
        terminal.note("baselines that learn have seen this split, so their scores on it mean nothing")


def show_table(
    rows: "list[dict[str, object]]", about: dict[str, str], csv: Path | None, png: Path | None, *, as_json: bool
) -> None:
    from charlm.report.comparison import to_markdown, write_bars, write_csv
    from charlm.workflows.compare import COLUMNS

    if csv is not None:
        write_csv(csv, rows, COLUMNS)
    if png is not None:
        write_bars(png, rows)
    if as_json:
        terminal.print_json({**about, "rows": rows})
    else:
        print(terminal.printable(to_markdown(rows)))
        for row in rows:
            if row.get("warning"):
                terminal.note(str(row["warning"]))
            if row["bits_per_character"] is None and row.get("description"):
                terminal.note(f"{row['model']}: {row['description']}")
