"""What a plot of a report shows over the training: bits, or the accuracy or F1 of labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from charlm.training.logs.metrics_file import LogEntry


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of the lines of a log."""

    key: Literal["bits", "accuracy", "f1"]
    """Its name in `training.select`."""
    title: str
    axis: str
    """The title of the vertical axis."""
    decimals: int
    value: Callable[[LogEntry], float | None]
    is_higher_better: bool = False

    def format(self, value: float) -> str:
        return f"{value:.{self.decimals}f}"


def _in_percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


BITS_PER_CHARACTER = Measure("bits", "bits per character", "bits", 4, lambda entry: entry.bits)
BITS_PER_LABEL = Measure("bits", "bits per label", "bits", 4, lambda entry: entry.bits)
ACCURACY = Measure("accuracy", "accuracy", "%", 2, lambda entry: _in_percent(entry.accuracy), is_higher_better=True)
F1 = Measure("f1", "F1", "%", 2, lambda entry: _in_percent(entry.f1), is_higher_better=True)
"""Of segments if there are any, else macro-F1."""
