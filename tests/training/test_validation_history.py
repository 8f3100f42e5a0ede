"""Decisions from validations, compared with the definitions of their sources."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.training.validation_history import count_plateaus, has_stopped_improving, should_stop_early

HISTORY = st.lists(st.floats(0.5, 3) | st.none(), max_size=30)


@pytest.mark.parametrize(
    ("history", "patience", "exhausted"),
    [
        ([], 1, False),
        ([2.0], 1, False),
        ([2.0, 1.9], 1, False),
        ([2.0, 2.0], 1, True),
        ([2.0, 2.1, 1.9], 2, False),
        ([2.0, 2.1, 2.05], 2, True),
        ([2.0, None, math.inf], 2, True),
        ([None, None], 1, True),
    ],
)
def test_patience(history: list[float | None], patience: int, exhausted: bool) -> None:
    assert should_stop_early(history, patience) == exhausted


@given(history=HISTORY, patience=st.integers(1, 6))
def test_patience_ends_this_many_validations_after_the_best(history: list[float | None], patience: int) -> None:
    numbers = [math.inf if bits is None else bits for bits in history]
    best = min(range(len(numbers)), key=numbers.__getitem__, default=0)
    assert should_stop_early(history, patience) == (len(numbers) - 1 - best >= patience)


@given(history=HISTORY, patience=st.integers(1, 6))
def test_the_trigger_is_that_of_algorithm_1(history: list[float | None], patience: int) -> None:
    """Merity et al. (2018): v is compared at each t with l in {0 .. t - n - 1}; once triggered, it stays so."""
    triggered = False
    for t, bits in enumerate(history):
        now = math.inf if bits is None else bits
        earlier = [math.inf if old is None else old for old in history[: max(0, t - patience)]]
        triggered = triggered or (t > patience and now > min(earlier))
    assert has_stopped_improving(history, patience) == triggered


@given(history=HISTORY, patience=st.integers(1, 6))
def test_plateaus_never_fall_and_are_patience_apart(history: list[float | None], patience: int) -> None:
    counts = [count_plateaus(history[:length], patience) for length in range(len(history) + 1)]
    assert all(0 <= later - earlier <= 1 for earlier, later in itertools.pairwise(counts))
    rises = [length for length, (a, b) in enumerate(itertools.pairwise(counts)) if b > a]
    assert all(later - earlier >= patience for earlier, later in itertools.pairwise(rises))
