"""The rows of `charlm baseline` on a corpus of labels or tags.

corpus ──simple models of its task──> a row of figures for each
"""

from collections.abc import Callable, Iterator
from typing import Any

from charlm.data.corpus import Corpus
from charlm.evaluation.document_counts import word_accuracy
from charlm.evaluation.evaluate_labels import LabelDecoder
from charlm.evaluation.label_baselines.run import (
    LabelBaselineResult,
    default_baselines,
    run_label_baselines,
)
from charlm.evaluation.label_intervals import accuracy_interval


def score_label_baselines(
    corpus: Corpus, split: str, decoder: LabelDecoder, on_progress: Callable[[str, int, int], None]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each baseline of the task of a corpus, as soon as it is known."""
    for found in run_baselines_of_task(corpus, split, decoder, on_progress):
        yield label_baseline_row(found)


def run_baselines_of_task(
    corpus: Corpus, split: str, decoder: LabelDecoder, on_progress: Callable[[str, int, int], None]
) -> Iterator[LabelBaselineResult]:
    """Yield the score of each baseline of the task of a corpus."""
    baselines = default_baselines(decoder, corpus.task)
    yield from run_label_baselines(corpus, split, decoder, baselines, on_progress=on_progress)


def label_baseline_row(found: LabelBaselineResult) -> dict[str, Any]:
    score, documents = found.score, found.documents
    interval = None if documents is None else accuracy_interval(documents)
    return {
        "model": found.name,
        "description": found.description,
        "accuracy": None if score is None else score.accuracy,
        "interval": None if interval is None else list(interval),
        "macro_f1": None if score is None else score.macro_f1,
        "bits_per_label": None if score is None else score.bits_per_label,
        "segments_f1": None if score is None else score.segments.f1,
        "words_accuracy": None if documents is None else word_accuracy(documents),
        "seconds": found.seconds,
    }
