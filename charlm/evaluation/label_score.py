"""The score of labels or tags: sums of nats and of counts. Scores add; ratios are computed last.

bits per label    nats / ln 2 / labels: of the labels that training has seen
accuracy          correct / labels, of all labels: one that training has never seen is wrong
precision, recall  of a label, from the confusion matrix; F1 is their harmonic mean
macro-F1          the mean of F1 over the labels that occur or are predicted; all unseen ones are one label of F1 0
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """Numbers of segments: those of the text, the predicted ones, and those that are both."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    def __add__(self, other: "SegmentCounts") -> "SegmentCounts":
        return SegmentCounts(self.gold + other.gold, self.predicted + other.predicted, self.correct + other.correct)

    @property
    def precision(self) -> float | None:
        return _ratio(self.correct, self.predicted)

    @property
    def recall(self) -> float | None:
        return _ratio(self.correct, self.gold)

    @property
    def f1(self) -> float | None:
        return _ratio(2 * self.correct, self.gold + self.predicted)

    def to_json(self) -> dict[str, Any]:
        return {
            "gold": self.gold,
            "predicted": self.predicted,
            "correct": self.correct,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The score of the labels of a set of documents."""

    nats: float
    """The negative log-likelihood of the labels that training has seen."""
    confusion_KL: Counts
    """How often each label (row) is predicted as each label (column). The last row is of all labels that training has
    never seen."""
    segments: SegmentCounts = SegmentCounts()
    sentences: SegmentCounts = SegmentCounts()
    """Of words whose tags mark the beginnings of sentences."""

    @classmethod
    def zero(cls, num_labels: int) -> "LabelScore":
        return cls(0.0, np.zeros((num_labels + 1, num_labels), dtype=np.int64))

    def __add__(self, other: "LabelScore") -> "LabelScore":
        return LabelScore(
            self.nats + other.nats,
            self.confusion_KL + other.confusion_KL,
            self.segments + other.segments,
            self.sentences + other.sentences,
        )

    @property
    def labels(self) -> int:
        """The number of labels or tags that were asked for."""
        return int(self.confusion_KL.sum())

    @property
    def unseen(self) -> int:
        """The number of labels that training has never seen."""
        return int(self.confusion_KL[-1].sum())

    @property
    def correct(self) -> int:
        return int(np.diagonal(self.confusion_KL).sum())

    @property
    def accuracy(self) -> float | None:
        return _ratio(self.correct, self.labels)

    @property
    def bits_per_label(self) -> float | None:
        return _ratio(self.nats / math.log(2), self.labels - self.unseen)

    @property
    def bits(self) -> float | None:
        """Bits per label or tag."""
        return self.bits_per_label

    @property
    def f1(self) -> float | None:
        """The F1 of segments if there are any, else macro-F1."""
        return self.segments.f1 if self.segments.gold or self.segments.predicted else self.macro_f1

    @property
    def details(self) -> str:
        """Accuracy and F1, for the note of a validation."""
        figures = {"accuracy": self.accuracy, "F1": self.f1}
        return ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if value is not None)

    def figure(self, select: str) -> float | None:
        """Return the figure that validations compare, by `training.select`: bits, or 1 minus accuracy or F1."""
        if select == "bits":
            return self.bits
        value = {"accuracy": self.accuracy, "f1": self.f1}[select]
        return None if value is None else 1 - value

    @property
    def f1_L(self) -> npt.NDArray[np.float64]:
        """The F1 of each label; NaN for one that neither occurs nor is predicted."""
        correct_L, gold_L, predicted_L = self._margins()
        total_L = gold_L + predicted_L
        return np.where(total_L > 0, 2 * correct_L / np.maximum(total_L, 1), np.nan)

    @property
    def macro_f1(self) -> float | None:
        f1_L = self.f1_L
        num_known = int((~np.isnan(f1_L)).sum())
        return _ratio(float(np.nansum(f1_L)), num_known + (self.unseen > 0))

    def per_label(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return a row for each label: how often it occurs, precision, recall and F1."""
        return [
            {
                "label": name,
                "count": int(gold),
                "predicted": int(predicted),
                "precision": _ratio(int(correct), int(predicted)),
                "recall": _ratio(int(correct), int(gold)),
                "f1": _ratio(2 * int(correct), int(gold + predicted)),
            }
            for name, correct, gold, predicted in zip(names, *self._margins(), strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """The sums, then the ratios. Nats that are not finite are None."""
        content: dict[str, Any] = {
            "labels": self.labels,
            "unseen": self.unseen,
            "correct": self.correct,
            "nats": self.nats if math.isfinite(self.nats) else None,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "bits_per_label": self.bits_per_label,
        }
        for name, counts in (("segments", self.segments), ("sentences", self.sentences)):
            if counts.gold or counts.predicted:
                content[name] = counts.to_json()
        return content

    def sums(self) -> list[float]:
        """Return the numbers that add up over shards of the documents."""
        counts = [
            count for found in (self.segments, self.sentences) for count in (found.gold, found.predicted, found.correct)
        ]
        return [self.nats, *map(float, counts), *map(float, self.confusion_KL.flat)]

    def with_sums(self, sums: Sequence[float]) -> "LabelScore":
        """Return the score whose `sums` these are."""
        counts = np.array(sums[7:], dtype=np.int64).reshape(self.confusion_KL.shape)
        segments, sentences = (SegmentCounts(*map(int, sums[start : start + 3])) for start in (1, 4))
        return LabelScore(sums[0], counts, segments, sentences)

    def _margins(self) -> tuple[Counts, Counts, Counts]:
        """Return for each label: correct, occurring, predicted."""
        known_LL = self.confusion_KL[:-1]
        return np.diagonal(known_LL), known_LL.sum(1), self.confusion_KL.sum(0)


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator and math.isfinite(numerator) else None
