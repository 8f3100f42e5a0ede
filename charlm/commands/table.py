"""The table of `charlm baseline` and `charlm compare`: its options, what is checked before the work, its output."""

from pathlib import Path
from typing import Annotated

import typer

from charlm import terminal
from charlm.commands.options import check_file

BaselinesOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Which baselines, TOML: baselines = [...].")
]
SetBaselinesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="The same here, such as 'baselines=[{type=\"xz\"}]'."),
]
CsvOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table there too.")]
PngOption = Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw it as bars (needs matplotlib).")]


def check_outputs(csv: Path | None, png: Path | None) -> None:
    """Before the work."""
    from charlm.report.figure import check_matplotlib

    check_file(csv, "--csv")
    check_file(png, "--png")
    if png is not None:
        check_matplotlib()


def note_training_text(split: str) -> None:
    if split == "train":
        terminal.note("n-grams and compressors have learned from this very text: their figures say nothing here")


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
            if row["bits_per_character"] is None and row.get("description"):
                terminal.note(f"{row['model']}: {row['description']}")
