"""The form of a task, as the trainer uses it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch

from charlm.data.batches import Batch
from charlm.data.corpus import Corpus
from charlm.device import Precision
from charlm.nn.build import Interface
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModels
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.tables import NgramTables
from charlm.nn.settings import ModelSettings
from charlm.training.settings import TrainingSettings
from charlm.training.trainer_state import TrainerState, TrainingCursor
from charlm.training.validation_history import ValidationHistory


class TrainingBatches(Protocol):
    """The batches of the training text. Which batch comes when is a function of seed and cursor only.

    A cursor is opaque to all but the batches that made it.
    """

    @property
    def batch_size(self) -> int: ...

    @property
    def seq_len(self) -> int: ...

    @property
    def steps_per_epoch(self) -> int: ...

    @property
    def start(self) -> Any:
        """The cursor of the first batch."""
        ...

    def batch(self, cursor: Any, rows: range | None = None) -> Batch: ...

    def check(self, cursor: Any) -> None:
        """Raise ValueError, IndexError or OverflowError if there is no batch at `cursor`."""
        ...

    def num_scored(self, cursor: Any) -> int: ...

    def relative_length(self, cursor: Any) -> float: ...

    def next_cursor(self, cursor: Any) -> Any: ...

    def epochs_read(self, cursor: Any) -> float: ...

    @property
    def notes(self) -> Sequence[str]:
        """What a new run says about them."""
        ...

    def with_batch_size(self, batch_size: int) -> Self: ...

    def redistribute(self, cursor: Any, previous: Any, /) -> Any: ...


class ValidationScore(Protocol):
    """A score that adds up over shards of the validation text."""

    @property
    def bits(self) -> float | None:
        """Bits per unit."""
        ...

    @property
    def details(self) -> str:
        """Further figures for the note of a validation; empty if there are none."""
        ...

    def figure(self, select: str) -> float | None:
        """Return the figure that validations compare, for a value of `training.select`; lower is better."""
        ...

    def to_json(self) -> dict[str, Any]: ...

    def sums(self) -> list[float]: ...

    def with_sums(self, sums: Sequence[float]) -> Self: ...


@dataclass(frozen=True)
class ScoringOptions:
    """How a validation is scored.

    Attributes:
        shard: (k, n) scores the k-th of n shards.
        on_progress: gets the number of tokens that each batch scored; it may raise to stop.
    """

    device: torch.device
    precision: Precision
    shard: tuple[int, int]
    on_progress: Callable[[int], None]


class Validation(ABC):
    """The validation text of a run."""

    uniform_bits: float | None
    """The figure of uniform guessing."""
    fits_weights: bool = False
    """Whether `fit` changes the weights that are scored."""

    @abstractmethod
    def score(self, model: LanguageModel, options: ScoringOptions) -> ValidationScore:
        """Return the score of a shard."""

    def fit(self, model: LanguageModel, options: ScoringOptions) -> None:
        """Fit weights in place on one part of the validation text, before the score of the other part."""
        raise NotImplementedError("this validation fits no weights")

    def sample(self, model: LanguageModel, device: torch.device) -> str:
        """Return a text that the model writes, always from the same seed; empty if it writes none."""
        del model, device
        return ""


class Task(ABC):
    """What a model of a corpus predicts, and how that is trained and validated."""

    unit: str
    """What the bits are counted for: "character", or "label" for labels and tags."""
    interface: Interface | None = None
    """What the model predicts or is given besides ids; None for a language model."""

    on_note: Callable[[str], None]
    """Gets a sentence when work begins that takes a while."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.on_note = lambda _: None

    @abstractmethod
    def check_settings(self, model_settings: ModelSettings, settings: TrainingSettings) -> None:
        """
        Raises:
            SettingsError: such a model cannot do this task, or training has a setting that the task does not have.
        """

    @abstractmethod
    def open_batches(
        self, settings: TrainingSettings, model_settings: ModelSettings, num_ranks: int
    ) -> TrainingBatches:
        """Return the batches of all ranks together.

        Raises:
            DataError: the training text is empty.
        """

    @abstractmethod
    def parse_cursor(self, content: Mapping[str, Any]) -> TrainingCursor:
        """Read a cursor of these batches from JSON; KeyError, TypeError or ValueError if it is invalid."""

    @abstractmethod
    def new_model(self, settings: ModelSettings, frozen: FrozenModels = NO_FROZEN_MODELS) -> LanguageModel:
        """Return a model of freshly drawn weights, whose head starts from the frequencies of the training text.

        Args:
            frozen: the frozen language models that contextual embeddings read.
        """

    def ngram_order(self, settings: ModelSettings) -> int | None:
        """Return the length of the longest n-grams of a model of these settings; None if it has none."""
        del settings
        return None

    def ngram_tables(self, settings: ModelSettings) -> NgramTables | None:
        """Return the n-grams of the training text for a model of these settings; None if it has none."""
        del settings
        return None

    def adapt_model(self, model: LanguageModel, settings: ModelSettings) -> LanguageModel:
        """Return a trained model with what it must know of this corpus before it is trained further."""
        del settings
        return model

    @abstractmethod
    def open_validation(self, settings: TrainingSettings, model_settings: ModelSettings) -> Validation: ...

    def new_state(self, batches: TrainingBatches, settings: TrainingSettings) -> TrainerState:
        """Return the state of a run that begins."""
        return TrainerState(cursor=batches.start, validations=ValidationHistory(unit=self.unit, select=settings.select))

    @property
    @abstractmethod
    def targets_per_character(self) -> float:
        """Predictions for each character of the training text."""

    @property
    @abstractmethod
    def targets_per_unit(self) -> float:
        """Predictions for each unit."""
