"""Models that are given another text: an encoder, and a decoder that looks at what it has read.

    source_NS ──embedding──> start, vectors, end ──encoder──> memory_NSM      once, in `given`
    the text so far ──embedding──> decoder ──attention over the memory──> features of the next token

Each source begins with one learned vector and ends with another, so that an empty source has positions too.

N sources, B rows, T time, S positions (source tokens, and 2 more), D embedding, M features of a position, V target
vocabulary.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from charlm.nn.attention.attentive import (
    AttentiveBody,
    Copying,
    MonotonicAttentiveBody,
    SoftAttentiveBody,
    SoftReadout,
)
from charlm.nn.attention.memory import Memory
from charlm.nn.attention.monotonic import MonotonicAttention
from charlm.nn.bodies.base import Body
from charlm.nn.bodies.build import build_row_body
from charlm.nn.conditions.settings import EncoderSettings
from charlm.nn.dropout import NoiseRNG, TokenDropout
from charlm.nn.embeddings.build import build_embedding
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModels
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.heads.log_probabilities import LogProbabilityHead
from charlm.nn.heads.softmax import Head
from charlm.nn.model import Condition, ConditionalModel, LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.nn.state import State
from charlm.vocab.base import IGNORE_INDEX


class Encoder(nn.Module):
    """Reads sources. Parameters: boundary_2D, the vectors before and behind a source, and those of its parts."""

    def __init__(
        self,
        settings: EncoderSettings,
        source_size: int,
        rng: NoiseRNG,
        frozen: FrozenModels = NO_FROZEN_MODELS,
    ) -> None:
        super().__init__()
        self.embedding = build_embedding(
            settings.embedding, source_size, None, rng, setting="model.condition.encoder.embedding", frozen=frozen
        )
        self.token_dropout = TokenDropout(source_size, settings.embedding.dropout, rng)
        size = self.embedding.size
        self.boundary_2D = nn.Parameter(torch.empty(2, size))
        nn.init.normal_(self.boundary_2D, std=size**-0.5)
        reader = ModelSettings(direction=settings.direction, bidirectional=settings.bidirectional, body=settings.body)
        self.body = build_row_body(reader, size, rng, is_pooled=False)

    def forward(self, source_NS: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the memory, N, S + 2, M, and its lengths, lengths_N + 2."""
        state = self.embedding.initial_state(len(source_NS))
        x_NSD, _ = self.embedding.read_rows(source_NS, state, lengths_N)
        x_NSD = nn.functional.pad(self.token_dropout(x_NSD, source_NS), (0, 0, 1, 1))
        start_D, end_D = self.boundary_2D.to(x_NSD.dtype)
        positions_S1 = torch.arange(x_NSD.shape[1], device=x_NSD.device)[:, None]
        x_NSD = torch.where(positions_S1 == 0, start_D, x_NSD)
        x_NSD = torch.where(positions_S1 == (lengths_N + 1)[:, None, None], end_D, x_NSD)
        lengths_N = lengths_N + 2
        memory_NSM, _ = self.body.read_rows(x_NSD, self.body.initial_state(len(x_NSD)), lengths_N)
        return memory_NSM, lengths_N


class BoundTransducer(LanguageModel):
    """The language model of targets, given sources."""

    def forward(self, inputs_BT: Tensor, state: State, lengths_B: Tensor | None = None) -> tuple[Tensor, State]:
        x_BTD, embedding_state, body_state = self._embed(inputs_BT, state)
        features, body_state = self._attentive_body.read_tokens(x_BTD, inputs_BT, body_state, lengths_B)
        return features, embedding_state + body_state

    def alignment(self, inputs_BT: Tensor, state: State, targets_BT: Tensor | None = None) -> Tensor:
        """Return where each target comes from: B, T, S, probabilities of the source's tokens.

        Soft attention gives its weights. Monotonic attention gives the probability of each position given the inputs
        and the targets. What falls on the positions before and behind a source is left out, so a row may sum to less
        than 1.

        Args:
            targets_BT: the tokens that follow the inputs; if left out, the next inputs, and nothing after the last.
        """
        if targets_BT is None:
            targets_BT = nn.functional.pad(inputs_BT[:, 1:], (0, 1), value=IGNORE_INDEX)
        x_BTD, _, body_state = self._embed(inputs_BT, state)
        body = self._attentive_body
        weights_BTS = body.alignment(x_BTD, inputs_BT, targets_BT, body_state)
        positions_S = torch.arange(weights_BTS.shape[-1] - 2, device=weights_BTS.device)
        lengths_B = body.memory.of_rows(body.memory.lengths_N, body_state[0])
        return weights_BTS[..., 1:-1] * (positions_S < lengths_B[:, None] - 2)[:, None]

    def _embed(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State, State]:
        """Return the vectors of tokens, and the states of the embedding and of the body."""
        size = self.embedding.num_state_tensors
        x_BTD, embedding_state = self.embedding(inputs_BT, state[:size])
        return self.token_dropout(x_BTD, inputs_BT), embedding_state, state[size:]

    @property
    def _attentive_body(self) -> AttentiveBody:
        assert isinstance(self.body, AttentiveBody)
        return self.body


class Transducer(ConditionalModel):
    """A model that is given texts: its embedding, body and head are those of the decoder."""

    def __init__(
        self, embedding: Embedding, decoder: Body, head: Head, encoder: Encoder, rng: NoiseRNG, *, token_dropout: float
    ) -> None:
        super().__init__(embedding, decoder, head, rng, token_dropout=token_dropout)
        self.encoder = encoder

    def check_buffers(self) -> None:
        super().check_buffers()
        self.encoder.embedding.check_buffers()

    def given(self, condition: Condition) -> BoundTransducer:
        """
        Args:
            condition: source_NS int64 with padding on the right, and lengths_N int64.
        """
        source_NS, lengths_N = condition
        memory_NSM, positions_N = self.encoder(source_NS, lengths_N)
        body = self.attend(memory_NSM, Memory(positions_N, memory_NSM.shape[1]), source_NS)
        return self.bind(BoundTransducer(self.embedding, body, self.head, self.rng))

    @property
    @abstractmethod
    def attention_parts(self) -> dict[str, nn.Module]:
        """The modules between decoder and head, by name."""

    @property
    @abstractmethod
    def activations_per_pair(self) -> int:
        """Numbers that the backward pass needs for each pair of a token of the target and a position of the source."""

    @abstractmethod
    def attend(self, memory_NSM: Tensor, memory: Memory, source_NS: Tensor) -> AttentiveBody:
        """Return the decoder that looks at this memory."""


class SoftTransducer(Transducer):
    """A transducer with soft attention. Buffer, if it copies: target_ids_V of the source's ids."""

    def __init__(
        self,
        embedding: Embedding,
        decoder: Body,
        readout: SoftReadout,
        head: Head,
        encoder: Encoder,
        rng: NoiseRNG,
        *,
        token_dropout: float,
        gate: nn.Linear | None = None,
        target_ids_V: Tensor | None = None,
    ) -> None:
        """
        Args:
            gate: if it copies, the layer whose output says how much it generates.
            target_ids_V: if it copies, the target id of each source id, or -1.
        """
        super().__init__(embedding, decoder, head, encoder, rng, token_dropout=token_dropout)
        self.readout = readout
        self.gate = gate
        self.target_ids_V: Tensor | None
        self.register_buffer("target_ids_V", target_ids_V)

    @property
    def attention_parts(self) -> dict[str, nn.Module]:
        gate = {} if self.gate is None else {"gate": self.gate}
        return {"attention": self.readout, **gate}

    @property
    def activations_per_pair(self) -> int:
        return 2 + self.readout.attention.query.out_features

    def check_buffers(self) -> None:
        super().check_buffers()
        ids_V = self.target_ids_V
        if ids_V is not None and not ((ids_V >= -1) & (ids_V < self.head.vocab_size)).all():
            raise ValueError("an id that is copied is not one of the targets")

    def attend(self, memory_NSM: Tensor, memory: Memory, source_NS: Tensor) -> AttentiveBody:
        copying: Copying | None = None
        if self.gate is not None:
            assert isinstance(self.head, LogProbabilityHead)
            assert self.target_ids_V is not None
            positions_S = torch.arange(source_NS.shape[1], device=source_NS.device)
            ids_NS = self.target_ids_V[source_NS].where(positions_S < memory.lengths_N[:, None] - 2, -1)
            copying = Copying(self.head, self.gate, memory, nn.functional.pad(ids_NS, (1, 1), value=-1))
        return SoftAttentiveBody(self.body, self.readout, memory, memory_NSM, copying)


class MonotonicTransducer(Transducer):
    """A transducer with hard monotonic attention."""

    def __init__(
        self,
        embedding: Embedding,
        decoder: Body,
        attention: MonotonicAttention,
        head: LogProbabilityHead,
        encoder: Encoder,
        rng: NoiseRNG,
        *,
        token_dropout: float,
    ) -> None:
        super().__init__(embedding, decoder, head, encoder, rng, token_dropout=token_dropout)
        self.attention = attention

    @property
    def attention_parts(self) -> dict[str, nn.Module]:
        return {"attention": self.attention}

    @property
    def activations_per_pair(self) -> int:
        return 2 * self.attention.query.out_features + 3 * self.head.vocab_size

    def attend(self, memory_NSM: Tensor, memory: Memory, source_NS: Tensor) -> AttentiveBody:
        del source_NS  # the memory knows the source
        assert isinstance(self.head, LogProbabilityHead)
        return MonotonicAttentiveBody(self.body, self.attention, memory, memory_NSM, self.head)
