"""Transducers, and baselines if asked for, on the same sources: the rows of one table.

RUN ... ──score_transducers──┐
baselines ───────────────────┴──> figures, and each row's paired difference to the best one ──> table
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charlm.data.corpus import Corpus
from charlm.evaluation.interval import share_interval
from charlm.evaluation.score import Score
from charlm.evaluation.transduction.score import AnswerCounts, TransductionScore
from charlm.evaluation.transduction_baselines.run import TransductionBaselineResult, run_transduction_baselines
from charlm.formatting import short_names
from charlm.workflows.evaluate import OnProgress
from charlm.workflows.evaluate_targets import (
    TargetEvalRequest,
    TargetEvalResult,
    check_same_sources,
    compare_counts,
    score_transducers,
)
from charlm.workflows.training_cost import characters_seen, training_seconds

COLUMNS = (
    *("model", "parameters", "examples_seen", "characters_seen", "seconds", "exact_match", "low", "high"),
    *("weighted_exact_match", "error_rate", "symbol_error_rate", "word_error_rate", "bits_per_character"),
    *("difference", "difference_low", "difference_high", "significant", "description"),
)
Row = dict[str, Any]


@dataclass(frozen=True)
class _ScoredModel:
    row: Row
    counts: AnswerCounts


def compare_transducer_models(
    runs: Sequence[str],
    checkpoint: str | None,
    request: TargetEvalRequest,
    on_progress: OnProgress,
    on_baseline: Callable[[str, int, int], None] | None = None,
) -> list[Row]:
    """Score runs, and with `on_baseline` the baselines of their corpus.

    `difference` is the row's exact match minus that of the best row, on the same sources.

    Raises:
        UsageError: there is no such run, corpus or split; or a run writes no texts for others.
        DataError: the runs were not trained on the same examples.
    """
    results = [score_transducers([run], checkpoint, request, on_progress) for run in runs]
    for other in results[1:]:
        check_same_sources(results[0], other)
    names = short_names([Path(each.run) for each in results])
    models = [_of_run(each, name) for each, name in zip(results, names, strict=True)]
    if on_baseline is not None:
        found = run_transduction_baselines(results[0].corpus, request.split, on_baseline)
        models += [_ScoredModel(baseline_row(each), each.counts) for each in found]
    best = max(models, key=lambda each: each.row["exact_match"])
    return [{**each.row, "best": each is best, **_difference(each, best)} for each in models]


def score_baselines(corpus: Corpus, split: str, on_progress: Callable[[str, int, int], None]) -> Iterator[Row]:
    """Yield a row for each baseline of a corpus, as soon as it is known."""
    yield from map(baseline_row, run_transduction_baselines(corpus, split, on_progress))


def baseline_row(found: TransductionBaselineResult) -> Row:
    score = TransductionScore.from_counts(Score(0.0, 0, 0, 0, 0), found.counts)
    return {
        "model": found.name,
        "description": found.description,
        "parameters": None,
        "examples_seen": found.num_pairs,
        "seconds": found.seconds,
        "bits_per_character": None,
        **_figures(score, found.counts, has_weights=found.has_weights),
    }


def _of_run(found: TargetEvalResult, name: str) -> _ScoredModel:
    row = {
        "model": name,
        "parameters": found.parameters,
        "characters_seen": characters_seen(found.checkpoint, found.trained_on, found.corpus),
        "seconds": training_seconds(found.checkpoint),
        "bits_per_character": found.score.bits,
        **_figures(found.score, found.counts, has_weights=found.has_weights),
    }
    return _ScoredModel(row, found.counts)


def _figures(score: TransductionScore, counts: AnswerCounts, *, has_weights: bool) -> Row:
    correct_U = counts.is_correct_U.astype(np.float64)
    low, high = share_interval(correct_U, np.ones_like(counts.is_correct_U)) or (None, None)
    return {
        "exact_match": score.exact_match,
        "low": low,
        "high": high,
        "weighted_exact_match": score.weighted_exact_match if has_weights else None,
        "error_rate": score.error_rate,
        "symbol_error_rate": score.symbol_error_rate,
        "word_error_rate": score.word_error_rate if score.words != score.symbols else None,
    }


def _difference(model: _ScoredModel, best: _ScoredModel) -> Row:
    found = None if model is best else compare_counts(model.counts, best.counts)
    return {
        "difference": None if found is None else found.difference,
        "difference_low": None if found is None else found.low,
        "difference_high": None if found is None else found.high,
        "significant": None if found is None else found.is_significant,
    }
