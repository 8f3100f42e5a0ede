"""Decisions from the validations so far: early stopping, plateaus, the trigger of averaging. Torch-free.

They are pure functions of the history, so that a resumed run decides the same. A history is the bits per character of
every validation of a run, in order; None where it was not finite.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

History = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class ValidationHistory:
    """The best validation so far, the step of the last one, and the bits per character of all, in order."""

    best_step: int | None = None
    best_bits: float | None = None
    last_step: int | None = None
    history: tuple[float | None, ...] = ()

    def with_result(self, step: int, bits: float | None) -> "ValidationHistory":
        """Return the history after one more validation."""
        history = (*self.history, bits)
        is_best = bits is not None and (self.best_bits is None or bits < self.best_bits)
        if is_best or self.best_step is None:
            return ValidationHistory(step, bits, step, history)
        return ValidationHistory(self.best_step, self.best_bits, step, history)

    def with_best_from(self, other: "ValidationHistory | None") -> "ValidationHistory":
        """Return the same validations with the best one of `other`, or without a best one."""
        other = other or ValidationHistory()
        return replace(self, best_step=other.best_step, best_bits=other.best_bits)

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.best_step,
            "bits_per_character": self.best_bits,
            "validated": self.last_step,
            "history": list(self.history),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ValidationHistory":
        """Raise KeyError, TypeError or ValueError if the content does not fit."""
        step, bits, last_step = (content[key] for key in ("step", "bits_per_character", "validated"))
        history = tuple(None if value is None else float(value) for value in content["history"])
        return cls(
            None if step is None else int(step),
            None if bits is None else float(bits),
            None if last_step is None else int(last_step),
            history,
        )


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
