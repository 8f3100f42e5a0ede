"""Settings of optimizers, schedules and weight averaging: pure data, torch-free.

OptimizerSettings   adamw | sgd | muon                    build.py makes the optimizers
ScheduleSettings    constant | cosine | wsd | plateau     schedules.py computes the learning rate's factor
AveragingSettings   none | ema | triggered                averaging.py computes the weight of each update
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from charlm.settings import Settings


class AdamWSettings(Settings):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), the decay on matrices only."""

    type: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 2e-3
    """Highest learning rate; the schedule scales it."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)


class SGDSettings(Settings):
    """Stochastic gradient descent. With `training.averaging.type = "triggered"` it is NT-ASGD (Merity et al., 2018)."""

    type: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 1.0
    """Highest learning rate; large ones go with a low training.clip_norm (AWD-LSTM's: 30 and 0.25)."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    """Nesterov's form of the momentum."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Added to the gradient of matrices, as the L2 penalty that it is here."""


class MuonSettings(Settings):
    """Momentum whose matrix is orthogonalised (Jordan et al., 2024), on the body's matrices; AdamW on all the rest."""

    type: Literal["muon"] = "muon"
    lr: PositiveFloat = 0.02
    """Highest learning rate of the orthogonalised matrices, times sqrt(max(1, rows / columns)) of each."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    num_iterations: int = Field(default=5, ge=1, lt=100)
    """Of Newton and Schulz."""
    adamw: AdamWSettings = AdamWSettings()
    """Of embeddings, head, biases, gains, and what is no matrix."""


OptimizerSettings = Annotated[AdamWSettings | SGDSettings | MuonSettings, Field(discriminator="type")]


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


class ConstantSettings(_Schedule):
    """Linear warm-up, then a constant rate."""

    type: Literal["constant"] = "constant"


class CosineSettings(_Schedule):
    """Linear warm-up, then half a cosine down to `final_scale` at the end of the budget (Loshchilov & Hutter, 2017)."""

    type: Literal["cosine"] = "cosine"
    final_scale: float = Field(default=0.05, ge=0, le=1)
    """Share of the highest rate that is left at the end."""


class WSDSettings(_Schedule):
    """Warm-up, stable, decay (Hu et al., 2024; the form of the decay: Hägele et al., 2024)."""

    type: Literal["wsd"] = "wsd"
    decay_fraction: float = Field(default=0.2, gt=0, le=1)
    """Share of the budget, at its end, over which the rate falls."""
    decay: Literal["linear", "sqrt"] = "sqrt"
    """linear: 1 - x; sqrt: 1 - sqrt(x), x being the share of the decay that is over."""
    final_scale: float = Field(default=0.0, ge=0, le=1)


class PlateauSettings(_Schedule):
    """Linear warm-up, then a constant rate that falls by `factor` when `patience` validations bring no new best."""

    type: Literal["plateau"] = "plateau"
    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: int = Field(default=2, ge=1)
    """Validations without a new best, after which the rate falls; counting starts anew then."""
    final_scale: float = Field(default=0.01, ge=0, le=1)
    """The rate never falls below this share of the highest."""


ScheduleSettings = Annotated[
    ConstantSettings | CosineSettings | WSDSettings | PlateauSettings, Field(discriminator="type")
]


class NoAveragingSettings(Settings):
    """The weights that learn are those that are scored."""

    type: Literal["none"] = "none"


class EMASettings(Settings):
    """An exponential moving average of the weights, starting short: the decay after n steps is at most (1+n)/(10+n)."""

    type: Literal["ema"] = "ema"
    decay: float = Field(default=0.999, ge=0, lt=1)
    """The average reaches back about 1 / (1 - decay) steps."""


class TriggeredSettings(Settings):
    """The mean of all weights since validations stopped improving: the averaging of NT-ASGD (Merity et al., 2018)."""

    type: Literal["triggered"] = "triggered"
    patience: int = Field(default=5, ge=1)
    """The trigger: a validation worse than the best of those more than so many before it."""


AveragingSettings = Annotated[NoAveragingSettings | EMASettings | TriggeredSettings, Field(discriminator="type")]
