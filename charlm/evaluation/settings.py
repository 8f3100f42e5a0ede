"""Settings of evaluation that adapts to the text, torch-free."""

from typing import Annotated

from pydantic import Field

from charlm.settings import Settings

PositiveFloat = Annotated[float, Field(gt=0)]


class DynamicSettings(Settings):
    """Dynamic evaluation: gradient steps on what was just scored (Krause et al., 2018, RMS with a global prior)."""

    lr: PositiveFloat = 3e-4
    """eta: the length of a step, in units of each weight's usual gradient in training."""
    decay: float = Field(default=0.003, ge=0)
    """lambda: how far each step pulls the weights back towards the trained ones."""
    segment_len: int = Field(default=20, ge=1)
    """Tokens that are scored before each step."""
    eps: PositiveFloat = 1e-5
    """Added to the usual gradient, which may be zero."""


class TuneSettings(Settings):
    """What `charlm tune` tries, on validation text."""

    max_tokens: int = Field(default=30_000, ge=100)
    """Validation text that each candidate is scored on, from the start of the split."""
    statistics_batches: int = Field(default=200, ge=1)
    """Batches of training text from which the usual gradients are found."""
    lr: tuple[PositiveFloat, ...] = Field(default=(1e-4, 3e-4, 1e-3), min_length=1)
    decay: tuple[Annotated[float, Field(ge=0)], ...] = Field(default=(1e-3, 1e-2), min_length=1)
    segment_len: int = Field(default=20, ge=1)
    temperature: tuple[PositiveFloat, ...] = Field(default=(0.9, 0.95, 0.975, 1.0, 1.025, 1.05, 1.1), min_length=1)
    """softmax(logits / T): whether the model is too sure of itself, or not enough."""
    cache_size: int = Field(default=500, ge=1)
    """Tokens that the continuous cache remembers."""
    cache_theta: tuple[PositiveFloat, ...] = Field(default=(0.05, 0.15, 0.4), min_length=1)
    cache_weight: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(default=(0.0, 0.02, 0.05, 0.1), min_length=1)


class CacheSettings(Settings):
    """A continuous cache, as it was found best."""

    theta: PositiveFloat
    share: float = Field(ge=0, lt=1)
    size: int = Field(ge=1)


class TemperatureSettings(Settings):
    """Calibration, as it was found best."""

    temperature: PositiveFloat
