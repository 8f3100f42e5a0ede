"""Settings of optimizers, schedules and weight averaging: pure data, torch-free.

OptimizerSettings   adamw | sgd | muon                    build.py makes the optimizers
ScheduleSettings    constant | cosine | wsd | plateau     schedules.py computes the learning rate's factor
AveragingSettings   none | ema | triggered                averaging.py computes the weight of each update
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from charlm.settings import Settings


class AdamWSettings(Settings):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), which applies to matrices only."""

    type: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 2e-3
    """Highest learning rate, which the schedule multiplies by a factor of at most 1."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)


class SGDSettings(Settings):
    """Stochastic gradient descent. With `training.averaging.type = "triggered"` it is NT-ASGD (Merity et al., 2018)."""

    type: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 1.0
    """Highest learning rate; a large one needs a low training.clip_norm (AWD-LSTM uses 30 and 0.25)."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    """Whether to use Nesterov's momentum."""
    weight_decay: float = Field(default=0.0, ge=0)
    """L2 penalty on matrices: this times the weights is added to their gradient."""


class MuonSettings(Settings):
    """Orthogonalised momentum (Jordan et al., 2024) for the matrices of the body; AdamW for all other parameters."""

    type: Literal["muon"] = "muon"
    lr: PositiveFloat = 0.02
    """Highest learning rate of the body's matrices; each multiplies it by sqrt(max(1, rows / columns))."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    num_iterations: int = Field(default=5, ge=1, lt=100)
    """Newton-Schulz iterations of the orthogonalisation."""
    adamw: AdamWSettings = AdamWSettings()
    """AdamW for embeddings, head, biases, gains and all other parameters that are not matrices of the body."""


OptimizerSettings = Annotated[AdamWSettings | SGDSettings | MuonSettings, Field(discriminator="type")]


class _Schedule(Settings):
    """Linear warm-up, counted in one of three units."""

    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up; 100 if no warm-up is given in another unit either."""
    warmup_tokens: int | None = Field(default=None, ge=1)
    """Tokens of linear warm-up, instead of steps."""
    warmup_minutes: PositiveFloat | None = None
    """Minutes of linear warm-up, instead of steps."""

    @model_validator(mode="after")
    def _check_single_warmup(self) -> "_Schedule":
        given = (self.warmup_steps, self.warmup_tokens, self.warmup_minutes)
        if sum(measure is not None for measure in given) > 1:
            raise ValueError("give only one of warmup_steps, warmup_tokens and warmup_minutes")
        return self


class ConstantSettings(_Schedule):
    """Linear warm-up, then a constant learning rate."""

    type: Literal["constant"] = "constant"


class CosineSettings(_Schedule):
    """Linear warm-up, then half a cosine down to `final_scale` at the end of the budget (Loshchilov & Hutter, 2017)."""

    type: Literal["cosine"] = "cosine"
    final_scale: float = Field(default=0.05, ge=0, le=1)
    """Fraction of the highest learning rate that is left at the end."""


class WSDSettings(_Schedule):
    """Warm-up, stable, decay (Hu et al., 2024; the form of the decay: Hägele et al., 2024)."""

    type: Literal["wsd"] = "wsd"
    decay_fraction: float = Field(default=0.2, gt=0, le=1)
    """Fraction of the budget, at its end, over which the learning rate falls."""
    decay: Literal["linear", "sqrt"] = "sqrt"
    """Form of the decay: linear is 1 - x, sqrt is 1 - sqrt(x), where x is the completed fraction of the decay."""
    final_scale: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the highest learning rate that is left at the end."""


class PlateauSettings(_Schedule):
    """Linear warm-up, then a constant learning rate, multiplied by `factor` after `patience` validations without a new
    best."""

    type: Literal["plateau"] = "plateau"
    factor: float = Field(default=0.5, gt=0, lt=1)
    """Factor on the learning rate at each plateau."""
    patience: int = Field(default=2, ge=1)
    """Validations without a new best after which the learning rate falls; counting then restarts."""
    final_scale: float = Field(default=0.01, ge=0, le=1)
    """Fraction of the highest learning rate below which it never falls."""


ScheduleSettings = Annotated[
    ConstantSettings | CosineSettings | WSDSettings | PlateauSettings, Field(discriminator="type")
]


class NoAveragingSettings(Settings):
    """No averaging: the trained weights are scored and saved."""

    type: Literal["none"] = "none"


class EMASettings(Settings):
    """An exponential moving average of the weights; its decay after n steps is at most (1+n)/(10+n)."""

    type: Literal["ema"] = "ema"
    decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the average, which reaches back about 1 / (1 - decay) steps."""


class TriggeredSettings(Settings):
    """The mean of all weights since validations stopped improving: the averaging of NT-ASGD (Merity et al., 2018)."""

    type: Literal["triggered"] = "triggered"
    patience: int = Field(default=5, ge=1)
    """Averaging starts after a validation that is worse than the best of those more than this many before it."""


AveragingSettings = Annotated[NoAveragingSettings | EMASettings | TriggeredSettings, Field(discriminator="type")]
