"""The learner of a vocabulary that needs no training text: bytes, or the vocabulary of another corpus or checkpoint."""

from typing import ClassVar, Self

from charlm.vocab.base import Vocab


class FixedLearner:
    """Returns a given vocabulary and ignores texts."""

    needs_text: ClassVar[bool] = False

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab

    def add(self, text: str) -> None:
        del text

    def merge(self, other: Self) -> None:
        del other

    def finish(self) -> Vocab:
        return self._vocab
