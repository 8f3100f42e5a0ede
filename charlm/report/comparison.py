"""A table of models as Markdown, as CSV, and as a PNG with a bar and an interval for each model."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.formatting import UNKNOWN, format_bits, format_count, format_duration
from charlm.report.figure import DPI, check_matplotlib, escape_label, save_png

Row = Mapping[str, Any]
_HEADERS = ("model", "parameters", "characters seen", "time", "bits per character", "95 % interval", "ratio")


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the rows in order. Unknown values are dashes; a column without values is left out."""
    columns = [
        column for column in zip(*[_HEADERS, *(_cells(row) for row in rows)], strict=True) if _has_values(column)
    ]
    cells = list(zip(*columns, strict=True))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _has_values(column: Sequence[str]) -> bool:
    return len(column) == 1 or any(cell != UNKNOWN for cell in column[1:])


def _cells(row: Row) -> tuple[str, ...]:
    bits, low, high, ratio = (row.get(name) for name in ("bits_per_character", "low", "high", "ratio"))
    return (
        str(row["model"]).replace("|", "\\|"),
        format_count(row.get("parameters")),
        format_count(row.get("characters_seen")),
        format_duration(row.get("seconds")),
        format_bits(bits),
        UNKNOWN if low is None or high is None else f"{low:.4f} – {high:.4f}",
        UNKNOWN if ratio is None else f"{ratio:.3f}",
    )


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write the numbers unrounded; unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column) for column in columns] for row in rows)
    storage.write_text(path, text.getvalue())


def write_bars(path: Path, rows: Sequence[Row]) -> None:
    """Write a PNG with the bits per character of each row, the best on top.

    Raises:
        UsageError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = sorted((row for row in rows if row.get("bits_per_character") is not None), key=_bits, reverse=True)
    figure = Figure(figsize=(8, 1.2 + 0.34 * len(shown)), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    bits = [_bits(row) for row in shown]
    below = [0.0 if row.get("low") is None else _bits(row) - row["low"] for row in shown]
    above = [0.0 if row.get("high") is None else row["high"] - _bits(row) for row in shown]
    colours = ["#0072b2" if row.get("parameters") is not None else "#999999" for row in shown]
    positions = range(len(shown))  # not names, since two runs may have the same name
    axes.barh(positions, bits, xerr=[below, above], color=colours, capsize=3)
    axes.set_yticks(positions, [escape_label(str(row["model"])) for row in shown])
    for index, value in enumerate(bits):
        axes.text(value + above[index], index, f"  {value:.3f}", va="center", fontsize=9)
    axes.set_xlim(0, 1.12 * max(bits, default=1.0))
    axes.set_xlabel("bits per character (95 % interval; grey: baselines)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    save_png(canvas, path)


def _bits(row: Row) -> float:
    return float(row["bits_per_character"])
