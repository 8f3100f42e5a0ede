"""Words of a text whose removed marks or case a model restores: how many there are, and how many are right.

A word is a maximal run of letters, digits and combining marks. It counts if it has a character that can carry a mark,
or a capital form: one that has, somewhere in the training text, another tag than the most frequent one. Of Vietnamese
without marks that is nearly every word with a vowel. A word is right if all of its tags are.

N asked positions of a text.
"""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from charlm.data.corpus import Corpus
from charlm.data.examples import Examples
from charlm.data.labelled_text import LabelledText, read_text, read_texts

Ids = npt.NDArray[np.int64]


class RestoredWords:
    """Counts the restored words of texts."""

    def __init__(self, carriers: Collection[str], text_at: Callable[[int], LabelledText]) -> None:
        """
        Args:
            carriers: the characters that can carry something.
            text_at: returns a document's text by its index.
        """
        self._carriers = frozenset(carriers)
        self._text_at = text_at

    def count(self, index: int, chosen: Ids) -> tuple[int, int]:
        """Return the number of words of a document that count, and of those that are right.

        Args:
            chosen: (N,) the predicted tags.
        """
        text = self._text_at(index)
        words_N = find_words(text.text)[text.positions]
        carries_N = np.array([text.text[position] in self._carriers for position in text.positions.tolist()], bool)
        counted = np.unique(words_N[carries_N & (words_N >= 0)])
        wrong = np.unique(words_N[chosen != text.targets])
        return len(counted), len(counted) - len(np.intersect1d(counted, wrong, assume_unique=True))


def restored_words(corpus: Corpus, examples: Examples) -> RestoredWords | None:
    """Return what counts the words of a split; None if the tags of the corpus restore none."""
    if not corpus.task.restores_words:
        return None
    carriers = find_carriers(read_texts(corpus, "train"))
    return RestoredWords(carriers, partial(read_text, examples, corpus.vocab))


def find_carriers(train: Iterable[LabelledText]) -> set[str]:
    """Return the characters that have, somewhere, another tag than the most frequent one."""
    tags_of: dict[str, set[int]] = {}
    counts: dict[int, int] = {}
    for text in train:
        for position, target in zip(text.positions.tolist(), text.targets.tolist(), strict=True):
            tags_of.setdefault(text.text[position], set()).add(target)
            counts[target] = counts.get(target, 0) + 1
    usual = max(counts, key=lambda target: counts[target], default=-1)
    return {character for character, tags in tags_of.items() if tags - {usual}}


def find_words(text: str) -> Ids:
    """Return the number of each character's word, from 0 on; -1 between words."""
    numbers = np.full(len(text), -1, dtype=np.int64)
    for number, (start, end) in enumerate(word_spans(text)):
        numbers[start:end] = number
    return numbers


def word_spans(text: str) -> Sequence[tuple[int, int]]:
    """Return where each word starts and ends."""
    spans: list[tuple[int, int]] = []
    start = -1
    for index, character in enumerate(text):
        is_inside = character.isalnum() or (start >= 0 and unicodedata.category(character).startswith("M"))
        if is_inside and start < 0:
            start = index
        elif not is_inside and start >= 0:
            spans.append((start, index))
            start = -1
    if start >= 0:
        spans.append((start, len(text)))
    return spans
