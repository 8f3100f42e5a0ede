"""The settings of training, torch-free."""

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
    """Everything that `charlm train` needs besides the corpus and the model. The first budget that is used up ends the
    run. Examples are the documents of a corpus of `charlm prepare --task`: with labels, tags, or a given label."""

    batch_size: int = Field(default=64, ge=1)
    """Rows of a batch, for each process; each row reads its own contiguous part of the training text. For examples,
    a row is a document, and a batch may have fewer."""
    micro_batches: int = Field(default=1, ge=1)
    """Micro-batches into which a batch is split; they are computed one after another, which needs less memory."""
    seq_len: int = Field(default=128, ge=1)
    """Tokens of each row in a batch: the time steps of truncated back-propagation. State is carried across batches. For
    examples, whose rows differ in length, a batch has at most batch_size times seq_len tokens."""
    max_document_tokens: int = Field(default=4096, ge=2)
    """For examples: a document is read as a whole, up to so many tokens. A longer one is cut into pieces. Of labels and
    tags, pieces without one are left out; of texts with a given label or source, each piece begins afresh. Of a longer
    source, training reads the first tokens."""
    seq_len_varies: bool = False
    """Whether each step draws its length around seq_len (one in twenty around half of it) and scales the learning rate
    by it, as AWD-LSTM does (Merity et al., 2018). Not for examples."""
    recompute_len: int | None = Field(default=None, ge=1)
    """Keep the activations of this many time steps and recompute all others, so that long sequences need less memory
    and about a third more time. Each segment draws its own dropout masks. If left out, nothing is recomputed."""
    reset_tokens: int | None = Field(default=None, ge=1)
    """Reset the state of every row after this many tokens, a multiple of seq_len. If left out, the state is reset at
    each epoch, and with batch normalisation, whose statistics belong to time steps, after seq_len tokens. Not for
    examples, whose documents all begin with the initial state."""
    max_steps: int | None = Field(default=None, ge=0, lt=2**63)
    """Budget: updates of the weights."""
    max_tokens: int | None = Field(default=None, ge=0, lt=2**63)
    """Budget: tokens of training text; for labels and tags, the number of those."""
    max_epochs: PositiveFloat | None = None
    """Budget: passes over the training text."""
    max_minutes: PositiveFloat | None = None
    """Budget: minutes since the start of the process, plus those of earlier, interrupted attempts."""
    patience: int | None = Field(default=None, ge=1)
    """Early stopping: end the run after this many validations in a row without a new best. If left out, never."""
    optimizer: OptimizerSettings = AdamWSettings()
    schedule: ScheduleSettings = CosineSettings()
    averaging: AveragingSettings = NoAveragingSettings()
    """Averaging: the weights that are validated, saved and scored may be an average of the trained weights."""
    clip_norm: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient, which is scaled down to it; 0 does not clip."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of matrix products; `auto` is bf16 where the hardware is fast at it. Weights and state stay fp32."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the weights, the dropout masks and the order of the text."""
    validation_interval: int = Field(default=1000, ge=1)
    """Steps between validations; the run ends with one more."""
    select: Literal["bits", "accuracy", "f1"] = "bits"
    """For labels and tags: the figure of validations by which the best checkpoint is chosen, and that early stopping,
    the schedule plateau and triggered averaging watch. f1 is macro-F1, or the F1 of segments for tags that cut a text
    into segments. A language model has bits only."""
    validation_tokens: int = Field(default=1_000_000, ge=1)
    """Tokens that a validation reads at most: whole documents, and at least one; of a language model from the start of
    the split, of other models from all over it."""
    sample_length: int = Field(default=0, ge=0)
    """Characters of the text that each validation samples and shows, at temperature 0.7; 0 samples no text. Not for
    labels and tags."""
    checkpoint_minutes: PositiveFloat = 5.0
    """Minutes between checkpoints; each validation and the end of the run save one more."""
    log_interval: int = Field(default=50, ge=1)
    """Steps between lines of metrics.jsonl and between updates of the progress bar."""
    tensorboard: bool = False
    """Whether to write losses, learning rates, gradient norms, speeds and samples to tensorboard/ of the run too."""

    @model_validator(mode="after")
    def _check_budgets(self) -> "TrainingSettings":
        if all(limit is None for limit in (self.max_steps, self.max_tokens, self.max_epochs, self.max_minutes)):
            raise ValueError("training has no budget: set max_steps, max_tokens, max_epochs or max_minutes")
        if self.reset_tokens is not None and self.reset_tokens % self.seq_len:
            raise ValueError(f"reset_tokens is {self.reset_tokens}, which is not a multiple of seq_len, {self.seq_len}")
        if self.reset_tokens is not None and self.seq_len_varies:
            raise ValueError(
                "reset_tokens needs steps of equal length, and seq_len_varies makes them differ; leave one out"
            )
        return self
