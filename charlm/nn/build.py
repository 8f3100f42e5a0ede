"""Settings -> a model, with weights or with only the names, shapes and types of its tensors.

ModelSettings, sizes ──build_model──> LanguageModel, freshly initialised
                          ──build_meta_model──> LanguageModel on the meta device, without weights
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from charlm.errors import SettingsError
from charlm.nn.bodies.build import build_body, build_row_body
from charlm.nn.conditions.build import DecoderParts, build_labelled_model, build_transducer
from charlm.nn.conditions.settings import (
    ConditionSettings,
    LabelConditionSettings,
    NoConditionSettings,
    SourceConditionSettings,
)
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.build import build_embedding
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModel, FrozenModels
from charlm.nn.heads.build import build_head
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.build import build_ngram_head, check_ngram
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.ngrams.tables import NgramTables
from charlm.nn.settings import ModelSettings
from charlm.vocab.base import NgramBags


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model of labels or tags predicts: one of `size` names, for each document or for single tokens."""

    size: int
    per_document: bool


@dataclass(frozen=True, slots=True)
class LabelInputs:
    """What a language model of labelled texts is given: one of `size` labels for each document."""

    size: int


@dataclass(frozen=True, slots=True)
class SourceInputs:
    """What a language model of targets is given: for each document a source, of `size` ids."""

    size: int
    copy_ids: tuple[int, ...] | None
    """The target id of each source id, or -1; None if nothing can be copied."""


Interface = Outputs | LabelInputs | SourceInputs
"""What a task changes about a network that reads and predicts ids: its outputs, or its inputs."""


def build_model(
    settings: ModelSettings,
    vocab_size: int,
    bags: NgramBags | BagLayout | None = None,
    interface: Interface | None = None,
    frozen: FrozenModels = NO_FROZEN_MODELS,
    ngrams: NgramTables | int | None = None,
) -> LanguageModel:
    """Build a freshly initialised model.

    Args:
        bags: `Vocab.bags()`; or only their layout, if the arrays will be loaded from a checkpoint.
        interface: what the task predicts or gives; None for a language model, which reads and predicts ids.
        frozen: the frozen language models that contextual embeddings read.
        ngrams: the tables of the n-gram component; or only the length of its longest n-grams, if the tables will be
            loaded from a checkpoint. None: the length of the settings, or that for characters.

    Raises:
        SettingsError: the embedding needs bags, and the vocabulary has none; or parts of the model do not fit; or there
            is a condition or an n-gram component, and the task has none.
        ValueError: a frozen language model is missing, or has another number of ids.
    """
    _check_condition(settings.condition, interface)
    check_ngram(settings, is_language_model=interface is None)
    rng = NoiseRNG()
    language_direction = None if isinstance(interface, Outputs) else settings.text_direction
    embedding = build_embedding(
        settings.embedding, vocab_size, bags, rng, frozen=frozen, language_direction=language_direction
    )
    dropout = settings.embedding.dropout
    if isinstance(interface, Outputs):
        body = build_row_body(settings, embedding.size, rng, is_pooled=interface.per_document)
        head = build_head(settings.head, body.features_size, interface.size, None)
        return LanguageModel(embedding, body, head, rng, token_dropout=dropout, num_ids=vocab_size)
    body = build_body(settings.body, embedding.size, rng)
    if isinstance(interface, SourceInputs) and not isinstance(settings.condition, NoConditionSettings):
        condition = settings.condition or SourceConditionSettings()
        assert isinstance(condition, SourceConditionSettings), "_check_condition has looked"
        parts = DecoderParts(settings, vocab_size, embedding, body, rng)
        return build_transducer(parts, condition, interface.size, interface.copy_ids, frozen)
    head = build_head(settings.head, body.features_size, vocab_size, embedding)
    if interface is None and settings.ngram is not None:
        ngram_head = build_ngram_head(settings.ngram, body.features_size, head, ngrams)
        return NgramLanguageModel(embedding, body, ngram_head, rng, token_dropout=dropout)
    if interface is None:
        return LanguageModel(embedding, body, head, rng, token_dropout=dropout)
    condition = settings.condition or LabelConditionSettings()
    assert not isinstance(condition, SourceConditionSettings), "_check_condition has looked"
    return build_labelled_model(condition, interface.size, embedding, body, head, rng, token_dropout=dropout)


def _check_condition(condition: ConditionSettings | None, interface: Interface | None) -> None:
    """
    Raises:
        SettingsError: there is a condition that the task does not have.
    """
    match condition:
        case None:
            return
        case NoConditionSettings() if isinstance(interface, LabelInputs | SourceInputs):
            return
        case LabelConditionSettings() if isinstance(interface, LabelInputs):
            return
        case SourceConditionSettings() if isinstance(interface, SourceInputs):
            return
        case _:
            task = "transduce" if isinstance(condition, SourceConditionSettings) else "generate"
            what = (
                "model.condition" if isinstance(condition, NoConditionSettings) else f"the condition {condition.type}"
            )
            raise SettingsError(
                f"{what} is for documents with a condition of this kind, and this task has none",
                f"leave it out, or prepare a corpus with --task {task}",
            )


def build_meta_model(
    settings: ModelSettings,
    vocab_size: int,
    bags: NgramBags | BagLayout | None = None,
    interface: Interface | None = None,
    frozen: FrozenModels = NO_FROZEN_MODELS,
    ngram_order: int | None = None,
) -> LanguageModel:
    """Build a model without weights and tables, on the meta device.

    Raises:
        SettingsError, ValueError: as `build_model`.
    """
    layout = bags if bags is None or isinstance(bags, BagLayout) else BagLayout.from_bags(bags)
    with without_weights():
        without = {name: FrozenModel(model.description) for name, model in frozen.items()}
        return build_model(settings, vocab_size, layout, interface, without, ngram_order)


@contextmanager
def without_weights() -> Generator[None, None, None]:
    """Build modules without weights inside this context."""
    with torch.device("meta"), _NoInitialisation():
        yield


class _NoInitialisation(TorchFunctionMode):
    """Skips the functions of torch.nn.init.

    On the meta device they draw nothing, but import torch._dynamo, which takes 1.7 s.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))
