"""Schedules and budgets."""

import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from charlm.training.settings import ConstantSettings, CosineSettings, ScheduleSettings, TrainingSettings

SCHEDULES: tuple[type[Any], ...] = get_args(get_args(ScheduleSettings)[0])
PROGRESS = st.floats(0, 1.5)


@pytest.mark.parametrize("kind", SCHEDULES)
@given(step=st.integers(0, 10**7), progress=PROGRESS, warmup=st.integers(0, 1000))
def test_a_scale_is_a_share_of_the_highest_rate(kind: type[Any], step: int, progress: float, warmup: int) -> None:
    schedule = kind(warmup_steps=warmup)
    assert 0 <= schedule.scale(step, progress) <= 1
    assert schedule.scale(0, 0.0) > 0, "the first step learns something"


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_rate_warms_up_in_a_straight_line(kind: type[Any]) -> None:
    schedule = kind(warmup_steps=4)
    assert [schedule.scale(step, 0.0) for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert kind(warmup_steps=0).scale(0, 0.0) == 1


@given(progress=PROGRESS, step=st.integers(100, 10**6))
def test_constant_is_constant(progress: float, step: int) -> None:
    assert ConstantSettings().scale(step, progress) == 1


def test_cosine_falls_along_half_a_cosine_to_its_final_scale() -> None:
    schedule = CosineSettings(warmup_steps=0, final_scale=0.1)
    for share in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        expected = 0.1 + 0.9 * (1 + math.cos(math.pi * share)) / 2
        assert schedule.scale(500, share) == pytest.approx(expected)
    assert schedule.scale(500, 0.5) == pytest.approx(0.55)
    assert schedule.scale(500, 1.0) == schedule.scale(500, 1.3) == pytest.approx(0.1)


@given(low=PROGRESS, high=PROGRESS)
def test_cosine_never_rises(low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert CosineSettings().scale(1000, low) >= CosineSettings().scale(1000, high)


def test_the_first_budget_that_is_spent_ends_the_run() -> None:
    settings = TrainingSettings(max_steps=100, max_epochs=2.0, max_minutes=10.0)
    assert settings.progress(steps=50, epochs=0.1, minutes=1.0) == pytest.approx(0.5)
    assert settings.progress(steps=1, epochs=1.5, minutes=1.0) == pytest.approx(0.75)
    assert settings.progress(steps=1, epochs=0.1, minutes=9.0) == pytest.approx(0.9)
    assert TrainingSettings(max_epochs=2.0).progress(steps=10**9, epochs=1.0, minutes=1e9) == pytest.approx(0.5)


def test_no_steps_at_all_are_a_budget() -> None:
    assert TrainingSettings(max_steps=0).progress(steps=0, epochs=0.0, minutes=0.0) >= 1


def test_training_needs_an_end() -> None:
    with pytest.raises(ValidationError, match="max_steps, max_epochs or max_minutes"):
        TrainingSettings()
