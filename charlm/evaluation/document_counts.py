"""What the figures of labels are made of, for each document: the bootstrap draws whole documents.

predictions ──add──> counts of labels, correct ones and segments ──> DocumentCounts
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.evaluation.evaluate_labels import DocumentPrediction, LabelDecoder

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DocumentCounts:
    """For each document, sums over its labels, (D,)."""

    labels: Counts
    correct: Counts
    gold_segments: Counts
    predicted_segments: Counts
    correct_segments: Counts


class DocumentCounter:
    """Counts the labels of documents, which may come in any order."""

    def __init__(self, decoder: LabelDecoder, num_documents: int) -> None:
        self._decoder = decoder
        self._counts_D5 = np.zeros((num_documents, 5), dtype=np.int64)

    def add(self, prediction: DocumentPrediction) -> None:
        segments = self._decoder.count_segments(prediction.targets, prediction.chosen)
        num_correct = int((prediction.chosen == prediction.targets).sum())
        self._counts_D5[prediction.index] = (
            *(len(prediction.chosen), num_correct),
            *(segments.gold, segments.predicted, segments.correct),
        )

    @property
    def counts(self) -> DocumentCounts:
        return DocumentCounts(*self._counts_D5.T)
