"""The options of `charlm predict` and `model.predict` as a caller gives them: defaults, types and ranges."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self, TypedDict, Unpack, get_args

from charlm.arguments import number, one_of, texts, whole_number
from charlm.device import Precision
from charlm.errors import OptionError, UsageError
from charlm.suggestions.words import suggest

_MAX_TEMPERATURE = 100
_MAX_BEAMS = 1024
_MAX_LENGTH_PENALTY = 10


class PredictKeywords(TypedDict, total=False):
    """The keywords of `charlm.api.Model.predict`, described in `PredictOptions`."""

    top: int
    threshold: float
    labels: str | Sequence[str]
    temperature: float
    precision: Precision
    beams: int
    length_penalty: float


def _precision(keyword: str, value: object) -> str:
    return one_of(keyword, value, get_args(Precision))


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "top": whole_number,
    "threshold": number,
    "labels": texts,
    "temperature": number,
    "precision": _precision,
    "beams": whole_number,
    "length_penalty": number,
}
"""Option -> the check of its type."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How labels and texts are predicted.

    Raises:
        OptionError: an option has another type, or is out of range.
    """

    top: int = 1
    """The number of labels, or of written texts, given for each text."""
    threshold: float = 0.0
    """A best label with a lower probability is rejected."""
    labels: str | Sequence[str] = ()
    """The labels that may be chosen; their probabilities add up to 1. Empty: all. A tuple after the check."""
    temperature: float = 1.0
    """The temperature that probabilities are calibrated with, as `charlm eval` reports it."""
    precision: Precision = "fp32"
    """Of matrix products, "fp32" or "bf16"."""
    beams: int = 5
    """Of models that write texts: the number of beginnings of texts that the search keeps."""
    length_penalty: float = 0.0
    """Of models that write texts: texts are compared by log p / tokens ** length_penalty."""
    given: Collection[str] = ()
    """The options that the caller names, which are refused where they have no effect, even with their defaults."""

    @classmethod
    def from_keywords(cls, **options: Unpack[PredictKeywords]) -> Self:
        """Return the options that a caller gives, and remember which.

        Raises:
            TypeError: there is no such option.
            OptionError: an option has another type, or is out of range.
        """
        return cls(**options, given=frozenset(options))

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if self.top < 1:
            raise OptionError(f"{{top}} {self.top} is out of range", "give a number of at least 1")
        if not 0 <= self.threshold <= 1:
            raise OptionError(f"{{threshold}} {self.threshold} is no probability", "give a number from 0 to 1")
        if not 0 < self.temperature <= _MAX_TEMPERATURE:
            what = f"{{temperature}} {self.temperature} is out of range"
            raise OptionError(what, f"give a number above 0, up to {_MAX_TEMPERATURE}")

        if not 1 <= self.beams <= _MAX_BEAMS:
            raise OptionError(f"{{beams}} {self.beams} is out of range", f"give a number from 1 to {_MAX_BEAMS}")
        if not 0 <= self.length_penalty <= _MAX_LENGTH_PENALTY:
            what = f"{{length_penalty}} {self.length_penalty} is out of range"
            raise OptionError(what, f"give a number from 0 to {_MAX_LENGTH_PENALTY}")

    def check_targets(self) -> None:
        """
        Raises:
            OptionError: the model writes texts, and an option is for labels.
        """
        if self.top > _MAX_BEAMS:
            raise OptionError(f"{{top}} {self.top} is out of range", f"give a number from 1 to {_MAX_BEAMS}")
        for name in ("threshold", "labels", "temperature"):
            if self._is_given(name):
                what = f"{{{name}}} is for labels of documents, and this model writes texts"
                raise OptionError(what, f"leave {{{name}}} out")

    def check_no_search(self) -> None:
        """
        Raises:
            OptionError: the model predicts labels or tags, and an option is for texts.
        """
        for name in ("beams", "length_penalty"):
            if self._is_given(name):
                what = f"{{{name}}} is for models that write texts, and this one predicts labels or tags"
                raise OptionError(what, f"leave {{{name}}} out")

    def check_model(self, names: Sequence[str], *, per_document: bool) -> None:
        """Check that the options fit a model.

        Args:
            names: the labels or tags of the model.
            per_document: whether it predicts one label for each document.

        Raises:
            OptionError: the model predicts tags, and an option is for labels; or the model has no such label.
        """
        if not per_document:
            for name in ("top", "threshold", "labels", "temperature"):
                if self._is_given(name):
                    what = f"{{{name}}} is for labels of documents, and this model predicts tags"
                    raise OptionError(what, f"leave {{{name}}} out")
        for label in self.labels:
            if label not in names:
                cure = suggest(label, list(names), "it has")
                raise OptionError("{labels}: the model has no label {label}", "{cure}", label=repr(label), cure=cure)

    def _is_given(self, name: str) -> bool:
        return name in self.given or getattr(self, name) != getattr(PredictOptions(), name)


def find_label(label: str, names: Sequence[str]) -> int:
    """Return the id of a label.

    Raises:
        UsageError: the model has no such label; names the nearest.
    """
    if label not in names:
        raise UsageError(f"the model has no label {label!r}", suggest(label, list(names), "it has"))
    return names.index(label)
