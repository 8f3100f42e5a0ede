"""A language model with n-grams: its state also holds the contexts, and its features end in them.

    inputs_BT, state ──network──> features_BTH ─┐
             └────contexts──> contexts_BTK ─────┴──> features, state       NgramHead mixes both

B batch, T time, H features, K contexts, E evidence.
"""

from torch import Tensor

from charlm.nn.bodies.base import Body
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.head import NgramHead
from charlm.nn.state import State


class NgramLanguageModel(LanguageModel):
    """A network and n-grams. The state begins with the contexts (B, K), int64."""

    def __init__(
        self, embedding: Embedding, body: Body, head: NgramHead, rng: NoiseRNG, *, token_dropout: float = 0.0
    ) -> None:
        super().__init__(embedding, body, head, rng, token_dropout=token_dropout)

    @property
    def ngram_head(self) -> NgramHead:
        assert isinstance(self.head, NgramHead)
        return self.head

    def initial_state(self, batch_size: int) -> State:
        network = super().initial_state(batch_size)
        device = next(self.parameters()).device
        return (self.ngram_head.lookup.initial_contexts(batch_size, device), *network)

    def forward(self, inputs_BT: Tensor, state: State, lengths_B: Tensor | None = None) -> tuple[Tensor, State]:
        features_BTH, network_state = super().forward(inputs_BT, state[1:], lengths_B)
        contexts_BTK = self.ngram_head.lookup.advance(inputs_BT, state[0])
        return self.ngram_head.join(features_BTH, contexts_BTK), (contexts_BTK[:, -1], *network_state)

    def check_state(self, state: State) -> None:
        self.ngram_head.lookup.check_contexts(state[0])

    def loss_from_evidence(
        self, inputs_BT: Tensor, targets_BT: Tensor, evidence_BTE: Tensor, state: State
    ) -> tuple[Tensor, Tensor, State]:
        """Return the training loss and the nats of each target (B, T), and the state.

        The contexts in the state do not change, since the evidence takes their place.
        """
        features_BTH, network_state = super().forward(inputs_BT, state[1:])
        loss_BT, nll_BT = self.ngram_head.loss_from_evidence(features_BTH, evidence_BTE, targets_BT)
        return loss_BT, nll_BT, (state[0], *network_state)

    @property
    def receptive_field(self) -> int | None:
        field = super().receptive_field
        return None if field is None else max(field, self.ngram_head.lookup.num_contexts)
