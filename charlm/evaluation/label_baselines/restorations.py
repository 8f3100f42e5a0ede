"""The most frequent restoration of each word: all of its tags together, as they are most often in the training text.

    p(tag at a place of a word) = its share in the word's most frequent restoration and, with little weight, elsewhere

Of a word that training has not seen, the most frequent tags of each character decide.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from charlm.data.labelled_text import LabelledText
from charlm.evaluation.label_baselines.base import (
    Floats,
    LabelBaseline,
    LabelPredictor,
    smoothed_log_probabilities,
)
from charlm.evaluation.restored_words import word_spans

_FLOOR = 0.01


class WordRestorations(LabelBaseline):
    """Each word's most frequent restoration."""

    name = "word-restorations"
    description = "the most frequent restoration of the word, else of each character"

    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> "RestorationPredictor":
        restorations: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
        characters: dict[str, Counter[int]] = defaultdict(Counter)
        for text in train:
            targets = text.targets.tolist()
            for position, target in zip(text.positions.tolist(), targets, strict=True):
                characters[text.text[position]][target] += 1
            for word, first, after_last in _words(text):
                restorations[word][tuple(targets[first:after_last])] += 1
        chosen = {word: counts.most_common(1)[0] for word, counts in restorations.items()}
        totals = {word: counts.total() for word, counts in restorations.items()}
        return RestorationPredictor(
            {word: (tags, count / totals[word]) for word, (tags, count) in chosen.items()}, characters, len(labels)
        )


class RestorationPredictor(LabelPredictor):
    def __init__(
        self,
        restorations: dict[str, tuple[tuple[int, ...], float]],
        characters: dict[str, Counter[int]],
        num_labels: int,
    ) -> None:
        """
        Args:
            restorations: of each word the most frequent tags, and their share.
        """
        self._restorations = restorations
        self._num_labels = num_labels
        self._character_rows = {character: self._to_row(counts) for character, counts in characters.items()}
        self._unknown_row = self._to_row(Counter())

    def log_probabilities(self, text: LabelledText) -> Floats:
        characters = [text.text[position] for position in text.positions.tolist()]
        rows = [self._character_rows.get(character, self._unknown_row) for character in characters]
        log_p_NL = np.stack(rows) if rows else np.zeros((0, self._num_labels), dtype=np.float32)
        for word, first, after_last in _words(text):
            tags, share = self._restorations.get(word, ((), 0.0))
            for index, tag in zip(range(first, after_last), tags, strict=False):
                if tag >= 0:
                    log_p_NL[index] = self._to_row({tag: share})
        return log_p_NL

    def _to_row(self, weights: Mapping[int, float]) -> Floats:
        weights_L = np.zeros(self._num_labels)
        for label, weight in weights.items():
            if label >= 0:
                weights_L[label] = weight
        return smoothed_log_probabilities(weights_L, floor=_FLOOR)


def _words(text: LabelledText) -> Iterator[tuple[str, int, int]]:
    """Yield each word with tags, and the range of its tags."""
    for start, end in word_spans(text.text):
        first, after_last = np.searchsorted(text.positions, (start, end))
        if after_last > first:
            yield text.text[start:end], int(first), int(after_last)
