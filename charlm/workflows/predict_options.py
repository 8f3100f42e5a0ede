"""How labels are predicted: the options of `charlm predict` and `model.predict`, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass

from charlm.device import Precision
from charlm.errors import UsageError
from charlm.suggestions.words import suggest


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How labels are predicted."""

    top: int = 1
    """The number of labels given for each text."""
    threshold: float = 0.0
    """A best label with a lower probability is rejected."""
    labels: tuple[str, ...] = ()
    """The labels that may be chosen; their probabilities add up to 1. Empty: all."""
    temperature: float = 1.0
    """The temperature that probabilities are calibrated with, as `charlm eval` reports it."""
    precision: Precision = "fp32"


def refuse_label_options(options: PredictOptions, noun: str) -> None:
    """Refuse what only labels of documents have.

    Args:
        noun: what the model predicts, in the plural.

    Raises:
        UsageError: names the option.
    """
    given = {"top": options.top != 1, "threshold": options.threshold > 0, "labels": bool(options.labels)}
    given["temperature"] = options.temperature != 1
    for name, is_given in given.items():
        if is_given:
            raise UsageError(f"{name} is for labels of documents, and this model predicts {noun}", "leave it out")


def check_ranges(options: PredictOptions) -> None:
    """
    Raises:
        UsageError: a number is out of its range.
    """
    if options.top < 1:
        raise UsageError(f"top is {options.top}", "give a number of at least 1")
    if not 0 <= options.threshold <= 1:
        raise UsageError(f"threshold {options.threshold} is no probability", "give a number from 0 to 1")
    if not 0 < options.temperature <= 100:
        raise UsageError(f"temperature {options.temperature} is out of range", "give a number above 0, up to 100")


def find_label(label: str, names: Sequence[str]) -> int:
    """Return the id of a label.

    Raises:
        UsageError: the model has no such label; names the nearest.
    """
    if label not in names:
        raise UsageError(f"the model has no label {label!r}", suggest(label, list(names), "it has"))
    return names.index(label)
