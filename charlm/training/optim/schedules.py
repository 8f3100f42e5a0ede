"""The learning rate over a run: what share of the highest rate a step gets. Torch-free.

constant   warm-up ──────────────────────────────
cosine     warm-up ──╮ half a cosine down to final_scale at the end of the budget
wsd        warm-up ─────────────────╮ a decay over the last part of it (warm-up, stable, decay)
plateau    warm-up ────┐ a factor lower each time that validations stop improving
                       └────┐
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from charlm.settings import Settings
from charlm.training.validation_history import History, count_plateaus

PositiveFloat = Annotated[float, Field(gt=0)]
DEFAULT_WARMUP = 100


@dataclass(frozen=True, slots=True)
class ScheduleInput:
    """Where a run stands before a step: all that a schedule may know.

    `step` from 0; `tokens` read so far; `progress`: the share of the budget that is spent, 0 to 1.
    """

    step: int
    tokens: int
    minutes: float
    progress: float
    history: History = ()


class _Schedule(Settings):
    """Linear warm-up, by one of three measures."""

    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up; 100 if no warm-up is given by another measure either."""
    warmup_tokens: int | None = Field(default=None, ge=1)
    warmup_minutes: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check_single_warmup(self) -> "_Schedule":
        given = (self.warmup_steps, self.warmup_tokens, self.warmup_minutes)
        if sum(measure is not None for measure in given) > 1:
            raise ValueError("give one of warmup_steps, warmup_tokens and warmup_minutes")
        return self

    def lr_factor(self, schedule_input: ScheduleInput) -> float:
        """The factor on the highest learning rate."""
        return self._warmup_factor(schedule_input) * self._decay_factor(schedule_input)

    def _warmup_factor(self, schedule_input: ScheduleInput) -> float:
        if self.warmup_tokens is not None:
            return min(1.0, (schedule_input.tokens + 1) / self.warmup_tokens)
        if self.warmup_minutes is not None:
            return min(1.0, max(schedule_input.minutes / self.warmup_minutes, 1e-3))  # the first step is one, too
        steps = DEFAULT_WARMUP if self.warmup_steps is None else self.warmup_steps
        return min(1.0, (schedule_input.step + 1) / max(1, steps))

    @abstractmethod
    def _decay_factor(self, schedule_input: ScheduleInput) -> float:
        """The factor but for the warm-up."""


class ConstantSettings(_Schedule):
    """Linear warm-up, then a constant rate."""

    type: Literal["constant"] = "constant"

    def _decay_factor(self, schedule_input: ScheduleInput) -> float:
        del schedule_input
        return 1.0


class CosineSettings(_Schedule):
    """Linear warm-up, then half a cosine down to `final_scale` at the end of the budget (Loshchilov & Hutter, 2017)."""

    type: Literal["cosine"] = "cosine"
    final_scale: float = Field(default=0.05, ge=0, le=1)
    """Share of the highest rate that is left at the end."""

    def _decay_factor(self, schedule_input: ScheduleInput) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, schedule_input.progress)))
        return self.final_scale + (1 - self.final_scale) * cosine


class WSDSettings(_Schedule):
    """Warm-up, stable, decay (Hu et al., 2024; the form of the decay: Hägele et al., 2024)."""

    type: Literal["wsd"] = "wsd"
    decay_share: float = Field(default=0.2, gt=0, le=1)
    """Share of the budget, at its end, over which the rate falls."""
    decay: Literal["linear", "sqrt"] = "sqrt"
    """linear: 1 - x; sqrt: 1 - sqrt(x), x being the share of the decay that is over."""
    final_scale: float = Field(default=0.0, ge=0, le=1)

    def _decay_factor(self, schedule_input: ScheduleInput) -> float:
        decay_progress = min(1.0, max(0.0, (schedule_input.progress - (1 - self.decay_share)) / self.decay_share))
        decayed = decay_progress if self.decay == "linear" else math.sqrt(decay_progress)
        return self.final_scale + (1 - self.final_scale) * (1 - decayed)


class PlateauSettings(_Schedule):
    """Linear warm-up, then a constant rate that falls by `factor` when `patience` validations bring no new best."""

    type: Literal["plateau"] = "plateau"
    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: int = Field(default=2, ge=1)
    """Validations without a new best, after which the rate falls; counting starts anew then."""
    final_scale: float = Field(default=0.01, ge=0, le=1)
    """The rate never falls below this share of the highest."""

    def _decay_factor(self, schedule_input: ScheduleInput) -> float:
        return max(self.final_scale, self.factor ** count_plateaus(schedule_input.history, self.patience))


ScheduleSettings = Annotated[
    ConstantSettings | CosineSettings | WSDSettings | PlateauSettings, Field(discriminator="type")
]
