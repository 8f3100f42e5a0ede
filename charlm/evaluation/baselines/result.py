"""The interface of a baseline, and its result: a score in the units of a network's, so that one table holds both."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream
from charlm.evaluation.score import Score

Nats = npt.NDArray[np.floating[Any]]
OnProgress = Callable[[str, int, int], None]
"""Gets a baseline's name, the amount of work done, and the whole amount. It may raise to stop."""


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    name: str
    description: str
    """The method and its settings; where there is no score, the reason."""
    score: Score
    """Its nats are NaN where there is no score."""
    seconds: float
    uses_training_text: bool
    """Whether the method used the training text."""
    nats_P: Nats | None = None
    """(P,) of each prediction of the stream, in its order; None for a method that does not predict tokens."""


class Baseline(Protocol):
    def results(self, corpus: Corpus, split: str, on_progress: OnProgress) -> Iterator[BaselineResult]:
        """Yield each result as soon as it is known."""
        ...


def score_split(nats: float, stream: TokenStream) -> Score:
    """Return the score of a whole split, including every <eod>."""
    return Score.from_sum(nats, stream.num_predictions, stream)
