"""Settings of training, torch-free."""

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from charlm.settings import Settings

if TYPE_CHECKING:
    from torch import nn, optim

PositiveFloat = Annotated[float, Field(gt=0)]


class AdamWSettings(Settings):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), the decay on matrices only."""

    type: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 2e-3
    """Highest learning rate; the schedule scales it."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        from charlm.training.optimizers import build_adamw

        return build_adamw(self, model)


class ConstantSettings(Settings):
    """Linear warm-up, then a constant rate."""

    type: Literal["constant"] = "constant"
    warmup_steps: int = Field(default=100, ge=0)

    def scale(self, step: int, progress: float) -> float:
        """Factor on the learning rate at `step` (from 0), `progress` being the share of the budget that is spent."""
        del progress
        return min(1.0, (step + 1) / max(1, self.warmup_steps))


class CosineSettings(Settings):
    """Linear warm-up, then half a cosine down to `final_scale` at the end of the budget (Loshchilov & Hutter, 2017)."""

    type: Literal["cosine"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    final_scale: float = Field(default=0.05, ge=0, le=1)
    """Share of the highest rate that is left at the end."""

    def scale(self, step: int, progress: float) -> float:
        """Factor on the learning rate at `step` (from 0), `progress` being the share of the budget that is spent."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return min(1.0, (step + 1) / max(1, self.warmup_steps)) * (self.final_scale + (1 - self.final_scale) * cosine)


ScheduleSettings = Annotated[ConstantSettings | CosineSettings, Field(discriminator="type")]


class TrainingSettings(Settings):
    """Everything `charlm train` needs beside the corpus and the model. The first budget that is spent ends the run."""

    batch_size: int = Field(default=64, ge=1)
    """Rows; each reads its own contiguous part of the training text."""
    seq_len: int = Field(default=128, ge=1)
    """Time steps of truncated back-propagation; state is carried on beyond them."""
    reset_tokens: int | None = Field(default=None, ge=1)
    """Every row's state starts afresh after so many tokens, a multiple of seq_len. If left out, at each epoch alone,
    and with batch normalisation, whose statistics belong to time steps, after seq_len."""
    max_steps: int | None = Field(default=None, ge=0, lt=2**63)
    max_epochs: PositiveFloat | None = None
    max_minutes: PositiveFloat | None = None
    """Counted from the start of the process; the time of earlier, interrupted attempts is counted too."""
    optimizer: AdamWSettings = AdamWSettings()
    schedule: ScheduleSettings = CosineSettings()
    clip_norm: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient; 0 does not clip."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the matrix products; `auto` is bf16 where the hardware is fast at it. Weights and cell state stay fp32."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    validation_interval: int = Field(default=1000, ge=1)
    """Steps between validations. One more comes at the end."""
    validation_tokens: int = Field(default=1_000_000, ge=1)
    """A validation reads at most about this many tokens, in whole documents from the start of the split."""
    checkpoint_minutes: PositiveFloat = 5.0
    """Minutes between checkpoints; one more comes with each validation, and at the end."""
    log_interval: int = Field(default=50, ge=1)
    """Steps between lines of metrics.jsonl, and between updates of the figures in the bar."""

    @model_validator(mode="after")
    def _is_whole(self) -> "TrainingSettings":
        if self.max_steps is None and self.max_epochs is None and self.max_minutes is None:
            raise ValueError("training has no end: set max_steps, max_epochs or max_minutes")
        if self.reset_tokens is not None and self.reset_tokens % self.seq_len:
            raise ValueError(f"reset_tokens is {self.reset_tokens}, which is no multiple of seq_len, {self.seq_len}")
        return self

    def progress(self, *, steps: int, epochs: float, minutes: float) -> float:
        """The share of the budget that is spent; 1 or more means the end."""
        spent = [
            used / limit if limit else 1.0
            for used, limit in (
                (float(steps), self.max_steps),
                (epochs, self.max_epochs),
                (minutes, self.max_minutes),
            )
            if limit is not None
        ]
        return max(spent)
