"""The form of a baseline of labels or tags.

N asked positions of a text, L labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from charlm.data.labelled_text import LabelledText

OnProgress = Callable[[str, int, int], None]
"""Gets a baseline's name, the amount of work done, and the whole amount. It may raise to stop."""

Floats = npt.NDArray[np.float32]


class LabelPredictor(ABC):
    """A fitted baseline."""

    @abstractmethod
    def log_probabilities(self, text: LabelledText) -> Floats:
        """Return (N, L); the targets are not read."""


class LabelBaseline(ABC):
    """A baseline before it is fitted."""

    name: str
    description: str

    @abstractmethod
    def fit(self, train: Sequence[LabelledText], labels: Sequence[str]) -> LabelPredictor:
        """Learn from training texts.

        Args:
            labels: the names of the labels, by id.
        """


def smoothed_log_probabilities(counts_L: npt.NDArray[np.floating], floor: float = 0.5) -> Floats:
    """Return the logarithms of relative frequencies, with `floor` added to every count."""
    smoothed_L = counts_L.astype(np.float64) + floor
    return np.log(smoothed_L / smoothed_L.sum()).astype(np.float32)
