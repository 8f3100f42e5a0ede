"""Settings of dynamic evaluation, of the continuous cache, of the temperature, and of `charlm tune`. Torch-free."""

from typing import Annotated

from pydantic import Field

from charlm.settings import Settings

PositiveFloat = Annotated[float, Field(gt=0)]


class DynamicSettings(Settings):
    """Dynamic evaluation: gradient steps on the text just scored (Krause et al., 2018, RMS with a global prior)."""

    lr: PositiveFloat = 3e-4
    """eta, the step size. Each weight's gradient is divided by its root mean square on training text."""
    decay: float = Field(default=0.003, ge=0)
    """lambda: how strongly each step pulls the weights back to their trained values."""
    segment_len: int = Field(default=20, ge=1)
    """Tokens scored before each step."""
    eps: PositiveFloat = 1e-5
    """Added to the root mean square of the gradient, which may be 0."""


class TuneSettings(Settings):
    """The candidates that `charlm tune` tries on validation text."""

    max_tokens: int = Field(default=30_000, ge=100)
    """Tokens of validation text, from the start of the split, on which each candidate is scored."""
    statistics_batches: int = Field(default=200, ge=1)
    """Batches of training text from which each weight's mean squared gradient is estimated."""
    lr: tuple[PositiveFloat, ...] = Field(default=(1e-4, 3e-4, 1e-3), min_length=1)
    """Step sizes of dynamic evaluation."""
    decay: tuple[Annotated[float, Field(ge=0)], ...] = Field(default=(1e-3, 1e-2), min_length=1)
    """Strengths of its pull to the trained weights."""
    segment_len: int = Field(default=20, ge=1)
    """Tokens it scores before each step."""
    temperature: tuple[PositiveFloat, ...] = Field(default=(0.9, 0.95, 0.975, 1.0, 1.025, 1.05, 1.1), min_length=1)
    """T in softmax(logits / T): above 1 for a model that is overconfident, below 1 for one that is underconfident."""
    cache_size: int = Field(default=500, ge=1)
    """Tokens in the continuous cache."""
    cache_theta: tuple[PositiveFloat, ...] = Field(default=(0.05, 0.15, 0.4), min_length=1)
    """How strongly the cache prefers similar contexts."""
    cache_weight: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(default=(0.0, 0.02, 0.05, 0.1), min_length=1)
    """Weights of the cache in the mixture with the model; 0 is the model alone."""


class CacheSettings(Settings):
    """The continuous cache that `charlm tune` found best."""

    theta: PositiveFloat
    share: float = Field(ge=0, lt=1)
    size: int = Field(ge=1)


class TemperatureSettings(Settings):
    """The temperature that `charlm tune` found best."""

    temperature: PositiveFloat
