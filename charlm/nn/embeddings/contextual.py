"""The features of frozen language models as an embedding (Akbik et al., 2018).

    inputs_BT ──┬── a language model that reads along ────────────────┐
                ├── one that reads each row from its end ── reversed ──┴── (linear map) ──┐
                └── a trained embedding ──────────────────────────────────────────────────┴──> side by side, x_BTD

The feature of a token is that of a language model after it has read the token, and all before it (or after it) from
the <eod> at the beginning (or the end) of the document.

B batch, T time, D embedding size, H features.
"""

import torch
from torch import Tensor, nn

from charlm.nn.bodies.reversed import reverse_rows
from charlm.nn.embeddings.frozen import FrozenLanguageModel
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.state import State, reset_rows


class ContextualEmbedding(Embedding):
    """What frozen language models know at each token. Parameters: those of `trained` and of `projection`.

    State: that of the model that reads along, then that of the trained embedding.
    """

    def __init__(
        self,
        along: FrozenLanguageModel | None,
        against: FrozenLanguageModel | None,
        trained: Embedding | None,
        projection_size: int | None,
        *,
        begins_with_eod: bool,
    ) -> None:
        """
        Args:
            along: reads the tokens in their order.
            against: reads each row from its end.
            trained: the vectors beside their features.
            projection_size: the size to which a trained linear map brings the features; None: no such map.
            begins_with_eod: whether the inputs have the <eod> before a document; else it is read in between.
        """
        readers = [reader for reader in (along, against) if reader is not None]
        num_features = sum(reader.features_size for reader in readers)
        super().__init__((projection_size or num_features) + (trained.size if trained else 0))
        self.along = along
        self.against = against
        self.trained = trained
        self.projection = nn.Linear(num_features, projection_size) if projection_size else None
        self._begins_with_eod = begins_with_eod
        self.is_causal = against is None
        self.stride_period = along.stride_period if along else 1
        fields = [reader.receptive_field for reader in readers]
        self.receptive_field = None if None in fields else 1 + sum(field - 1 for field in fields if field)

    def initial_state(self, batch_size: int) -> State:
        own = self.trained.initial_state(batch_size) if self.trained else ()
        if self.along is None:
            return own
        start = self.along.initial_state if self._begins_with_eod else self.along.state_after_eod
        return (*start(batch_size), *own)

    @property
    def num_state_tensors(self) -> int:
        return self._num_reader_tensors + (self.trained.num_state_tensors if self.trained else 0)

    @property
    def _num_reader_tensors(self) -> int:
        return self.along.num_state_tensors if self.along else 0

    def forward(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
        return self.read_rows(
            inputs_BT, state, torch.full((len(inputs_BT),), inputs_BT.shape[1], device=inputs_BT.device)
        )

    def read_rows(self, inputs_BT: Tensor, state: State, lengths_B: Tensor) -> tuple[Tensor, State]:
        features: list[Tensor] = []
        size = self._num_reader_tensors
        reader_state, own_state = state[:size], state[size:]
        if self.along is not None:
            along_BTH, reader_state = self.along(inputs_BT, reader_state)
            features.append(along_BTH)
        if self.against is not None:
            features.append(_read_against(self.against, inputs_BT, lengths_B))
        x_BTD = torch.cat(features, dim=-1)
        if self.projection is not None:
            x_BTD = self.projection(x_BTD)
        if self.trained is not None:
            own_BTD, own_state = self.trained(inputs_BT, own_state)
            x_BTD = torch.cat([x_BTD, own_BTD], dim=-1)
        return x_BTD, (*reader_state, *own_state)

    @property
    def macs_per_token(self) -> float:
        return 0.0 if self.projection is None else float(self.projection.weight.numel())

    @property
    def sparse_parameters(self) -> list[nn.Parameter]:
        return self.trained.sparse_parameters if self.trained else []

    def check_buffers(self) -> None:
        for reader in (self.along, self.against):
            if reader is not None:
                reader.check_buffers()


@torch.no_grad()
def _read_against(reader: FrozenLanguageModel, inputs_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """Return the features of rows that are read from their ends, each as a document: from the <eod> on that ends it,
    which is read in between where the row does not have it."""
    reversed_BT = reverse_rows(inputs_BT[..., None], lengths_B)[..., 0]
    has_eod_B = (reversed_BT[:, :1] == reader.description.eod_id).any(1)
    batch_size = len(inputs_BT)
    state = reset_rows(reader.state_after_eod(batch_size), reader.initial_state(batch_size), has_eod_B)
    return reverse_rows(reader(reversed_BT, state)[0], lengths_B)
