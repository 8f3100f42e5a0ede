"""A table of models of labels or tags as Markdown, and the figure that its bars show."""

from collections.abc import Mapping, Sequence
from typing import Any

from charlm.formatting import UNKNOWN, format_bits, format_count, format_duration
from charlm.report.comparison import BarFigure, escape_cell, format_table

Row = Mapping[str, Any]
_SUBJECTS = {"accuracy": "accuracy", "segments_f1": "the F1 of segments"}
_BARS = {
    "accuracy": BarFigure("accuracy", "low", "high", "accuracy, %", 100, 2, is_higher_better=True),
    "segments_f1": BarFigure(
        "segments_f1", "segments_f1_low", "segments_f1_high", "F1 of segments, %", 100, 2, is_higher_better=True
    ),
}


def label_bars(figure: str) -> BarFigure:
    """Return what the bars show of rows that are compared by this figure."""
    return _BARS[figure]


def label_table(rows: Sequence[Row], figure: str, *, per_document: bool) -> str:
    """Return the rows in order, and below the table what its differences are of.

    Args:
        figure: the one that differences are of.
        per_document: whether each document has one label.
    """
    unit = "label" if per_document else "tag"
    headers = ["model", "parameters", "examples seen" if per_document else "characters seen", "time"]
    headers += ["accuracy", "95 % interval", "macro-F1", "segments F1", "restored words", f"bits per {unit}"]
    headers += ["to the best", "95 % interval", "significant"]
    table = format_table(headers, [_cells(row, figure, per_document=per_document) for row in rows])
    if not any(row.get("difference") is not None for row in rows):
        return table
    return (
        f"{table}\n\nAccuracy, F1 and differences are in percent. To the best: {_SUBJECTS[figure]} minus that of the\n"
        "best row, on the same documents; the intervals are over documents, without the variance between seeds."
    )


def _cells(row: Row, figure: str, *, per_document: bool) -> tuple[str, ...]:
    has_segments = figure == "segments_f1"
    is_significant = row.get("significant")
    return (
        escape_cell(str(row["model"])),
        format_count(row.get("parameters")),
        format_count(row.get("examples_seen" if per_document else "characters_seen")),
        format_duration(row.get("seconds")),
        format_share(row.get("accuracy")),
        format_interval(row.get("low"), row.get("high")),
        UNKNOWN if has_segments else format_share(row.get("macro_f1")),
        format_share(row.get("segments_f1")) if has_segments else UNKNOWN,
        format_share(row.get("words_accuracy")),
        format_bits(row.get("bits_per_label")),
        "best" if row.get("best") else format_share(row.get("difference")),
        format_interval(row.get("difference_low"), row.get("difference_high")),
        UNKNOWN if is_significant is None else ("yes" if is_significant else "no"),
    )


def format_share(value: float | None) -> str:
    """Return a share in percent, without the sign."""
    return UNKNOWN if value is None else f"{100 * value:.2f}"


def format_interval(low: float | None, high: float | None) -> str:
    """Return the interval of a share in percent, without the sign."""
    return UNKNOWN if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f}"
