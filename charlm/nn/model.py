"""State in, features out: the form of every model, whatever its architecture and whatever it predicts.

    inputs_BT, state ──embedding──> x_BTD ──body──> features_BTH, state        head.nll(features, targets)  -> nats
                                                                               head.loss(features, targets) -> a loss
                                                                               head.logits(features)        -> logits

Truncated BPTT, streaming sampling and exact evaluation use only this form, so they have no branch for an architecture.
A model of labels or tags has a head over these, and reads documents as rows with padding on the right. A conditional
model is given something first, and is then of this form too.

B batch, T time, D embedding, H features, V vocabulary, N sources of conditions.
"""

import math
from abc import ABC, abstractmethod
from typing import TypeVar

import torch
from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.dropout import NoiseRNG, TokenDropout
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.heads.softmax import Head
from charlm.nn.state import State

Condition = tuple[Tensor, ...]
"""What a conditional model is given. Axis 0 of every tensor: N sources."""


class LanguageModel(nn.Module):
    """An embedding, a body and a head. The state is the embedding's, followed by the body's."""

    def __init__(
        self,
        embedding: Embedding,
        body: Body,
        head: Head,
        rng: NoiseRNG,
        *,
        token_dropout: float = 0.0,
        num_ids: int | None = None,
    ) -> None:
        """
        Args:
            token_dropout: the dropout of whole ids.
            num_ids: the number of ids that are read; None: those that the head predicts.
        """
        super().__init__()
        self.embedding = embedding
        self.token_dropout = TokenDropout(num_ids or head.vocab_size, token_dropout, rng)
        self.body = body
        self.head = head
        self.rng = rng
        self._embedding_state_size = embedding.num_state_tensors

    def initial_state(self, batch_size: int) -> State:
        return self.embedding.initial_state(batch_size) + self.body.initial_state(batch_size)

    def forward(self, inputs_BT: Tensor, state: State, lengths_B: Tensor | None = None) -> tuple[Tensor, State]:
        """Return the features of each token, and the state after the last one.

        Args:
            lengths_B: the number of tokens of each row, if rows have padding after their ends.
        """
        size = self._embedding_state_size
        if lengths_B is None:
            x_BTD, embedding_state = self.embedding(inputs_BT, state[:size])
        else:
            x_BTD, embedding_state = self.embedding.read_rows(inputs_BT, state[:size], lengths_B)
        x_BTD = self.token_dropout(x_BTD, inputs_BT)
        if lengths_B is None:
            features_BTH, body_state = self.body(x_BTD, state[size:])
        else:
            features_BTH, body_state = self.body.read_rows(x_BTD, state[size:], lengths_B)
        return features_BTH, embedding_state + body_state

    def check_state(self, state: State) -> None:
        """
        Raises:
            ValueError: a state that was read from a file has numbers that no text leads to.
        """
        del state

    @property
    def is_causal(self) -> bool:
        """Whether a feature depends on no later token, so that a text may come in chunks."""
        return self.embedding.is_causal and self.body.is_causal

    @property
    def stride_period(self) -> int:
        """Streams that start at multiples of it step alike."""
        return math.lcm(self.embedding.stride_period, self.body.stride_period)

    @property
    def receptive_field(self) -> int | None:
        """Number of tokens that a feature can depend on, including the current one; None if it is unbounded."""
        fields = self.embedding.receptive_field, self.body.receptive_field
        return None if fields[0] is None or fields[1] is None else fields[0] + fields[1] - 1

    def check_buffers(self) -> None:
        """
        Raises:
            ValueError: a buffer that was loaded has values that are impossible.
        """
        self.embedding.check_buffers()
        self.head.check_buffers()

    @property
    def num_parameters(self) -> int:
        """The number of trained weights; those of frozen language models are not counted."""
        return sum(parameter.numel() for parameter in self.parameters())


BoundModel = TypeVar("BoundModel", bound=LanguageModel)


class ConditionalModel(LanguageModel, ABC):
    """A language model that must be given something before it reads.

    Sampling, beams, scores and training work with the model that `given` returns. That one shares all parameters, keeps
    what the sources say beside it, and its state begins with the number of the source that each row reads.
    """

    @abstractmethod
    def given(self, condition: Condition) -> LanguageModel:
        """Return the language model that knows `condition`."""

    def bind(self, bound: BoundModel) -> BoundModel:
        """Give a model that is made of parts of this one its dropout of ids and its mode, and return it."""
        bound.token_dropout = self.token_dropout
        bound.training = self.training
        return bound

    def initial_state(self, batch_size: int) -> State:
        raise TypeError("a conditional model reads nothing before it is given a condition")

    def forward(self, inputs_BT: Tensor, state: State, lengths_B: Tensor | None = None) -> tuple[Tensor, State]:
        raise TypeError("a conditional model reads nothing before it is given a condition")


def initial_rows(batch_size: int, num_sources: int, device: torch.device) -> Tensor:
    """Return the source of each row, int64: the only one, or one each.

    Raises:
        ValueError: there are several sources, and another number of rows.
    """
    if num_sources == 1:
        return torch.zeros(batch_size, dtype=torch.int64, device=device)
    if num_sources != batch_size:
        raise ValueError(f"{batch_size} rows for {num_sources} sources")
    return torch.arange(num_sources, device=device)
