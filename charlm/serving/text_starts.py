"""What a text begins with: a language model, and its state before the first token.

    language model              ──> its own initial state
    model that writes for labels, bound to all of them at once ── labels of a request ──> the row of these

So the texts of all labels are rows of one model, and share each step.

N labels, or combinations of one label of each of K columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch

from charlm.checkpoint import LoadedModel
from charlm.data.conditions import LabelConditions
from charlm.errors import UsageError
from charlm.nn.model import ConditionalModel, LanguageModel
from charlm.nn.state import State, select_rows
from charlm.serving.api_error import ApiError, invalid_field

_MAX_COMBINATIONS = 10_000


@dataclass(frozen=True, eq=False)
class TextStart:
    """A model, and the state in which it reads the first token of a document."""

    model: LanguageModel
    state: State
    """Of one row."""
    number: int = 0
    """Tells apart the starts of one model."""


class TextStarts:
    """The starts of one model."""

    def __init__(self, loaded: LoadedModel, name: str) -> None:
        """
        Args:
            name: of the model, for messages.

        Raises:
            UsageError: it is given one label of each of several columns, and there are too many combinations.
        """
        self._name = name
        self._noun = loaded.task.noun
        self._labels = loaded.conditions if isinstance(loaded.conditions, LabelConditions) else None
        self._model: LanguageModel | None = None
        self._numbers: dict[tuple[int, ...], int] = {(): 0}
        if self._labels is not None:
            combinations = _combinations(self._labels, name)
            self._numbers = {ids: number for number, ids in enumerate(combinations)}
            self._model = _bind(loaded, combinations, has_columns=bool(self._labels.columns))
        elif loaded.task.type == "language":
            self._model = loaded.model
        if self._model is not None:
            with torch.inference_mode():
                self._state = self._model.initial_state(len(self._numbers))

    def find(self, labels: Sequence[str]) -> TextStart:
        """Return the start of a text with these labels.

        Raises:
            ApiError: the model writes no text that goes on from a prompt; or it is given other labels.
        """
        if self._model is None:
            what = f"{self._name} predicts {self._noun}, and does not go on from a prompt"
            raise invalid_field("model", what, "send the text to /predict, or name a language model")
        number = self._numbers[self._find_ids(labels)]
        row_1 = torch.tensor([number], device=next(self._model.parameters()).device)
        return TextStart(self._model, select_rows(self._state, row_1), number)

    def _find_ids(self, labels: Sequence[str]) -> tuple[int, ...]:
        if self._labels is None:
            if labels:
                raise invalid_field("label", f"label has no effect: {self._name} is given none", "leave label out")
            return ()
        if not labels:
            names = [self._labels.labels.names[label] for label in self._labels.most_frequent()]
            what = f"label is missing, and {self._name} writes for one"
            raise invalid_field("label", what, f"give one, such as {' and '.join(names)}")
        try:
            return tuple(self._labels.find_ids(labels))
        except UsageError as error:
            raise ApiError(400, error.what, error.cure, param="label") from error


def _combinations(labels: LabelConditions, name: str) -> list[tuple[int, ...]]:
    """Return the ids of each label, or of each combination of one label of each column.

    Raises:
        UsageError: there are too many.
    """
    columns = labels.ids_by_column()
    count = 1
    for ids in columns:
        count *= len(ids)
    if count > _MAX_COMBINATIONS:
        what = f"{name} has {count:,} combinations of labels, and at most {_MAX_COMBINATIONS:,} can be served"
        raise UsageError(what, "name a run with fewer labels")
    return list(product(*columns))


@torch.inference_mode()
def _bind(loaded: LoadedModel, combinations: Sequence[tuple[int, ...]], *, has_columns: bool) -> LanguageModel:
    """Return the language model that is given all labels, each as a row."""
    model = loaded.model
    assert isinstance(model, ConditionalModel), "build_model makes one for a task with conditions"
    ids_NK = torch.tensor(combinations, device=next(model.parameters()).device)
    return model.given((ids_NK if has_columns else ids_NK[:, 0],))
