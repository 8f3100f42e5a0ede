"""The options of a sample as a caller gives them: pure data, the defaults, and which values are allowed.

    charlm sample --top-p 0.9 ─┐
    model.sample(top_p=0.9) ───┴──> SamplingOptions ──plan.plan_sampling──> SamplingPlan

This module imports neither torch nor numpy, so that the command line can show the defaults.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from charlm.arguments import number, one_of, text, texts, unicode_text, whole_number
from charlm.errors import OptionError

StepPrecision = Literal["fp32", "bf16", "int8"]

_ABOVE_ZERO = math.ulp(0.0)
_RANGES: dict[str, tuple[float, float, str]] = {
    "length": (0, 10**9, "give 0 to 1,000,000,000 characters"),
    "temperature": (0, 100, "give 0 (the most probable token each time) to 100; 1 is the model's own distribution"),
    "top_k": (1, math.inf, "give 1 or more"),
    "top_p": (_ABOVE_ZERO, 1, "give a number above 0 and at most 1"),
    "typical_p": (_ABOVE_ZERO, 1, "give a number above 0 and at most 1"),
    "min_p": (0, 1, "give 0 to 1, such as 0.05"),
    "repetition_penalty": (1, 100, "give 1 (no penalty) to 100; 1.2 is a strong penalty"),
    "frequency_penalty": (-100, 100, "give -100 to 100; 0 is no penalty, 0.1 a strong one in a window of 64 tokens"),
    "penalty_window": (1, 10**6, "give 1 to 1,000,000 tokens"),
    "seed": (0, 2**63 - 1, "give 0 to 9,223,372,036,854,775,807"),
}
"""Option -> the least and the greatest value, and what to do about any other."""


def _temperature(option: str, value: object) -> float | str:
    return value if isinstance(value, str) else number(option, value)


def _precision(option: str, value: object) -> str:
    return one_of(option, value, get_args(StepPrecision))


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "prompt": text,
    "length": whole_number,
    "temperature": _temperature,
    "top_k": whole_number,
    "top_p": number,
    "min_p": number,
    "typical_p": number,
    "repetition_penalty": number,
    "frequency_penalty": number,
    "penalty_window": whole_number,
    "stop": texts,
    "regex": unicode_text,
    "must_contain": texts,
    "only": unicode_text,
    "never": unicode_text,
    "seed": whole_number,
    "precision": _precision,
}
"""Option -> the check of its type."""


class SampleKeywords(TypedDict, total=False):
    """The keywords of `charlm.api.Model.sample`, described in `SamplingOptions`."""

    length: int
    temperature: float | str
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    frequency_penalty: float
    penalty_window: int
    stop: str | Sequence[str]
    regex: str
    must_contain: str | Sequence[str]
    only: str
    never: str
    seed: int
    precision: StepPrecision


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How text is drawn: the options of `charlm sample` and the keywords of `Model.sample`.

    Raises:
        OptionError: a value has another type or is out of range, or options contradict each other.
    """

    prompt: str = ""
    """The text to go on from; of a backward model, the text to lead to."""
    length: int = 500
    """Characters to write."""
    temperature: float | str = 0.7
    """softmax(logits / T): 0 is greedy, 1 the model's own distribution, "0.5:1.2" goes from one to the other over the
    length of the text."""
    top_k: int | None = None
    """Draw from this many most probable tokens."""
    top_p: float | None = None
    """Draw from the smallest set of most probable tokens that has this probability."""
    min_p: float | None = None
    """Draw from the tokens at least this many times as probable as the most probable one."""
    typical_p: float | None = None
    """Draw from a set of this probability of the tokens whose surprisal is nearest to the entropy."""
    repetition_penalty: float | None = None
    """Divide the positive logits of recent tokens by this factor, and multiply the negative ones."""
    frequency_penalty: float | None = None
    """Subtract this from a token's logit for each time that it is among the recent tokens."""
    penalty_window: int = 64
    """Recent tokens that the penalties look back on."""
    stop: str | Sequence[str] = ()
    """The text ends before the first of these; a single one needs no list."""
    regex: str | None = None
    """A regular expression (Python's syntax) that the text matches as a whole."""
    must_contain: str | Sequence[str] = ()
    """Texts that the text contains; a single one needs no list."""
    only: str | None = None
    """The characters that may occur; all if left out."""
    never: str = ""
    """The characters that may not occur."""
    seed: int = 0
    """The same seed gives the same text."""
    precision: str = "fp32"
    """fp32, bf16, or int8 (the matrices of recurrent cells)."""

    def __post_init__(self) -> None:
        for option, check in _CHECKS.items():
            value = getattr(self, option)
            if value is not None or getattr(type(self), option) is not None:
                object.__setattr__(self, option, check(option, value))
        for option in _RANGES:
            value = getattr(self, option)
            if value is not None and not isinstance(value, str):
                check_range(option, value)
        parse_temperature(self.temperature)
        for option in ("stop", "must_contain"):
            if "" in getattr(self, option):
                raise OptionError(f"an empty {{{option}}} occurs in every text", "give at least one character")
        if self.penalty_window != type(self).penalty_window and not self._has_penalty:
            raise OptionError(
                "{penalty_window} is the reach of {repetition_penalty} and {frequency_penalty}, and neither is given",
                "give one of them, or leave {penalty_window} out",
            )
        if self.regex == "":
            raise OptionError("an empty {regex} matches the empty text only", "leave it out, or give one such as '.*'")
        given = {
            "{regex}": self.regex is not None,
            "{must_contain}": bool(self.must_contain),
            "{only} and {never}": self.only is not None or bool(self.never),
        }
        conflicting = [name for name, is_given in given.items() if is_given]
        if len(conflicting) > 1:
            raise OptionError(f"{' and '.join(conflicting)} do not go together", "express all of it in one {regex}")

    @property
    def is_greedy(self) -> bool:
        """Whether the most probable token is taken each time."""
        start, end = parse_temperature(self.temperature)
        return start == 0 and not end

    @property
    def _has_penalty(self) -> bool:
        return self.repetition_penalty is not None or self.frequency_penalty is not None


def check_range(option: str, value: float) -> None:
    """Check a value against the range of its option.

    Raises:
        OptionError: the value is out of range.
    """
    low, high, cure = _RANGES[option]
    if not low <= value <= high:
        shown = f"{value:.15g}" if isinstance(value, float) else value
        raise OptionError(f"{{{option}}} {{value}} is out of range", cure, value=shown)


def parse_temperature(temperature: float | str) -> tuple[float, float | None]:
    """Return the temperature at the start, and at the end where it changes ("0.5:1.2").

    Raises:
        OptionError: it is not one or two numbers, or out of range.
    """
    try:
        start, *rest = (float(part) for part in str(temperature).split(":"))
        (end,) = rest or (None,)
    except ValueError:
        raise OptionError(
            "{temperature} {value} is not a number",
            "give one such as 0.7, or two such as 0.5:1.2",
            value=repr(temperature),
        ) from None
    for value in (start, start if end is None else end):
        check_range("temperature", value)
    return start, end


def parse_precision(precision: str) -> StepPrecision:
    """Return a precision by its name.

    Raises:
        OptionError: there is no such precision.
    """
    return one_of("precision", precision, get_args(StepPrecision))
