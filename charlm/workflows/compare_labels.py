"""Runs that predict labels or tags, and baselines if asked for, scored on the same examples: the rows of one table.

RUN ... ──score_label_run──> results ──check_same_examples──┐
baselines ──────────────────────────────────────────────────┴──> figures, counts of documents
                                       the best row, and each other row's paired difference to it ──> table
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charlm.evaluation.document_counts import DocumentCounts, word_accuracy
from charlm.evaluation.label_baselines.run import LabelBaselineResult
from charlm.evaluation.label_intervals import (
    FigureDifference,
    accuracy_interval,
    compare_accuracy,
    compare_segments,
    macro_f1_interval,
    segments_interval,
)
from charlm.evaluation.label_score import LabelScore
from charlm.formatting import short_names
from charlm.training.tasks.build import build_decoder
from charlm.workflows.baselines_of_labels import run_baselines_of_task
from charlm.workflows.evaluate_labels import (
    LabelEvalRequest,
    LabelEvalResult,
    OnProgress,
    check_same_examples,
    score_label_run,
)
from charlm.workflows.training_cost import characters_seen, training_seconds

COLUMNS = (
    *("model", "parameters", "examples_seen", "characters_seen", "seconds", "accuracy", "low", "high"),
    *("macro_f1", "macro_f1_low", "macro_f1_high", "segments_f1", "segments_f1_low", "segments_f1_high"),
    *(
        "words_accuracy",
        "bits_per_label",
        "difference",
        "difference_low",
        "difference_high",
        "significant",
        "description",
    ),
)
Row = dict[str, Any]
ComparedFigure = Literal["accuracy", "segments_f1"]


@dataclass(frozen=True)
class LabelComparison:
    """The rows of a table, runs first."""

    rows: list[Row]
    per_document: bool
    """Whether each document has one label."""
    figure: ComparedFigure
    """The figure that decides which row is the best, and that differences are of."""


@dataclass(frozen=True)
class _ScoredModel:
    row: Row
    documents: DocumentCounts | None
    """None for a baseline that cannot run."""


def compare_label_models(
    runs: Sequence[str],
    checkpoint: str | None,
    request: LabelEvalRequest,
    on_progress: OnProgress,
    on_baseline: Callable[[str, int, int], None] | None = None,
) -> LabelComparison:
    """Score runs, and with `on_baseline` the baselines of their task.

    `difference` is the row's figure minus that of the best row, on the same documents.

    Raises:
        UsageError: there is no such run, corpus or split; or a run predicts no labels.
        DataError: the runs were not trained on the same examples.
    """
    results = [score_label_run(run, checkpoint, request, on_progress) for run in runs]
    check_same_examples(results)
    first = results[0]
    names = short_names([Path(each.run) for each in results])
    models = [_of_run(each, name) for each, name in zip(results, names, strict=True)]
    decoder = build_decoder(first.corpus.task, first.names)
    if on_baseline is not None:
        corpus = first.corpus
        seen = corpus.open_examples("train")
        cost = {
            "examples_seen": seen.num_documents if first.per_document else None,
            "characters_seen": seen.count("characters"),
        }
        models += [
            _of_baseline(each, cost, per_document=first.per_document)
            for each in run_baselines_of_task(corpus, request.split, decoder, on_baseline)
        ]
    figure: ComparedFigure = "accuracy" if decoder.transitions is None else "segments_f1"
    return LabelComparison(_with_differences(models, figure), first.per_document, figure)


def _of_run(found: LabelEvalResult, name: str) -> _ScoredModel:
    examples = found.trained_on.get("tokens") if found.per_document else None
    row = {
        "model": name,
        "parameters": found.parameters,
        "examples_seen": examples if isinstance(examples, int) else None,
        "characters_seen": characters_seen(found.checkpoint, found.trained_on, found.corpus),
        "seconds": training_seconds(found.checkpoint),
        **_figures(found.score, found.documents, per_document=found.per_document),
    }
    return _ScoredModel(row, found.documents.of_asked_documents())


def _of_baseline(found: LabelBaselineResult, cost: Row, *, per_document: bool) -> _ScoredModel:
    """`seconds` is the time of a baseline on this machine; it saw the training text once."""
    row = {"model": found.name, "description": found.description, "parameters": None, **cost, "seconds": found.seconds}
    if found.score is None or found.documents is None:
        return _ScoredModel(row, None)
    return _ScoredModel({**row, **_figures(found.score, found.documents, per_document=per_document)}, found.documents)


def _figures(score: LabelScore, documents: DocumentCounts, *, per_document: bool) -> Row:
    low, high = accuracy_interval(documents) or (None, None)
    row = {
        "accuracy": score.accuracy,
        "low": low,
        "high": high,
        "macro_f1": score.macro_f1,
        "bits_per_label": score.bits_per_label,
        "unseen": score.unseen,
    }
    if per_document:
        row["macro_f1_low"], row["macro_f1_high"] = macro_f1_interval(score.confusion_KL) or (None, None)
    if score.segments.f1 is not None:
        row["segments_f1"] = score.segments.f1
        row["segments_f1_low"], row["segments_f1_high"] = segments_interval(documents) or (None, None)
    if (words := word_accuracy(documents)) is not None:
        row["words_accuracy"] = words
    return row


def _with_differences(models: Sequence[_ScoredModel], figure: ComparedFigure) -> list[Row]:
    """Add to each row its paired difference to the best one; None for the best row and where it cannot be tested."""
    known = [each for each in models if each.row.get(figure) is not None]
    best = max(known, key=lambda each: each.row[figure], default=None)
    return [{**each.row, "best": each is best, **_difference(each, best, figure)} for each in models]


def _difference(model: _ScoredModel, best: _ScoredModel | None, figure: ComparedFigure) -> Row:
    found: FigureDifference | None = None
    if best is not None and model is not best and model.documents is not None and best.documents is not None:
        compare = compare_accuracy if figure == "accuracy" else compare_segments
        found = compare(model.documents, best.documents)
    return {
        "difference": None if found is None else found.difference,
        "difference_low": None if found is None else found.low,
        "difference_high": None if found is None else found.high,
        "significant": None if found is None else found.is_significant,
    }
