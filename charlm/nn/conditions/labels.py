"""Models that are given a label: text of a class, such as the names of a language.

    into = "input"   label ──its vector──(+)── embedding of each token ──> body      (the default)
    into = "state"   label ──its vectors──> the initial state of the body

A label that training has never seen has the vector zero, so it says nothing.

B batch, T time, D embedding, N sources, L labels, K labels of a text, S numbers of the body's initial state.
"""

import math

import torch
from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.heads.softmax import Head
from charlm.nn.model import Condition, ConditionalModel, LanguageModel, initial_rows
from charlm.nn.state import State


class UnconditionedModel(ConditionalModel):
    """A model of a task with conditions that ignores them: what a condition is worth shows beside it."""

    def given(self, condition: Condition) -> LanguageModel:
        del condition
        return self.bind(LanguageModel(self.embedding, self.body, self.head, self.rng))


class LabelInputModel(ConditionalModel):
    """Adds a vector of the label to the embedding of every token. Parameters: label_LD, initially zero."""

    def __init__(
        self, embedding: Embedding, body: Body, head: Head, rng: NoiseRNG, num_labels: int, *, token_dropout: float
    ) -> None:
        super().__init__(embedding, body, head, rng, token_dropout=token_dropout)
        self.label_LD = nn.Parameter(torch.zeros(num_labels, embedding.size))

    def given(self, condition: Condition) -> LanguageModel:
        """
        Args:
            condition: the ids of labels, (N,) or (N, K) int64; -1 for one that is unknown.
        """
        (labels_N,) = condition
        embedding = LabelledEmbedding(self.embedding, _vectors_of(self.label_LD, labels_N))
        return self.bind(LanguageModel(embedding, self.body, self.head, self.rng))


class LabelStateModel(ConditionalModel):
    """Begins with a state of the label. Parameters: label_LS, initially zero."""

    def __init__(
        self, embedding: Embedding, body: Body, head: Head, rng: NoiseRNG, num_labels: int, *, token_dropout: float
    ) -> None:
        super().__init__(embedding, body, head, rng, token_dropout=token_dropout)
        sizes = [tensor.numel() for tensor in body.initial_state(1) if tensor.is_floating_point()]
        self.label_LS = nn.Parameter(torch.zeros(num_labels, sum(sizes)))

    def given(self, condition: Condition) -> LanguageModel:
        """
        Args:
            condition: the ids of labels, (N,) or (N, K) int64; -1 for one that is unknown.
        """
        (labels_N,) = condition
        bound = self.bind(_StateBoundModel(self.embedding, self.body, self.head, self.rng))
        bound.state_NS = _vectors_of(self.label_LS, labels_N)
        return bound


class _StateBoundModel(LanguageModel):
    """A model whose body begins with a given state."""

    state_NS: Tensor

    def initial_state(self, batch_size: int) -> State:
        rows_B = initial_rows(batch_size, len(self.state_NS), self.state_NS.device)
        rest_BS = self.state_NS[rows_B]
        body_state: list[Tensor] = []
        for tensor in self.body.initial_state(batch_size):
            if tensor.is_floating_point():
                size = math.prod(tensor.shape[1:])
                body_state.append(tensor + rest_BS[:, :size].reshape(tensor.shape))
                rest_BS = rest_BS[:, size:]
            else:
                body_state.append(tensor)
        return (*self.embedding.initial_state(batch_size), *body_state)


class LabelledEmbedding(Embedding):
    """An embedding with the vector of the row's source added to that of every token.

    State: the number of the source of each row; the inner embedding's.
    """

    def __init__(self, tokens: Embedding, vectors_ND: Tensor) -> None:
        super().__init__(tokens.size)
        self.tokens = tokens
        self.training = tokens.training
        self._vectors_ND = vectors_ND

    def initial_state(self, batch_size: int) -> State:
        rows_B = initial_rows(batch_size, len(self._vectors_ND), self._vectors_ND.device)
        return (rows_B, *self.tokens.initial_state(batch_size))

    def forward(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
        rows_B, *inner = state
        x_BTD, inner_state = self.tokens(inputs_BT, tuple(inner))
        return x_BTD + self._vectors_ND[rows_B][:, None], (rows_B, *inner_state)

    @property
    def num_state_tensors(self) -> int:
        return 1 + self.tokens.num_state_tensors

    @property
    def bag_layout(self) -> BagLayout | None:
        return self.tokens.bag_layout

    @property
    def sparse_parameters(self) -> list[nn.Parameter]:
        return self.tokens.sparse_parameters

    def check_buffers(self) -> None:
        self.tokens.check_buffers()


def _vectors_of(vectors_LD: Tensor, labels_N: Tensor) -> Tensor:
    """Return the vectors of labels; zeros for unknown ones. Of several labels, (N, K), return the sums."""
    if labels_N.ndim == 2:
        return (vectors_LD[labels_N.clamp(min=0)] * (labels_N >= 0)[..., None]).sum(1)
    return vectors_LD[labels_N.clamp(min=0)] * (labels_N >= 0)[:, None]
