"""A table of models as Markdown, as CSV, and as a PNG with a bar and an interval for each model."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.formatting import UNKNOWN, format_bits, format_count, format_duration
from charlm.report.figure import DPI, check_matplotlib, escape_label, save_png

Row = Mapping[str, Any]
_HEADERS = (
    "model", "parameters", "characters seen", "time", "bits per character", "95 % interval", "ratio",
    "to the best run", "95 % interval", "significant",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BarFigure:
    """The figure that bars show: the keys of its value and of its interval in a row."""

    value: str
    low: str
    high: str
    title: str
    factor: float = 1.0
    """What the figure is multiplied by; 100 for percent."""
    decimals: int = 3
    is_higher_better: bool = False


_BITS = BarFigure("bits_per_character", "low", "high", "bits per character")


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the rows in order. Unknown values are dashes; a column without values is left out.

    Below a table with differences stands what they are.
    """
    has_differences = any(row.get("difference") is not None for row in rows)
    table = format_table(_HEADERS, [_cells(row, has_differences=has_differences) for row in rows])
    if not has_differences:
        return table
    return (
        f"{table}\n\nTo the best run: bits per character minus those of the best run, on the same text; the intervals\n"
        "are over its documents or blocks, without the variance between seeds."
    )


def format_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, without the columns that have no values."""
    columns = [column for column in zip(headers, *rows, strict=True) if _has_values(column)]
    cells = list(zip(*columns, strict=True))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _has_values(column: Sequence[str]) -> bool:
    return len(column) == 1 or any(cell != UNKNOWN for cell in column[1:])


def escape_cell(name: str) -> str:
    """Return a name as the cell of a table in Markdown."""
    return name.replace("|", "\\|")


def _cells(row: Row, *, has_differences: bool) -> tuple[str, ...]:
    bits, ratio, difference = (row.get(name) for name in ("bits_per_character", "ratio", "difference"))
    is_significant = row.get("significant")
    return (
        escape_cell(str(row["model"])),
        format_count(row.get("parameters")),
        format_count(row.get("characters_seen")),
        format_duration(row.get("seconds")),
        format_bits(bits),
        _format_interval(row.get("low"), row.get("high")),
        UNKNOWN if ratio is None else f"{ratio:.3f}",
        "best" if has_differences and row.get("best") else UNKNOWN if difference is None else f"{difference:+.4f}",
        _format_interval(row.get("difference_low"), row.get("difference_high"), sign="+"),
        UNKNOWN if is_significant is None else ("yes" if is_significant else "no"),
    )


def _format_interval(low: float | None, high: float | None, sign: str = "") -> str:
    return UNKNOWN if low is None or high is None else f"{low:{sign}.4f} – {high:{sign}.4f}"


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write the numbers unrounded; unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column) for column in columns] for row in rows)
    storage.write_text(path, text.getvalue())


def write_bars(path: Path, rows: Sequence[Row], shown: BarFigure = _BITS) -> None:
    """Write a PNG with a figure of each row, the best on top.

    Raises:
        UsageError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = [row for row in rows if row.get(shown.value) is not None]
    known.sort(key=lambda row: float(row[shown.value]), reverse=not shown.is_higher_better)
    figure = Figure(figsize=(8, 1.2 + 0.34 * len(known)), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    values = [shown.factor * row[shown.value] for row in known]
    lows, highs = (
        [value if row.get(key) is None else shown.factor * row[key] for row, value in zip(known, values, strict=True)]
        for key in (shown.low, shown.high)
    )
    below = [max(0.0, value - low) for value, low in zip(values, lows, strict=True)]
    above = [max(0.0, high - value) for value, high in zip(values, highs, strict=True)]
    colours = ["#0072b2" if row.get("parameters") is not None else "#999999" for row in known]
    positions = range(len(known))  # not names, since two runs may have the same name
    axes.barh(positions, values, xerr=[below, above], color=colours, capsize=3)
    axes.set_yticks(positions, [escape_label(str(row["model"])) for row in known])
    for index, value in enumerate(values):
        axes.text(value + above[index], index, f"  {value:.{shown.decimals}f}", va="center", fontsize=9)
    axes.set_xlim(0, 1.12 * max(values, default=1.0))
    axes.set_xlabel(f"{shown.title} (95 % interval; grey: baselines)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    save_png(canvas, path)
