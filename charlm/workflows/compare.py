"""Runs, and baselines if asked for, scored on the same text: the rows of one table.

RUN ... ──score_run──> results ──check_same_text──> rows, rows of baselines ──with_ratios──> table
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from charlm.data.corpus import Corpus
from charlm.evaluation.baselines.run import run_baselines
from charlm.evaluation.baselines.settings import BaselineSettings
from charlm.formatting import short_names
from charlm.workflows.evaluate import (
    EvalRequest,
    EvalResult,
    OnProgress,
    check_same_text,
    score_run,
    summarize_result,
    warn_of_worse_than_uniform,
)
from charlm.workflows.training_cost import characters_seen, training_seconds

COLUMNS = (
    "model",
    "parameters",
    "characters_seen",
    "seconds",
    "bits_per_character",
    "low",
    "high",
    "bits_per_byte",
    "ratio",
    "description",
)
Row = dict[str, Any]


def compare_models(
    runs: Sequence[str],
    checkpoint: str | None,
    request: EvalRequest,
    baselines: BaselineSettings | None,
    on_progress: OnProgress,
    on_baseline: Callable[[str, int, int], None],
) -> list[Row]:
    """Return a row for each run, then one for each baseline on the corpus of the first run.

    `ratio` is the row's bits per character divided by those of the best row.

    Raises:
        CharlmError: the errors of `eval` and `baseline`.
    """
    results = [score_run(run, checkpoint, request, on_progress) for run in runs]
    check_same_text(results)
    names = short_names([Path(each.run) for each in results])
    rows = [{**_row(each, request), "model": name} for each, name in zip(results, names, strict=True)]
    if baselines is not None and (corpus := results[0].corpus) is not None:
        rows += baseline_rows(corpus, request.split, baselines, on_baseline)
    return with_ratios(rows)


def with_ratios(rows: list[Row]) -> list[Row]:
    """Add to each row the ratio of its bits per character to the best row's."""
    best = min((row["bits_per_character"] for row in rows if row["bits_per_character"] is not None), default=None)

    def ratio(bits: float | None) -> float | None:
        return bits / best if bits is not None and best else None

    return [{**row, "ratio": ratio(row["bits_per_character"])} for row in rows]


def baseline_rows(
    corpus: Corpus, split: str, settings: BaselineSettings, on_progress: Callable[[str, int, int], None]
) -> list[Row]:
    """Return a row for each baseline. `seconds` is its time on this machine; it saw the training text once or never."""
    seen = corpus.open("train").count("characters")
    return [
        {
            "model": result.name,
            "description": result.description,
            "parameters": None,
            "characters_seen": seen if result.uses_training_text else 0,
            "seconds": result.seconds,
            **result.score.to_json(),
            "low": None,
            "high": None,
        }
        for result in run_baselines(corpus, split, settings, on_progress=on_progress)
    ]


def _row(found: EvalResult, request: EvalRequest) -> Row:
    described = summarize_result(found, request)
    low, high = described["interval"] or (None, None)
    return {
        "parameters": found.parameters,
        "characters_seen": characters_seen(found.checkpoint, found.trained_on, found.corpus),
        "seconds": training_seconds(found.checkpoint),
        **{name: described[name] for name in ("tokens", "characters", "words", "bytes", "nats")},
        **{name: described[name] for name in ("bits_per_character", "bits_per_byte", "perplexity")},
        "warning": warn_of_worse_than_uniform(described),
        "low": low,
        "high": high,
    }
