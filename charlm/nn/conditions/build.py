"""Settings -> a model that is given something: a label, or another text."""

from dataclasses import dataclass
from typing import assert_never

import torch
from torch import nn

from charlm.errors import SettingsError
from charlm.nn.attention.attentive import SoftReadout
from charlm.nn.attention.monotonic import MonotonicAttention
from charlm.nn.attention.settings import (
    AdditiveAttentionSettings,
    DotAttentionSettings,
    MonotonicAttentionSettings,
)
from charlm.nn.attention.soft import AdditiveAttention, DotAttention
from charlm.nn.bodies.base import Body
from charlm.nn.bodies.build import build_body
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.conditions.labels import LabelInputModel, LabelStateModel, UnconditionedModel
from charlm.nn.conditions.settings import (
    LabelConditionSettings,
    NoConditionSettings,
    SourceConditionSettings,
)
from charlm.nn.conditions.source import Encoder, MonotonicTransducer, SoftTransducer, Transducer
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.frozen import FrozenModels
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.heads.build import build_head
from charlm.nn.heads.log_probabilities import LogProbabilityHead
from charlm.nn.heads.softmax import Head
from charlm.nn.model import ConditionalModel
from charlm.nn.settings import ModelSettings


def build_labelled_model(
    condition: NoConditionSettings | LabelConditionSettings,
    num_labels: int,
    embedding: Embedding,
    body: Body,
    head: Head,
    rng: NoiseRNG,
    *,
    token_dropout: float,
) -> ConditionalModel:
    """Build a model that is given a label, of the parts of a language model."""
    match condition:
        case NoConditionSettings():
            return UnconditionedModel(embedding, body, head, rng, token_dropout=token_dropout)
        case LabelConditionSettings(into="input"):
            return LabelInputModel(embedding, body, head, rng, num_labels, token_dropout=token_dropout)
        case LabelConditionSettings():
            return LabelStateModel(embedding, body, head, rng, num_labels, token_dropout=token_dropout)


@dataclass(frozen=True, slots=True)
class DecoderParts:
    """The embedding and the body of a decoder of `target_size` ids, and its settings."""

    settings: ModelSettings
    target_size: int
    embedding: Embedding
    body: Body
    rng: NoiseRNG

    def build_head(self, features_size: int) -> Head:
        return build_head(self.settings.head, features_size, self.target_size, self.embedding)

    @property
    def token_dropout(self) -> float:
        return self.settings.embedding.dropout

    @property
    def label_smoothing(self) -> float:
        return self.settings.head.label_smoothing


def build_transducer(
    parts: DecoderParts,
    condition: SourceConditionSettings,
    source_size: int,
    copy_ids: tuple[int, ...] | None,
    frozen: FrozenModels,
) -> Transducer:
    """Build a freshly initialised transducer.

    Args:
        source_size: the number of ids of sources.
        copy_ids: the target id of each source id, or -1; None if nothing can be copied.
        frozen: the frozen language models that contextual embeddings read.

    Raises:
        SettingsError: parts of the model do not fit; or the task has no ids that can be copied.
    """
    encoder = Encoder(condition.encoder, source_size, parts.rng, frozen)
    match condition.attention:
        case MonotonicAttentionSettings():
            return _build_monotonic(parts, encoder, condition, condition.attention)
        case AdditiveAttentionSettings() | DotAttentionSettings():
            return _build_soft(parts, encoder, condition, condition.attention, copy_ids)
        case _:
            assert_never(condition.attention)


def _build_monotonic(
    parts: DecoderParts,
    encoder: Encoder,
    condition: SourceConditionSettings,
    attention: MonotonicAttentionSettings,
) -> MonotonicTransducer:
    for name in ("copying", "layers_after"):
        if getattr(condition, name):
            raise SettingsError(
                f"model.condition.{name} is for soft attention, and this attention is monotonic",
                "leave it out, or set model.condition.attention.type=dot",
            )
    monotonic = MonotonicAttention(
        parts.body.features_size,
        encoder.body.features_size,
        attention.size,
        attention.max_jump,
        parts.rng,
        dropout=attention.dropout,
    )
    head = LogProbabilityHead(parts.build_head(attention.size), parts.label_smoothing)
    return MonotonicTransducer(
        parts.embedding, parts.body, monotonic, head, encoder, parts.rng, token_dropout=parts.token_dropout
    )


def _build_soft(
    parts: DecoderParts,
    encoder: Encoder,
    condition: SourceConditionSettings,
    attention: AdditiveAttentionSettings | DotAttentionSettings,
    copy_ids: tuple[int, ...] | None,
) -> SoftTransducer:
    query_size, memory_size = parts.body.features_size, encoder.body.features_size
    kind = AdditiveAttention if isinstance(attention, AdditiveAttentionSettings) else DotAttention
    after = _build_layers_after(parts.settings, condition.layers_after, query_size, parts.rng)
    readout = SoftReadout(
        kind(query_size, memory_size, attention.size),
        memory_size,
        query_size,
        query_size,
        after,
        parts.rng,
        dropout=attention.dropout,
    )
    features_size = query_size if after is None else after.features_size
    head, gate, target_ids_V = parts.build_head(features_size), None, None
    if condition.copying:
        if copy_ids is None:
            raise SettingsError(
                "model.condition.copying needs sources and targets with common characters, and these have none",
                "set model.condition.copying=false",
            )
        head, gate = LogProbabilityHead(head, parts.label_smoothing), nn.Linear(features_size, 1)
        target_ids_V = torch.tensor(copy_ids)
    return SoftTransducer(
        parts.embedding,
        parts.body,
        readout,
        head,
        encoder,
        parts.rng,
        token_dropout=parts.token_dropout,
        gate=gate,
        target_ids_V=target_ids_V,
    )


def _build_layers_after(settings: ModelSettings, num_layers: int, input_size: int, rng: NoiseRNG) -> Body | None:
    if not num_layers:
        return None
    if not isinstance(settings.body, RecurrentSettings):
        raise SettingsError(
            "model.condition.layers_after is for recurrent decoders",
            "set model.body.type=recurrent, or leave it out",
        )
    # model_copy does not validate, so entries for each layer must be cut by hand
    update = {"num_layers": num_layers, "input_dropout": 0.0, "dilations": (), "strides": ()}
    return build_body(settings.body.model_copy(update=update), input_size, rng)
