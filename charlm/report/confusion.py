"""The confusion matrix of labels or tags, as CSV or as a picture: rows are true, columns are predicted.

confusion_KL ──order by frequency──> rows of counts ──> CSV
                    └── the most frequent labels, the rest as one ──> PNG, shaded by the fraction of each row
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm import storage
from charlm.errors import UsageError
from charlm.formatting import format_count
from charlm.report.figure import DPI, check_matplotlib, escape_label, save_png

Counts = npt.NDArray[np.int64]
SUFFIXES = (".png", ".csv")
UNSEEN = "(unseen in training)"
_MAX_DRAWN = 60  # labels of a picture; the rest are one row and one column
_MAX_COUNTED = 25  # labels whose counts are written into the cells
_CELL = 0.28  # inches; of cells with counts, one and a half times that
_MAX_NAME = 2.2  # inches


@dataclass(frozen=True)
class ConfusionTable:
    """How often each row's label is predicted as each column's, the most frequent labels first."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts_RC: Counts


def confusion_table(confusion_KL: Counts, names: Sequence[str]) -> ConfusionTable:
    """Return the labels in the order of their frequency; labels that training has never seen are the last row."""
    counts_RC = confusion_KL[:-1]
    order: list[int] = np.lexsort((-counts_RC.sum(0), -counts_RC.sum(1))).tolist()
    columns = tuple(names[index] for index in order)
    ordered_RC = counts_RC[order][:, order]
    if not confusion_KL[-1].any():
        return ConfusionTable(columns, columns, ordered_RC)
    return ConfusionTable((*columns, UNSEEN), columns, np.vstack([ordered_RC, confusion_KL[-1][order]]))


def check_confusion_file(path: Path) -> None:
    """Check before the work begins that the name ends in .png or .csv, and that a picture can be drawn.

    Raises:
        UsageError: it does not, or matplotlib is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"--confusion {path} is neither .png nor .csv",
            "give a name that ends in .png for a picture, .csv for counts",
        )
    if path.suffix == ".png":
        check_matplotlib()


def write_confusion(path: Path, table: ConfusionTable) -> None:
    """Write a picture or the counts, as the suffix says."""
    if path.suffix == ".png":
        _draw(path, _with_others(table))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", *table.columns])
    for name, counts_C in zip(table.rows, table.counts_RC.tolist(), strict=True):
        writer.writerow([name, *counts_C])
    storage.write_text(path, text.getvalue())


def _with_others(table: ConfusionTable) -> ConfusionTable:
    """Return the table with all but the most frequent labels in one row and one column."""
    num_labels = len(table.columns)
    if num_labels <= _MAX_DRAWN:
        return table
    kept = _MAX_DRAWN - 1
    others = f"{num_labels - kept:,} others"
    ends = [*range(kept), kept]
    by_column_RC = np.add.reduceat(table.counts_RC, ends, axis=1)
    counts_RC = np.add.reduceat(by_column_RC[:num_labels], ends, axis=0)
    unseen = table.rows[num_labels:]
    return ConfusionTable(
        (*table.rows[:kept], others, *unseen),
        (*table.columns[:kept], others),
        np.vstack([counts_RC, by_column_RC[num_labels:]]),
    )


def _draw(path: Path, table: ConfusionTable) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num_rows, num_columns = table.counts_RC.shape
    has_counts = num_columns <= _MAX_COUNTED
    cell = _CELL * (1.5 if has_counts else 1.0)
    size = (max(4.2, cell * num_columns + _MAX_NAME + 0.6), max(3.2, cell * num_rows + _MAX_NAME + 0.5))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    totals_R1 = table.counts_RC.sum(1, keepdims=True)
    fractions_RC = table.counts_RC / np.maximum(totals_R1, 1)
    axes.imshow(fractions_RC, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_xticks(range(num_columns), [escape_label(name) for name in table.columns], rotation=90, fontsize=8)
    counted = [f"  {format_count(total)}" for total in totals_R1[:, 0].tolist()]
    labels = [escape_label(name, suffix) for name, suffix in zip(table.rows, counted, strict=True)]
    axes.set_yticks(range(num_rows), labels, fontsize=8)
    axes.set_xlabel("predicted\n(shade: fraction of the row)", fontsize=9)
    axes.set_ylabel("true, and how often", fontsize=9)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(-0.5, num_columns), minor=True)
    axes.set_yticks(np.arange(-0.5, num_rows), minor=True)
    axes.grid(which="minor", color="#D8DDE4", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    if has_counts:
        for row, column in np.argwhere(table.counts_RC).tolist():
            colour = "white" if fractions_RC[row, column] > 0.5 else "#1A2230"
            text = format_count(int(table.counts_RC[row, column]))
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    save_png(canvas, path)
