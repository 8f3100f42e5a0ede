"""The learning rate over a run, as a factor on the highest rate. Torch-free.

constant   warm-up ──────────────────────────────
cosine     warm-up ──╮ half a cosine down to final_scale at the end of the budget
wsd        warm-up ─────────────────╮ a decay over the last part of the budget (warm-up, stable, decay)
plateau    warm-up ────┐ a factor lower each time that validations stop improving
                       └────┐
"""

import math
from dataclasses import dataclass
from typing import assert_never

from charlm.training.optim.settings import (
    ConstantSettings,
    CosineSettings,
    PlateauSettings,
    ScheduleSettings,
    WSDSettings,
)
from charlm.training.validation_history import History, count_plateaus

_DEFAULT_WARMUP = 100


@dataclass(frozen=True, slots=True)
class ScheduleInput:
    """The state of a run before a step, on which schedules may depend.

    `step` counts from 0; `tokens` and `minutes` are used so far; `progress` is the used fraction of the budget.
    """

    step: int
    tokens: int
    minutes: float
    progress: float
    history: History = ()


def lr_factor(settings: ScheduleSettings, schedule_input: ScheduleInput) -> float:
    """Return the factor on the highest learning rate, 0 to 1."""
    return _warmup_factor(settings, schedule_input) * _decay_factor(settings, schedule_input)


def _warmup_factor(settings: ScheduleSettings, schedule_input: ScheduleInput) -> float:
    if settings.warmup_tokens is not None:
        return min(1.0, (schedule_input.tokens + 1) / settings.warmup_tokens)
    if settings.warmup_minutes is not None:
        return min(1.0, max(schedule_input.minutes / settings.warmup_minutes, 1e-3))  # the first step learns too
    steps = _DEFAULT_WARMUP if settings.warmup_steps is None else settings.warmup_steps
    return min(1.0, (schedule_input.step + 1) / max(1, steps))


def _decay_factor(settings: ScheduleSettings, schedule_input: ScheduleInput) -> float:
    """Return the factor without the warm-up."""
    match settings:
        case ConstantSettings():
            return 1.0
        case CosineSettings(final_scale=final_scale):
            cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, schedule_input.progress)))
            return final_scale + (1 - final_scale) * cosine
        case WSDSettings(decay_fraction=decay_fraction, final_scale=final_scale):
            decay_progress = min(1.0, max(0.0, (schedule_input.progress - (1 - decay_fraction)) / decay_fraction))
            decayed = decay_progress if settings.decay == "linear" else math.sqrt(decay_progress)
            return final_scale + (1 - final_scale) * (1 - decayed)
        case PlateauSettings():
            plateaus = count_plateaus(schedule_input.history, settings.patience)
            return max(settings.final_scale, settings.factor**plateaus)
    assert_never(settings)
