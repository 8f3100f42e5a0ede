"""State in, features out: the form of every model, whatever its architecture and whatever it predicts.

    inputs_BT, state ──embedding──> x_BTD ──body──> features_BTH, state        head.nll(features, targets)  -> nats
                                                                               head.loss(features, targets) -> a loss
                                                                               head.logits(features)        -> logits

Truncated BPTT, streaming sampling and exact evaluation use only this form, so they have no branch for an architecture.
A model of labels or tags has a head over these, and reads documents as rows with padding on the right.

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
        self._embedding_state_size = len(embedding.initial_state(1))

    def initial_state(self, batch_size: int) -> State:
        return self.embedding.initial_state(batch_size) + self.body.initial_state(batch_size)

    def forward(self, inputs_BT: Tensor, state: State, lengths_B: Tensor | None = None) -> tuple[Tensor, State]:
        """Return the features of each token, and the state after the last one.

        Args:
            lengths_B: the number of tokens of each row, if rows have padding after their ends.
        """
        size = self._embedding_state_size
        x_BTD, embedding_state = self.embedding(inputs_BT, state[:size])
        x_BTD = self.token_dropout(x_BTD, inputs_BT)
        if lengths_B is None:
            features_BTH, body_state = self.body(x_BTD, state[size:])
        else:
            features_BTH, body_state = self.body.read_rows(x_BTD, state[size:], lengths_B)
        return features_BTH, embedding_state + body_state

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())
