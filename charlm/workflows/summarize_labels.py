"""The score of a run of labels or tags as JSON: figures, their intervals, each label, the most frequent mistakes."""

from typing import Any

import numpy as np

from charlm.evaluation.document_counts import DocumentCounts, word_accuracy
from charlm.evaluation.label_intervals import accuracy_interval, macro_f1_interval, segments_interval, words_interval
from charlm.workflows.evaluate_labels import LabelEvalResult

_MAX_CONFUSIONS = 10


def summarize_labels(found: LabelEvalResult) -> dict[str, Any]:
    """The JSON that `charlm eval` prints of one run."""
    intervals: dict[str, Any] = {"accuracy": _as_list(accuracy_interval(found.documents))}
    if found.per_document:
        intervals["macro_f1"] = _as_list(macro_f1_interval(found.score.confusion_KL))
    if found.documents.gold_segments.any():
        intervals["segments"] = _as_list(segments_interval(found.documents))
    if found.documents.words.any():
        intervals["words"] = _as_list(words_interval(found.documents))
    return {
        "run": found.run,
        "split": found.split,
        "documents": len(found.documents.labels),
        **found.score.to_json(),
        **_summarize_words(found.documents),
        "intervals": intervals,
        "calibration": {
            "error": found.calibration_error,
            "temperature": found.temperature,
            "error_at_temperature": found.calibrated_error,
        },
        "per_label": found.score.per_label(found.names),
        "confusions": _list_confusions(found),
    }


def _summarize_words(documents: DocumentCounts) -> dict[str, Any]:
    """Return the figures of restored words, if there are any."""
    words, correct = int(documents.words.sum()), int(documents.correct_words.sum())
    return {"words": {"words": words, "correct": correct, "accuracy": word_accuracy(documents)}} if words else {}


def _list_confusions(found: LabelEvalResult) -> list[dict[str, Any]]:
    """Return the ten most frequent mistakes."""
    wrong_LL = found.score.confusion_KL[:-1].copy()
    np.fill_diagonal(wrong_LL, 0)
    order = np.argsort(-wrong_LL, axis=None, kind="stable")[:_MAX_CONFUSIONS]
    rows, columns = np.unravel_index(order, wrong_LL.shape)
    return [
        {"label": found.names[row], "predicted": found.names[column], "count": int(wrong_LL[row, column])}
        for row, column in zip(rows, columns, strict=True)
        if wrong_LL[row, column]
    ]


def _as_list(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
