"""Decisions from the validations so far: early stopping, plateaus, the trigger of averaging. Torch-free.

They are pure functions of the history, so that a resumed run decides the same. A history is the bits per character of
every validation of a run, in order; None where it was not finite. Lower is better. A run of labels or tags may compare
1 - accuracy or 1 - F1 instead (`training.select`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

History = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class ValidationHistory:
    """The best validation so far, the step of the last one, and the compared figures of all, in order.

    For other tasks than language models, bits are those of another unit.
    """

    best_step: int | None = None
    best_bits: float | None = None
    last_step: int | None = None
    history: tuple[float | None, ...] = ()
    unit: str = "character"
    select: str = "bits"
    """What is compared."""
    best_figure: float | None = None
    """The compared figure of the best validation."""

    def with_result(self, step: int, bits: float | None, figure: float | None) -> "ValidationHistory":
        """Return the history after one more validation.

        Args:
            figure: what is compared; lower is better.
        """
        later = replace(self, last_step=step, history=(*self.history, figure))
        is_best = figure is not None and (self.best_figure is None or figure < self.best_figure)
        if is_best or self.best_step is None:
            return replace(later, best_step=step, best_bits=bits, best_figure=figure)
        return later

    def with_best_from(self, other: "ValidationHistory | None") -> "ValidationHistory":
        """Return the same validations with the best one of `other`, or without a best one."""
        other = other or ValidationHistory()
        return replace(self, best_step=other.best_step, best_bits=other.best_bits, best_figure=other.best_figure)

    def with_best_at(self, step: int) -> "ValidationHistory":
        """Return the same validations with `step` as the best one. Its figure is known if it was validated last."""
        figure = self.history[-1] if self.last_step == step and self.history else None
        return replace(self, best_step=step, best_bits=figure if self.select == "bits" else None, best_figure=figure)

    def to_json(self) -> dict[str, Any]:
        content = {
            "step": self.best_step,
            f"bits_per_{self.unit}": self.best_bits,
            "validated": self.last_step,
            "history": list(self.history),
        }
        return content if self.select == "bits" else content | {"select": self.select, "figure": self.best_figure}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], unit: str = "character") -> "ValidationHistory":
        """Raise KeyError, TypeError or ValueError if the content does not fit."""
        bits = _parse_optional(content[f"bits_per_{unit}"])
        step, last_step = (None if content[key] is None else int(content[key]) for key in ("step", "validated"))
        history = tuple(map(_parse_optional, content["history"]))
        if "select" not in content:
            return cls(step, bits, last_step, history, unit, best_figure=bits)
        figure = _parse_optional(content["figure"])
        return cls(step, bits, last_step, history, unit, str(content["select"]), figure)


def _parse_optional(value: Any) -> float | None:
    return None if value is None else float(value)


def count_plateaus(history: History, patience: int) -> int:
    """Count how often `patience` validations in a row brought no new best; each time, counting restarts."""
    best, waited, plateaus = math.inf, 0, 0
    for bits in map(_none_to_inf, history):
        waited = 0 if bits < best else waited + 1
        best = min(best, bits)
        if waited == patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus


def should_stop_early(history: History, patience: int) -> bool:
    """Whether the last `patience` validations brought no new best, which ends the run (early stopping)."""
    return len(history) > patience and min(map(_none_to_inf, history[-patience:])) >= min(
        map(_none_to_inf, history[:-patience])
    )


def has_stopped_improving(history: History, patience: int) -> bool:
    """The trigger of NT-ASGD: whether a validation was worse than the best of those more than `patience` before it.

    Merity et al. (2018), algorithm 1: v_t > min over l < t - n of v_l, n being the patience.
    """
    numbers = [_none_to_inf(bits) for bits in history]
    return any(numbers[t] > min(numbers[: t - patience]) for t in range(patience + 1, len(numbers)))


def _none_to_inf(bits: float | None) -> float:
    return math.inf if bits is None else bits
