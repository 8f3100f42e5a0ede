"""What is asked about a text, and what a model predicts of it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Query:
    """A text, and the characters whose tags are wanted; None: where the model's task asks for them."""

    text: str
    asked: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LabelProbability:
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class TextTag:
    """A tag of the characters from `start` to before `end`."""

    start: int
    end: int
    tag: str
    probability: float


@dataclass(frozen=True, slots=True)
class TextProbability:
    """A text that is written for another, and its probability given that one."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class TextPrediction:
    """What a model predicts of a text: labels, tags, or other texts."""

    text: str
    labels: tuple[LabelProbability, ...] = ()
    """The most probable labels, the best first."""
    is_rejected: bool = False
    """Whether the best label is less probable than the threshold."""
    tags: tuple[TextTag, ...] = ()
    sentences: tuple[tuple[int, int], ...] = ()
    """Where sentences start and end, if the tags say so."""
    restored: str | None = None
    """The text with what was removed (marks, case or blanks), if the tags restore it."""
    targets: tuple[TextProbability, ...] = ()
    """The most probable texts that are written for this one, the best first."""

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as `charlm predict --format jsonl` prints it."""
        content: dict[str, Any] = {"text": self.text}
        if self.targets:
            content["target"] = self.targets[0].text
            content["probability"] = self.targets[0].probability
            content["targets"] = [{"text": each.text, "probability": each.probability} for each in self.targets]
            return content
        if self.labels:
            content["label"] = None if self.is_rejected else self.labels[0].label
            content["probability"] = self.labels[0].probability
            content["labels"] = {each.label: each.probability for each in self.labels}
            return content
        if self.restored is not None:
            content["restored"] = self.restored
        content["tags"] = [[each.start, each.end, each.tag, round(each.probability, 6)] for each in self.tags]
        if self.sentences:
            content["sentences"] = [list(bounds) for bounds in self.sentences]
        return content
