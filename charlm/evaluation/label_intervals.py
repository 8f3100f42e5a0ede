"""The 95 % intervals of figures of labels, and of differences of two models: the bootstrap over documents.

    accuracy   sum of correct / sum of labels                     } ratios of sums over whole documents
    F1         2 sum of correct / sum of (gold + predicted)       }
    macro-F1   of the confusion matrix of drawn documents, for one label for each document

Two models are compared on the same draws. The intervals cover the sampling of documents, and not the variance between
seeds.

D documents, K cells of a confusion matrix, L labels, R replicates.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.evaluation.document_counts import DocumentCounts
from charlm.evaluation.interval import ratio_interval, share_interval

_NUM_REPLICATES = 2000
_MIN_DOCUMENTS = 5
_PERCENTILES = (2.5, 97.5)

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]


def accuracy_interval(counts: DocumentCounts) -> Interval | None:
    return share_interval(counts.correct.astype(np.float64), counts.labels)


def segments_interval(counts: DocumentCounts) -> Interval | None:
    """Return the interval of the F1 of segments."""
    numerators = 2 * counts.correct_segments.astype(np.float64)
    return share_interval(numerators, counts.gold_segments + counts.predicted_segments)


def words_interval(counts: DocumentCounts) -> Interval | None:
    """Return the interval of the share of words that were restored correctly."""
    return share_interval(counts.correct_words.astype(np.float64), counts.words)


@dataclass(frozen=True, slots=True)
class FigureDifference:
    """A figure of the first model minus that of the second, with the 95 % interval of the difference."""

    difference: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def compare_accuracy(first: DocumentCounts, second: DocumentCounts) -> FigureDifference | None:
    """Return the difference of two accuracies on the same documents, or None with fewer than 5 documents."""
    return _compare_shares(first.correct - second.correct, first.labels)


def compare_words(first: DocumentCounts, second: DocumentCounts) -> FigureDifference | None:
    """Return the difference of the shares of words that two models restored correctly in the same documents.

    None with fewer than 5 documents.
    """
    return _compare_shares(first.correct_words - second.correct_words, first.words)


def _compare_shares(wins: Counts, totals: Counts) -> FigureDifference | None:
    interval = ratio_interval(wins.astype(np.float64), totals)
    return None if interval is None else FigureDifference(float(wins.sum() / totals.sum()), *interval)


def compare_segments(first: DocumentCounts, second: DocumentCounts, *, seed: int = 0) -> FigureDifference | None:
    """Return the difference of the F1 of segments of two models on the same documents.

    None with fewer than 5 documents. The denominators differ, so both ratios are formed for each replicate.
    """
    numerators = [2.0 * counts.correct_segments for counts in (first, second)]
    denominators = [(counts.gold_segments + counts.predicted_segments).astype(np.float64) for counts in (first, second)]
    num_documents = len(first.labels)
    if num_documents < _MIN_DOCUMENTS or any(denominator.sum() == 0 for denominator in denominators):
        return None
    rng = np.random.default_rng(seed)
    sums_D4 = np.stack([*numerators, *denominators], axis=1)
    differences = np.empty(_NUM_REPLICATES)
    for replicate in range(_NUM_REPLICATES):
        sums = sums_D4[rng.integers(num_documents, size=num_documents)].sum(0)
        differences[replicate] = sums[0] / max(1.0, sums[2]) - sums[1] / max(1.0, sums[3])
    low, high = np.percentile(differences, _PERCENTILES)
    totals = sums_D4.sum(0)
    return FigureDifference(float(totals[0] / totals[2] - totals[1] / totals[3]), float(low), float(high))


def macro_f1_interval(confusion_KL: Counts, *, seed: int = 0) -> Interval | None:
    """Return the interval of macro-F1 for one label for each document, or None with fewer than 5 documents.

    Documents that fall into the same cell of the confusion matrix are alike, so drawing documents is drawing counts of
    cells from a multinomial distribution.
    """
    total = int(confusion_KL.sum())
    if total < _MIN_DOCUMENTS:
        return None
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(confusion_KL)
    counts_RK = rng.multinomial(total, confusion_KL[rows, columns] / total, size=_NUM_REPLICATES)
    num_labels = confusion_KL.shape[1]
    gold_RL, predicted_RL, correct_RL = (np.zeros((_NUM_REPLICATES, num_labels + 1)) for _ in range(3))
    for cell, (row, column) in enumerate(zip(rows, columns, strict=True)):
        gold_RL[:, row] += counts_RK[:, cell]
        predicted_RL[:, column] += counts_RK[:, cell]
        if row == column:
            correct_RL[:, row] += counts_RK[:, cell]
    totals_RL = gold_RL + predicted_RL
    f1_RL = 2 * correct_RL / np.maximum(totals_RL, 1)
    macro_f1_R = f1_RL.sum(1) / (totals_RL > 0).sum(1)
    low, high = np.percentile(macro_f1_R, _PERCENTILES)
    return float(low), float(high)
