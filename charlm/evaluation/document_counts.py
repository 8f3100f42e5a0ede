"""What the figures of labels are made of, for each document: the bootstrap draws whole documents.

predictions ──add──> counts of labels, correct ones, segments and restored words ──> DocumentCounts
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from charlm.evaluation.evaluate_labels import DocumentPrediction, LabelDecoder
from charlm.evaluation.restored_words import RestoredWords

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DocumentCounts:
    """For each document, sums over its labels, (D,)."""

    labels: Counts
    correct: Counts
    gold_segments: Counts
    predicted_segments: Counts
    correct_segments: Counts
    words: Counts
    """Restored words, if the tags restore any."""
    correct_words: Counts

    def of_asked_documents(self) -> "DocumentCounts":
        """Return the counts without those of documents that ask for nothing."""
        is_asked_D = self.labels > 0
        return DocumentCounts(*(getattr(self, field.name)[is_asked_D] for field in fields(self)))


def word_accuracy(counts: DocumentCounts) -> float | None:
    """Return the share of words that were restored correctly; None if there are none."""
    words = int(counts.words.sum())
    return int(counts.correct_words.sum()) / words if words else None


class DocumentCounter:
    """Counts the labels of documents, which may come in any order."""

    def __init__(self, decoder: LabelDecoder, num_documents: int, words: RestoredWords | None = None) -> None:
        self._decoder = decoder
        self._words = words
        self._counts_D7 = np.zeros((num_documents, 7), dtype=np.int64)

    def add(self, prediction: DocumentPrediction) -> None:
        segments = self._decoder.count_segments(prediction.targets, prediction.chosen)
        num_correct = int((prediction.chosen == prediction.targets).sum())
        words = (0, 0) if self._words is None else self._words.count(prediction.index, prediction.chosen)
        self._counts_D7[prediction.index] = (
            *(len(prediction.chosen), num_correct),
            *(segments.gold, segments.predicted, segments.correct),
            *words,
        )

    @property
    def counts(self) -> DocumentCounts:
        return DocumentCounts(*self._counts_D7.T)
