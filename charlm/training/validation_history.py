"""What the validations so far say: pure functions of their history, so that a resumed run judges alike. Torch-free.

A history is the bits per character of every validation of a run, in order; None where that was no finite number.
"""

import math
from collections.abc import Sequence

History = Sequence[float | None]


def count_plateaus(history: History, patience: int) -> int:
    """How often `patience` validations in a row brought no new best; after each time, counting starts anew."""
    best, waited, plateaus = math.inf, 0, 0
    for bits in map(_none_to_inf, history):
        waited = 0 if bits < best else waited + 1
        best = min(best, bits)
        if waited == patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus


def should_stop_early(history: History, patience: int) -> bool:
    """Whether the last `patience` validations brought no new best: early stopping."""
    return len(history) > patience and min(map(_none_to_inf, history[-patience:])) >= min(
        map(_none_to_inf, history[:-patience])
    )


def has_stopped_improving(history: History, patience: int) -> bool:
    """The trigger of NT-ASGD: whether any validation so far was worse than the best of those `patience` before it.

    Merity et al. (2018), algorithm 1: v_t > min over l < t - n of v_l, n being the patience.
    """
    numbers = [_none_to_inf(bits) for bits in history]
    return any(numbers[t] > min(numbers[: t - patience]) for t in range(patience + 1, len(numbers)))


def _none_to_inf(bits: float | None) -> float:
    return math.inf if bits is None else bits
