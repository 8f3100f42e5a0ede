"""The state of a run that its checkpoints store, and the result that training returns."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from charlm.training.validation_history import ValidationHistory


class TrainingCursor(Protocol):
    """The position of a run in its training text; opaque to all but the batches that made it."""

    @property
    def epoch(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass
class TrainerState:
    """Steps made, tokens read, the cursor of the next batch, seconds since the start, and the validations.

    A step whose update was skipped counts too, and so do its tokens, so that every budget comes to its end.
    """

    cursor: TrainingCursor
    step: int = 0
    tokens: int = 0
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
    def from_json(
        cls,
        content: Mapping[str, Any],
        parse_cursor: Callable[[Mapping[str, Any]], TrainingCursor],
        unit: str = "character",
    ) -> "TrainerState":
        """Raise KeyError, TypeError, ValueError or OverflowError if the content does not fit.

        Args:
            unit: what the task's figures count.
        """
        return cls(
            parse_cursor(content["cursor"]),
            int(content["step"]),
            int(content["tokens"]),
            float(content["seconds"]),
            ValidationHistory.from_json(content["validations"], unit),
        )


@dataclass(frozen=True)
class TrainingResult:
    """The result of training; `seconds` count all attempts. The bits are those of the task's unit."""

    steps: int
    tokens: int
    epochs: float
    seconds: float
    parameters: int
    best_step: int
    best_bits: float | None
    uniform_bits: float | None
    """The bits of uniform guessing on the validation text."""
    ended_by: str
    """The setting of `training` that ended the run."""
    already_finished: bool = False
    unit: str = "character"

    def to_json(self) -> dict[str, Any]:
        """Return the result as `charlm train --json` prints it: the names of the bits end in their unit."""
        content = asdict(self)
        unit = content.pop("unit")
        return {
            f"{name}_per_{unit}" if name in ("best_bits", "uniform_bits") else name: value
            for name, value in content.items()
        }
