"""Settings of weight averaging, torch-free: what is scored and saved may be an average of the weights that learn."""

from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings
from charlm.training.validation_history import History, has_stopped_improving


class NoAveragingSettings(Settings):
    """The weights that learn are those that are scored."""

    type: Literal["none"] = "none"

    def lerp_weight(self, num_updates: int, history: History) -> float | None:
        """How much of the newest weights goes into the average after it took `num_updates` of them; None: no
        average."""
        del num_updates, history
        return None


class EMASettings(Settings):
    """An exponential moving average of the weights, starting short: the decay after n steps is at most (1+n)/(10+n)."""

    type: Literal["ema"] = "ema"
    decay: float = Field(default=0.999, ge=0, lt=1)
    """The average reaches back about 1 / (1 - decay) steps."""

    def lerp_weight(self, num_updates: int, history: History) -> float | None:
        """As above."""
        del history
        return 1 - min(self.decay, (1 + num_updates) / (10 + num_updates)) if num_updates else 1.0


class TriggeredSettings(Settings):
    """The mean of all weights since validations stopped improving: the averaging of NT-ASGD (Merity et al., 2018)."""

    type: Literal["triggered"] = "triggered"
    patience: int = Field(default=5, ge=1)
    """The trigger: a validation worse than the best of those more than so many before it."""

    def lerp_weight(self, num_updates: int, history: History) -> float | None:
        """As above."""
        return 1 / (num_updates + 1) if num_updates or has_stopped_improving(history, self.patience) else None


AveragingSettings = Annotated[NoAveragingSettings | EMASettings | TriggeredSettings, Field(discriminator="type")]
