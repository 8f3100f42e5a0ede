"""Runs, and baselines if asked for, scored on the same text: the rows of one table.

RUN ... ──score_run──> results ──check_same_text──> rows, rows of baselines ──with_ratios──> table
                       nats of each document ──bootstrap──> difference to the best run
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.data.corpus import Corpus
from charlm.evaluation.baselines.result import BaselineResult
from charlm.evaluation.baselines.run import run_baselines
from charlm.evaluation.baselines.settings import BaselineSettings
from charlm.evaluation.interval import compare_on_units
from charlm.formatting import short_names
from charlm.workflows.archive_baseline import ArchiveBaseline
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
    "difference",
    "difference_low",
    "difference_high",
    "significant",
)
Row = dict[str, Any]
_UnitNats = npt.NDArray[np.float64]
"""The nats of each unit of the text, mostly a document."""


def compare_models(
    runs: Sequence[str],
    checkpoint: str | None,
    request: EvalRequest,
    baselines: BaselineSettings | None,
    on_progress: OnProgress,
    on_baseline: Callable[[str, int, int], None],
) -> list[Row]:
    """Return a row for each run, then one for each baseline on the corpus of the first run.

    `ratio` is the row's bits per character divided by those of the best row. `difference` is the row's bits per
    character minus those of the best run, with the 95 % interval over the same documents; None for the best run itself
    and for a compressor.

    Raises:
        CharlmError: the errors of `eval` and `baseline`.
    """
    results = [score_run(run, checkpoint, request, on_progress) for run in runs]
    check_same_text(results)
    names = short_names([Path(each.run) for each in results])
    rows = [{**_row(each, request), "model": name} for each, name in zip(results, names, strict=True)]
    nats = [each.unit_nats(each.units) for each in results]
    units, best = results[0].units, _best_of(results)

    def compare_with_best(row: Row, nats_U: _UnitNats | None) -> Row:
        found = (
            None if nats_U is None or nats_U is nats[best] else compare_on_units(nats_U, nats[best], units.characters)
        )
        return {
            **row,
            "best": nats_U is nats[best],
            "difference": None if found is None else found.bits,
            "difference_low": None if found is None else found.low,
            "difference_high": None if found is None else found.high,
            "significant": None if found is None else found.is_significant,
        }

    compared = [compare_with_best(row, nats_U) for row, nats_U in zip(rows, nats, strict=True)]
    if baselines is not None and (corpus := results[0].corpus) is not None:
        for result in run_baselines(
            corpus, request.split, baselines, open_archive=ArchiveBaseline, on_progress=on_baseline
        ):
            nats_U = None if result.nats_P is None else units.sum_nats(result.nats_P)
            compared.append(compare_with_best(_baseline_row(result, corpus), nats_U))
    return with_ratios(compared)


def _best_of(results: Sequence[EvalResult]) -> int:
    """Return the index of the result with the fewest nats: all are of the same text."""
    return min(range(len(results)), key=lambda index: results[index].score.nats)


def with_ratios(rows: list[Row]) -> list[Row]:
    """Add to each row the ratio of its bits per character to the best row's."""
    best = min((row["bits_per_character"] for row in rows if row["bits_per_character"] is not None), default=None)

    def ratio(bits: float | None) -> float | None:
        return bits / best if bits is not None and best else None

    return [{**row, "ratio": ratio(row["bits_per_character"])} for row in rows]


def baseline_rows(
    corpus: Corpus, split: str, settings: BaselineSettings, on_progress: Callable[[str, int, int], None]
) -> list[Row]:
    """Return a row for each baseline."""
    results = run_baselines(corpus, split, settings, open_archive=ArchiveBaseline, on_progress=on_progress)
    return [_baseline_row(each, corpus) for each in results]


def _baseline_row(result: BaselineResult, corpus: Corpus) -> Row:
    """`seconds` is the time of a baseline on this machine; it saw the training text once or never."""
    return {
        "model": result.name,
        "description": result.description,
        "parameters": None,
        "characters_seen": corpus.open("train").count("characters") if result.uses_training_text else 0,
        "seconds": result.seconds,
        **result.score.to_json(),
        "low": None,
        "high": None,
    }


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
