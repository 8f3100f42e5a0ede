"""A vocabulary taken from another corpus or checkpoint: nothing is learned."""

from pathlib import Path
from typing import ClassVar, Self

from charlm.vocab.base import Vocab
from charlm.vocab.settings import load_vocab


class CopiedLearner:
    """Reads the vocabulary that lies in a directory."""

    needs_text: ClassVar[bool] = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, text: str) -> None:
        del text

    def merge(self, other: Self) -> None:
        del other

    def finish(self) -> Vocab:
        """
        Raises:
            DataError: there is none, or it is damaged.
        """
        return load_vocab(self._directory)
