"""What `charlm compare` and `charlm baseline` do with models that write a text for a text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm import terminal
from charlm.commands.evaluation_output import percent

if TYPE_CHECKING:
    from charlm.data.corpus import Corpus
    from charlm.workflows.evaluate_targets import TargetEvalRequest


def compare_target_runs(
    runs: Sequence[str],
    checkpoint: str | None,
    request: "TargetEvalRequest",
    csv: Path | None,
    png: Path | None,
    *,
    has_baselines: bool,
    as_json: bool,
) -> None:
    """Score runs, and baselines if asked for, and show the table."""
    from charlm.report.comparison import write_bars, write_csv
    from charlm.report.target_comparison import BARS, target_table
    from charlm.workflows.compare_targets import COLUMNS, compare_transducer_models
    from charlm.workflows.progress import evaluation_bar, stage_bar

    with evaluation_bar(quiet=as_json) as on_progress, stage_bar(quiet=as_json) as on_stage:
        rows = compare_transducer_models(runs, checkpoint, request, on_progress, on_stage if has_baselines else None)
    if csv is not None:
        write_csv(csv, rows, COLUMNS)
    if png is not None:
        write_bars(png, rows, BARS)
    if as_json:
        terminal.print_json({"split": request.split, "figure": "exact_match", "rows": rows})
        return
    print(terminal.printable(target_table(rows)))


def show_target_baselines(corpus: "Corpus", split: str, *, as_json: bool) -> None:
    """Score simple models of targets on a split, and print each as soon as it is known."""
    from charlm.workflows.compare_targets import score_baselines
    from charlm.workflows.progress import stage_bar

    rows: list[dict[str, Any]] = []
    with stage_bar(quiet=as_json) as on_stage:
        for row in score_baselines(corpus, split, on_stage):
            rows.append(row)
            if not as_json:
                print(_baseline_line(row))
    if as_json:
        terminal.print_json({"data": str(corpus.directory), "split": split, "rows": rows})


def _baseline_line(row: dict[str, Any]) -> str:
    interval = None if row["low"] is None else (row["low"], row["high"])
    figures = [f"exact match {percent(row['exact_match'], interval, unit='sources')}"]
    if row["weighted_exact_match"] is not None:
        figures.append(f"by weight {percent(row['weighted_exact_match'])}")
    figures.append(f"symbol error rate {percent(row['symbol_error_rate'])}")
    return f"{row['model']}: {' · '.join(figures)} · {row['seconds']:.1f} s"
