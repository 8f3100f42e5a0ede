"""Schedules and budgets."""

import math
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from charlm.training.optim.schedules import ScheduleInput, lr_factor
from charlm.training.optim.settings import (
    ConstantSettings,
    CosineSettings,
    PlateauSettings,
    ScheduleSettings,
    WSDSettings,
)
from charlm.training.run_progress import used_fractions
from charlm.training.settings import TrainingSettings

SCHEDULES: tuple[type[Any], ...] = get_args(get_args(ScheduleSettings)[0])
PROGRESS = st.floats(0, 1.5)


def scale(schedule: Any, step: int, spent: float, history: Sequence[float | None] = ()) -> float:
    return lr_factor(schedule, ScheduleInput(step, 64 * step, step / 10, spent, history))


@pytest.mark.parametrize("kind", SCHEDULES)
@given(step=st.integers(0, 10**7), spent=PROGRESS, warmup=st.integers(0, 1000))
def test_the_factor_is_between_0_and_1(kind: type[Any], step: int, spent: float, warmup: int) -> None:
    schedule = kind(warmup_steps=warmup)
    assert 0 <= scale(schedule, step, spent) <= 1
    assert scale(schedule, 0, 0.0) > 0, "the first step learns something"


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_rate_warms_up_in_a_straight_line(kind: type[Any]) -> None:
    schedule = kind(warmup_steps=4)
    assert [scale(schedule, step, 0.0) for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert scale(kind(warmup_steps=0), 0, 0.0) == 1


@given(spent=PROGRESS, step=st.integers(100, 10**6))
def test_constant_is_constant(spent: float, step: int) -> None:
    assert scale(ConstantSettings(), step, spent) == 1


def test_cosine_falls_along_half_a_cosine_to_its_final_scale() -> None:
    schedule = CosineSettings(warmup_steps=0, final_scale=0.1)
    for spent in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        expected = 0.1 + 0.9 * (1 + math.cos(math.pi * spent)) / 2
        assert scale(schedule, 500, spent) == pytest.approx(expected)
    assert scale(schedule, 500, 0.5) == pytest.approx(0.55)
    assert scale(schedule, 500, 1.0) == scale(schedule, 500, 1.3) == pytest.approx(0.1)


@given(low=PROGRESS, high=PROGRESS)
def test_cosine_never_rises(low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert scale(CosineSettings(), 1000, low) >= scale(CosineSettings(), 1000, high)


def test_wsd_is_constant_and_then_falls_to_its_final_scale() -> None:
    schedule = WSDSettings(warmup_steps=0, decay_fraction=0.2, decay="linear", final_scale=0.1)
    assert [scale(schedule, 9, spent) for spent in (0.0, 0.5, 0.8)] == pytest.approx([1, 1, 1])
    assert [scale(schedule, 9, spent) for spent in (0.85, 0.9, 1.0, 1.2)] == pytest.approx([0.775, 0.55, 0.1, 0.1])
    root = WSDSettings(warmup_steps=0, decay_fraction=0.2)
    assert [scale(root, 9, spent) for spent in (0.8, 0.85, 1.0)] == pytest.approx([1, 0.5, 0])


def test_plateau_falls_when_validations_do_not() -> None:
    schedule = PlateauSettings(warmup_steps=0, factor=0.5, patience=2, final_scale=0.2)
    history = [3.0, 2.0, 2.5, 2.0, 1.9, 2.0, None, 1.95, 1.9, 2.0, 2.0]
    falls = [scale(schedule, 9, 0.5, history[:length]) for length in range(len(history) + 1)]
    assert falls == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2])


def test_warm_up_is_counted_in_tokens_or_minutes_too() -> None:
    assert [scale(ConstantSettings(warmup_tokens=256), step, 0.0) for step in (1, 2, 4, 9)] == pytest.approx(
        [65 / 256, 129 / 256, 1, 1]
    )
    assert [scale(ConstantSettings(warmup_minutes=0.4), step, 0.0) for step in (0, 2, 4, 9)] == pytest.approx(
        [0.001, 0.5, 1, 1]
    )
    with pytest.raises(ValidationError, match="one of warmup_steps"):
        ConstantSettings(warmup_steps=1, warmup_tokens=1)


def progress(settings: TrainingSettings, **used: Any) -> float:
    return max(used_fractions(settings, **used).values())


def test_the_first_budget_that_is_used_up_ends_the_run() -> None:
    settings = TrainingSettings(max_steps=100, max_epochs=2.0, max_minutes=10.0)
    assert progress(settings, steps=50, tokens=0, epochs=0.1, minutes=1.0) == pytest.approx(0.5)
    assert progress(settings, steps=1, tokens=0, epochs=1.5, minutes=1.0) == pytest.approx(0.75)
    assert progress(settings, steps=1, tokens=0, epochs=0.1, minutes=9.0) == pytest.approx(0.9)
    epochs_alone = TrainingSettings(max_epochs=2.0)
    assert progress(epochs_alone, steps=10**9, tokens=10**9, epochs=1.0, minutes=1e9) == pytest.approx(0.5)
    tokens_too = TrainingSettings(max_epochs=2.0, max_tokens=100)
    assert progress(tokens_too, steps=3, tokens=70, epochs=1.0, minutes=1.0) == pytest.approx(0.7)


def test_a_budget_of_no_steps_is_used_up() -> None:
    assert progress(TrainingSettings(max_steps=0), steps=0, tokens=0, epochs=0.0, minutes=0.0) >= 1


def test_training_needs_a_budget() -> None:
    with pytest.raises(ValidationError, match="max_steps, max_tokens, max_epochs or max_minutes"):
        TrainingSettings()
