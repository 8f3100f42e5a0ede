"""The score of texts that a transducer writes. Scores add; ratios are computed last.

exact match           right texts / sources; weighted: by the weight of each source
error rate            1 - exact match, the "word error rate" of pronunciations, where each source is one word
symbol error rate     edits / symbols of the right text nearest to what was written: characters, or the symbols between
                      single blanks of a vocabulary of symbols
word error rate       the same over words, runs of non-whitespace
bits per character    of the right texts, given their sources
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.evaluation.score import Score
from charlm.evaluation.transduction.answers import Question
from charlm.evaluation.transduction.edit_distance import edit_distance

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AnswerCounts:
    """What the figures are made of, for each of U sources."""

    is_correct_U: Counts
    """1 where the text is right, else 0."""
    weights_U: npt.NDArray[np.float64]
    symbols_U: Counts
    symbol_edits_U: Counts
    words_U: Counts
    word_edits_U: Counts

    @classmethod
    def of_texts(cls, texts: Sequence[str], questions: Sequence[Question], *, blank_separates: bool) -> "AnswerCounts":
        """Count the edits of texts that were written.

        Args:
            blank_separates: whether symbols are the parts between blanks, instead of characters.
        """
        rows = [
            _count(text, question, blank_separates=blank_separates)
            for text, question in zip(texts, questions, strict=True)
        ]
        counts_U5 = np.array(rows, dtype=np.int64).reshape(len(rows), 5)
        weights_U = np.array([question.weight for question in questions], dtype=np.float64)
        return cls(counts_U5[:, 0], weights_U, *counts_U5.T[1:])


def split_symbols(text: str, *, blank_separates: bool) -> list[str]:
    """Return the symbols of a text: the parts between single blanks, or its characters."""
    if not blank_separates:
        return list(text)
    return text.split(" ") if text else []


def _count(text: str, question: Question, *, blank_separates: bool) -> tuple[int, int, int, int, int]:
    """Return whether a text is right, symbols, their edits, words, their edits."""
    pairs: list[tuple[int, int]] = []
    for split in (partial(split_symbols, blank_separates=blank_separates), str.split):
        written = split(text)
        candidates = [(edit_distance(written, right), len(right)) for right in map(split, question.answers)]
        edits, size = min(candidates)
        pairs.append((size, edits))
    return int(text in question.answers), *pairs[0], *pairs[1]


@dataclass(frozen=True, slots=True)
class TransductionScore:
    """The score of the texts written for a set of sources."""

    likelihood: Score
    """Of the right texts."""
    sources: int = 0
    correct: int = 0
    weight: float = 0.0
    correct_weight: float = 0.0
    symbols: int = 0
    symbol_edits: int = 0
    words: int = 0
    word_edits: int = 0

    @classmethod
    def from_counts(cls, likelihood: Score, counts: AnswerCounts) -> "TransductionScore":
        return cls(
            likelihood,
            len(counts.is_correct_U),
            int(counts.is_correct_U.sum()),
            float(counts.weights_U.sum()),
            float((counts.weights_U * counts.is_correct_U).sum()),
            *(
                int(each.sum())
                for each in (counts.symbols_U, counts.symbol_edits_U, counts.words_U, counts.word_edits_U)
            ),
        )

    def __add__(self, other: "TransductionScore") -> "TransductionScore":
        sums = [a + b for a, b in zip(self._counts(), other._counts(), strict=True)]
        return self._with_counts(self.likelihood + other.likelihood, sums)

    @property
    def exact_match(self) -> float | None:
        return self.correct / self.sources if self.sources else None

    @property
    def weighted_exact_match(self) -> float | None:
        return self.correct_weight / self.weight if self.weight else None

    @property
    def error_rate(self) -> float | None:
        return None if self.exact_match is None else 1 - self.exact_match

    @property
    def symbol_error_rate(self) -> float | None:
        return self.symbol_edits / self.symbols if self.symbols else None

    @property
    def word_error_rate(self) -> float | None:
        return self.word_edits / self.words if self.words else None

    @property
    def bits(self) -> float | None:
        """Bits per character."""
        return self.likelihood.bits

    @property
    def details(self) -> str:
        """The error rate, for the note of a validation."""
        return "" if self.error_rate is None else f"{100 * self.error_rate:.2f} % wrong texts"

    def figure(self, select: str) -> float | None:
        """Return the figure that validations compare, by `training.select`: bits, or 1 minus accuracy."""
        return self.bits if select == "bits" else self.error_rate

    def to_json(self) -> dict[str, Any]:
        """The sums, then the ratios."""
        return {
            "sources": self.sources,
            "correct": self.correct,
            "exact_match": self.exact_match,
            "weighted_exact_match": self.weighted_exact_match,
            "error_rate": self.error_rate,
            "symbols": self.symbols,
            "symbol_edits": self.symbol_edits,
            "symbol_error_rate": self.symbol_error_rate,
            "words_written_for": self.words,
            "word_edits": self.word_edits,
            "word_error_rate": self.word_error_rate,
            **self.likelihood.to_json(),
        }

    def sums(self) -> list[float]:
        """Return the numbers that add up over shards of the documents."""
        return [*self.likelihood.sums(), *self._counts()]

    def with_sums(self, sums: Sequence[float]) -> "TransductionScore":
        """Return the score of the same texts whose `sums` these are."""
        num_likelihood = len(self.likelihood.sums())
        likelihood = self.likelihood.with_sums(sums[:num_likelihood])
        return self._with_counts(likelihood, sums[num_likelihood:])

    def _counts(self) -> list[float]:
        return [
            self.sources,
            self.correct,
            self.weight,
            self.correct_weight,
            self.symbols,
            self.symbol_edits,
            self.words,
            self.word_edits,
        ]

    def _with_counts(self, likelihood: Score, sums: Sequence[float]) -> "TransductionScore":
        return replace(
            self,
            likelihood=likelihood,
            sources=int(sums[0]),
            correct=int(sums[1]),
            weight=float(sums[2]),
            correct_weight=float(sums[3]),
            symbols=int(sums[4]),
            symbol_edits=int(sums[5]),
            words=int(sums[6]),
            word_edits=int(sums[7]),
        )
