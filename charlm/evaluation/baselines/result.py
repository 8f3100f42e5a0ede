"""What a baseline is, and what comes of it: a score in the units of a network's, so that both stand in one table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream
from charlm.evaluation.score import Score

OnProgress = Callable[[str, int, int], None]
"""Called with a baseline's name, how much of its work is done and how much there is; it may raise to stop."""


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    name: str
    description: str
    """What was done, with which settings; where there is no score, why."""
    score: Score
    """Its nats are NaN where there is none."""
    seconds: float
    uses_training_text: bool
    """Whether it knew the training text."""


class Baseline(Protocol):
    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        """One result or more, each as soon as it is there."""
        ...


def score_split(nats: float, stream: TokenStream) -> Score:
    """What was paid for all of a split, its <eod> included."""
    return Score.from_sum(nats, stream.num_predictions, stream)
