"""A table of transducers as Markdown, and the figure that its bars show."""

from collections.abc import Mapping, Sequence
from typing import Any

from charlm.formatting import UNKNOWN, format_bits, format_count, format_duration
from charlm.report.comparison import BarFigure, escape_cell, format_table
from charlm.report.label_comparison import format_interval, format_share

Row = Mapping[str, Any]
_HEADERS = (
    *("model", "parameters", "characters seen", "time", "exact match", "95 % interval", "by weight"),
    *("symbol error rate", "word error rate", "bits per character", "to the best", "95 % interval", "significant"),
)
BARS = BarFigure("exact_match", "low", "high", "exact match, %", 100, 2, is_higher_better=True)


def target_table(rows: Sequence[Row]) -> str:
    """Return the rows in order, and below the table what its differences are of."""
    table = format_table(_HEADERS, [_cells(row) for row in rows])
    if not any(row.get("difference") is not None for row in rows):
        return table
    return (
        f"{table}\n\nExact match, error rates and differences are in percent. To the best: exact match minus that of\n"
        "the best row, on the same sources; the intervals are over sources, without the variance between seeds."
    )


def _cells(row: Row) -> tuple[str, ...]:
    is_significant = row.get("significant")
    return (
        escape_cell(str(row["model"])),
        format_count(row.get("parameters")),
        format_count(row.get("characters_seen")),
        format_duration(row.get("seconds")),
        format_share(row.get("exact_match")),
        format_interval(row.get("low"), row.get("high")),
        format_share(row.get("weighted_exact_match")),
        format_share(row.get("symbol_error_rate")),
        format_share(row.get("word_error_rate")),
        format_bits(row.get("bits_per_character")),
        "best" if row.get("best") else format_share(row.get("difference")),
        format_interval(row.get("difference_low"), row.get("difference_high")),
        UNKNOWN if is_significant is None else ("yes" if is_significant else "no"),
    )
