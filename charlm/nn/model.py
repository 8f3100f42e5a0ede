"""State in, features out: the form of every language model, whatever its architecture.

    inputs_BT, state ──embedding──> x_BTD ──body──> features_BTH, state        head.nll(features, targets)  -> nats
                                                                               head.loss(features, targets) -> a loss
                                                                               head.logits(features)        -> logits

Truncated BPTT, streaming sampling and exact evaluation use only this form, so they have no branch for an architecture.

B batch, T time, D embedding, H features, V vocabulary.
"""

from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.dropout import NoiseRNG, TokenDropout
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.heads.softmax import Head
from charlm.nn.state import State


class LanguageModel(nn.Module):
    """An embedding, a body and a head. The state is the embedding's, followed by the body's."""

    def __init__(
        self, embedding: Embedding, body: Body, head: Head, rng: NoiseRNG, *, token_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.token_dropout = TokenDropout(head.vocab_size, token_dropout, rng)
        self.body = body
        self.head = head
        self.rng = rng
        self._embedding_state_size = len(embedding.initial_state(1))

    def initial_state(self, batch_size: int) -> State:
        return self.embedding.initial_state(batch_size) + self.body.initial_state(batch_size)

    def forward(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
        size = self._embedding_state_size
        x_BTD, embedding_state = self.embedding(inputs_BT, state[:size])
        features_BTH, body_state = self.body(self.token_dropout(x_BTD, inputs_BT), state[size:])
        return features_BTH, embedding_state + body_state

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())
