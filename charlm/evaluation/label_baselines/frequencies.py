"""The most frequent label or tag of the training text, and the most frequent tags of each word.

    most-frequent   p(label) = its share of the training labels
    word-tags       p(tag | unit) = its share of the tags that the unit has in the training text

A unit is the text between two questions, a word with its tag at the end. Where nearly every character has a tag, it is
the word around the character and the place in it. Of units that training has not seen, a less specific one decides.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from charlm.data.labelled_text import LabelledText
from charlm.evaluation.label_baselines.base import (
    Floats,
    LabelBaseline,
    LabelPredictor,
    smoothed_log_probabilities,
)

_DENSE = 0.5  # questions for each character from which on words are units, and not the text between questions


class MostFrequent(LabelBaseline):
    """Always the same probabilities: those of the training labels."""

    name = "most-frequent"
    description = "the most frequent label or tag of the training examples"

    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> "FrequencyPredictor":
        return FrequencyPredictor(smoothed_log_probabilities(_count(train, len(labels))))


class FrequencyPredictor(LabelPredictor):
    def __init__(self, log_p_L: Floats) -> None:
        self._log_p_L = log_p_L

    def log_probabilities(self, text: LabelledText) -> Floats:
        return np.tile(self._log_p_L, (len(text.positions), 1))


class WordTags(LabelBaseline):
    """The most frequent tags of each word."""

    name = "word-tags"
    description = "the most frequent tag of the word, else of the character, else of all"

    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> "WordTagPredictor":
        asked = sum(len(text.positions) for text in train)
        is_dense = asked >= _DENSE * sum(len(text.text) for text in train)
        counts: dict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
        for text in train:
            for units, target in zip(_units(text, is_dense=is_dense), text.targets.tolist(), strict=True):
                for unit in units:
                    counts[unit][target] += 1
        return WordTagPredictor(dict(counts), len(labels), is_dense=is_dense)


class WordTagPredictor(LabelPredictor):
    def __init__(self, counts: dict[tuple[str, ...], Counter[int]], num_labels: int, *, is_dense: bool) -> None:
        self._counts = counts
        self._num_labels = num_labels
        self._is_dense = is_dense

    def log_probabilities(self, text: LabelledText) -> Floats:
        rows = [self._row(units) for units in _units(text, is_dense=self._is_dense)]
        return np.stack(rows) if rows else np.zeros((0, self._num_labels), dtype=np.float32)

    def _row(self, units: Sequence[tuple[str, ...]]) -> Floats:
        counts_L = np.zeros(self._num_labels)
        known = next((unit for unit in units if unit in self._counts), ())
        for label, count in self._counts.get(known, {}).items():
            counts_L[label] = count
        return smoothed_log_probabilities(counts_L, floor=0.01)


def _units(text: LabelledText, *, is_dense: bool) -> Iterator[list[tuple[str, ...]]]:
    """Yield the units of each question, the most specific one first; () stands for anything."""
    if is_dense:
        words = _words(text.text)
        for position in text.positions.tolist():
            word, start = words[position]
            yield [(word, str(position - start)), (text.text[position],), ()]
        return
    previous = -1
    for position in text.positions.tolist():
        word = text.text[previous + 1 : position + 1].strip()
        previous = position
        yield [("word", word), ("lower", word.lower()), ("ending", word[-3:]), ("ending", word[-1:]), ()]


def _words(text: str) -> list[tuple[str, int]]:
    """Return for each character the run of non-whitespace around it and where that starts."""
    found: list[tuple[str, int]] = []
    start = 0
    while start < len(text):
        end = start + 1
        if not text[start].isspace():
            while end < len(text) and not text[end].isspace():
                end += 1
        found += [(text[start:end], start)] * (end - start)
        start = end
    return found


def _count(train: Sequence[LabelledText], num_labels: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    counts_L = np.zeros(num_labels)
    for text in train:
        np.add.at(counts_L, text.targets[text.targets >= 0], 1)
    return counts_L
