"""The state of a run that its checkpoints store, and the result that training returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charlm.data.batches import Cursor
from charlm.training.validation_history import ValidationHistory


@dataclass
class TrainerState:
    """Steps made, tokens read, the cursor of the next batch, seconds since the start, and the validations.

    A step whose update was skipped counts too, and so do its tokens, so that every budget comes to its end.
    """

    step: int = 0
    tokens: int = 0
    cursor: Cursor = field(default_factory=Cursor)
    seconds: float = 0.0
    validations: ValidationHistory = field(default_factory=ValidationHistory)

    @property
    def is_validated(self) -> bool:
        """Whether the current weights have been validated."""
        return self.validations.last_step == self.step

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "validations": self.validations.to_json(),
            "cursor": self.cursor.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TrainerState":
        """Raise KeyError, TypeError, ValueError or OverflowError if the content does not fit."""
        return cls(
            int(content["step"]),
            int(content["tokens"]),
            Cursor.from_json(content["cursor"]),
            float(content["seconds"]),
            ValidationHistory.from_json(content["validations"]),
        )


@dataclass(frozen=True)
class TrainingResult:
    """The result of training; `seconds` count all attempts."""

    steps: int
    tokens: int
    epochs: float
    seconds: float
    parameters: int
    best_step: int
    best_bits_per_character: float | None
    uniform_bits_per_character: float | None
    """The bits per character of uniform guessing on the validation text."""
    ended_by: str
    """The setting of `training` that ended the run."""
    already_finished: bool = False
