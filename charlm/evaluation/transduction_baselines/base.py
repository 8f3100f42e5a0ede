"""The interface of a transduction baseline, and the pairs that it learns from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

Symbols = tuple[str, ...]
"""A source or a target: characters, phonemes, or other symbols. It may be empty."""


class Pair(NamedTuple):
    """A source and one target of it."""

    source: Symbols
    target: Symbols
    weight: float = 1.0
    """How many times the pair counts in training, above 0."""


class TransductionBaseline(ABC):
    """A method that maps sources to targets."""

    name: str

    @abstractmethod
    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learn from training pairs; what was learned before is forgotten."""

    @abstractmethod
    def predict(self, sources: Sequence[Symbols]) -> list[Symbols]:
        """Return one target for each source, in their order. Needs `fit` first. No source is an error."""
