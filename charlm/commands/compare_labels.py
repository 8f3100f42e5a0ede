"""What `charlm compare` does with runs that predict labels or tags."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlm import terminal

if TYPE_CHECKING:
    from charlm.workflows.evaluate_labels import LabelEvalRequest


def compare_label_runs(
    runs: Sequence[str],
    checkpoint: str | None,
    request: "LabelEvalRequest",
    csv: Path | None,
    png: Path | None,
    *,
    has_baselines: bool,
    as_json: bool,
) -> None:
    """Score runs, and baselines if asked for, and show the table."""
    from charlm.report.comparison import write_bars, write_csv
    from charlm.report.label_comparison import label_bars, label_table
    from charlm.workflows.compare_labels import COLUMNS, compare_label_models
    from charlm.workflows.progress import evaluation_bar, stage_bar

    with evaluation_bar(quiet=as_json) as on_progress, stage_bar(quiet=as_json) as on_stage:
        found = compare_label_models(runs, checkpoint, request, on_progress, on_stage if has_baselines else None)
    if csv is not None:
        write_csv(csv, found.rows, COLUMNS)
    if png is not None:
        write_bars(png, found.rows, label_bars(found.figure))
    if as_json:
        terminal.print_json({"split": request.split, "figure": found.figure, "rows": found.rows})
        return
    print(terminal.printable(label_table(found.rows, found.figure, per_document=found.per_document)))
    for row in found.rows:
        if row.get("accuracy") is None and row.get("description"):
            terminal.note(f"{row['model']}: {row['description']}")
