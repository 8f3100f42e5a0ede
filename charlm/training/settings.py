"""Settings of training, torch-free."""

from typing import Literal

from pydantic import Field, PositiveFloat, model_validator

from charlm.settings import Settings
from charlm.training.optim.settings import (
    AdamWSettings,
    AveragingSettings,
    CosineSettings,
    NoAveragingSettings,
    OptimizerSettings,
    ScheduleSettings,
)


class TrainingSettings(Settings):
    """Everything `charlm train` needs beside the corpus and the model. The first budget that is spent ends the run."""

    batch_size: int = Field(default=64, ge=1)
    """Rows of each process; each row reads its own contiguous part of the training text."""
    micro_batches: int = Field(default=1, ge=1)
    """Groups of rows that are worked on one after another in a step, so that less memory is needed."""
    seq_len: int = Field(default=128, ge=1)
    """Time steps of truncated back-propagation; state is carried on beyond them."""
    seq_len_varies: bool = False
    """Whether each step draws its length around seq_len (one in twenty around its half), the learning rate going with
    it, as AWD-LSTM does (Merity et al., 2018)."""
    recompute_len: int | None = Field(default=None, ge=1)
    """Keep activations of so many time steps only, and compute those of the others a second time: memory for long
    sequences, bought with about a third more time. Dropout masks are drawn anew for each segment."""
    reset_tokens: int | None = Field(default=None, ge=1)
    """Every row's state starts afresh after so many tokens, a multiple of seq_len. If left out, at each epoch alone,
    and with batch normalisation, whose statistics belong to time steps, after seq_len."""
    max_steps: int | None = Field(default=None, ge=0, lt=2**63)
    max_tokens: int | None = Field(default=None, ge=0, lt=2**63)
    max_epochs: PositiveFloat | None = None
    max_minutes: PositiveFloat | None = None
    """Counted from the start of the process; the time of earlier, interrupted attempts is counted too."""
    patience: int | None = Field(default=None, ge=1)
    """End the run when so many validations in a row bring no new best."""
    optimizer: OptimizerSettings = AdamWSettings()
    schedule: ScheduleSettings = CosineSettings()
    averaging: AveragingSettings = NoAveragingSettings()
    """Of weights: what is validated, saved and scored may be an average of the weights that learn."""
    clip_norm: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient; 0 does not clip."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the matrix products; `auto` is bf16 where the hardware is fast at it. Weights and cell state stay fp32."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    validation_interval: int = Field(default=1000, ge=1)
    """Steps between validations. One more comes at the end."""
    validation_tokens: int = Field(default=1_000_000, ge=1)
    """A validation reads at most about this many tokens, in whole documents from the start of the split."""
    sample_length: int = Field(default=0, ge=0)
    """Characters of text that each validation shows, drawn at temperature 0.7; 0 shows none."""
    checkpoint_minutes: PositiveFloat = 5.0
    """Minutes between checkpoints; one more comes with each validation, and at the end."""
    log_interval: int = Field(default=50, ge=1)
    """Steps between lines of metrics.jsonl, and between updates of the figures in the bar."""
    tensorboard: bool = False
    """Write losses, rates, gradient norms, throughput and samples for TensorBoard too, into tensorboard/ of the run."""

    @model_validator(mode="after")
    def _check_budgets(self) -> "TrainingSettings":
        if all(limit is None for limit in (self.max_steps, self.max_tokens, self.max_epochs, self.max_minutes)):
            raise ValueError("training has no end: set max_steps, max_tokens, max_epochs or max_minutes")
        if self.reset_tokens is not None and self.reset_tokens % self.seq_len:
            raise ValueError(f"reset_tokens is {self.reset_tokens}, which is no multiple of seq_len, {self.seq_len}")
        if self.reset_tokens is not None and self.seq_len_varies:
            raise ValueError("reset_tokens counts in steps of seq_len, and seq_len_varies makes them uneven")
        return self
