"""Features of a whole text from those of its tokens, for one label for each text.

    end    the features where the reader has read everything: a causal body's at the last token, a backward one's at the
           first
    mean   the mean of each feature over the tokens read so far; a body that reads whole rows: over the row
    max    the largest value, in the same way

The pooled features of a causal body run along with the text, and what they need is part of the state, so a long text
may come in chunks.

B batch, T time, D inputs, H features.
"""

import torch
from torch import Tensor

from charlm.nn.bodies.base import Body
from charlm.nn.setting_types import Pooling
from charlm.nn.state import State


class PooledBody(Body):
    """A body whose features at a token are those of the text up to it, or of the whole row.

    State: the body's; for a causal body with "mean", then sum_BH and count_B; with "max", then max_BH and count_B.
    """

    def __init__(self, body: Body, pooling: Pooling) -> None:
        super().__init__()
        self.body = body
        self.is_causal = body.is_causal
        self.features_size = body.features_size
        self.stride_period = body.stride_period
        self.receptive_field = body.receptive_field if pooling == "end" else None
        self._pooling: Pooling = pooling

    @property
    def _runs_along(self) -> bool:
        """Whether the pooled features are those of the tokens read so far."""
        return self.is_causal and self._pooling != "end"

    def initial_state(self, batch_size: int) -> State:
        state = self.body.initial_state(batch_size)
        if not self._runs_along:
            return state
        parameter = next(self.parameters())
        dtype = torch.promote_types(parameter.dtype, torch.float32)
        pooled_BH = torch.zeros(batch_size, self.features_size, dtype=dtype, device=parameter.device)
        return (*state, pooled_BH, torch.zeros(batch_size, dtype=torch.int64, device=parameter.device))

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        return self.read_rows(x_BTD, state, torch.full((len(x_BTD),), x_BTD.shape[1], device=x_BTD.device))

    def read_rows(self, x_BTD: Tensor, state: State, lengths_B: Tensor) -> tuple[Tensor, State]:
        if not self._runs_along:
            features_BTH, next_state = self.body.read_rows(x_BTD, state, lengths_B)
            return (features_BTH if self.is_causal else self._pool_rows(features_BTH, lengths_B)), next_state
        *body_state, pooled_BH, count_B = state
        features_BTH, next_state = self.body.read_rows(x_BTD, tuple(body_state), lengths_B)
        features_BTH = features_BTH.to(pooled_BH.dtype)
        numbers_BT = count_B[:, None] + torch.arange(1, x_BTD.shape[1] + 1, device=x_BTD.device)
        if self._pooling == "mean":
            sums_BTH = pooled_BH[:, None] + features_BTH.cumsum(1)
            return sums_BTH / numbers_BT[..., None], (*next_state, *_last(sums_BTH, pooled_BH, numbers_BT, count_B))
        is_first_B11 = (count_B == 0)[:, None, None]
        before_B1H = pooled_BH[:, None].masked_fill(is_first_B11, -torch.inf)
        maxima_BTH = torch.maximum(before_B1H, features_BTH.cummax(1).values)
        return maxima_BTH, (*next_state, *_last(maxima_BTH, pooled_BH, numbers_BT, count_B))

    def _pool_rows(self, features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
        """Return the features of each row, the same at all of its tokens."""
        match self._pooling:
            case "end":
                pooled_BH = self.body.row_features(features_BTH, lengths_B)
            case "mean":
                is_text_BT1 = _is_text(features_BTH, lengths_B)
                pooled_BH = features_BTH.where(is_text_BT1, 0).sum(1) / lengths_B.clamp(min=1)[:, None]
            case "max":
                pooled_BH = features_BTH.masked_fill(~_is_text(features_BTH, lengths_B), -torch.inf).amax(1)
        return pooled_BH[:, None].expand_as(features_BTH)

    def backend_name(self, device: torch.device) -> str:
        return self.body.backend_name(device)

    @property
    def activations_per_token(self) -> int:
        return self.body.activations_per_token + 2 * self.features_size

    @property
    def macs_per_token(self) -> float:
        return self.body.macs_per_token


def _is_text(features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
    """Return B, T, 1: whether a position is before the end of its row."""
    return (torch.arange(features_BTH.shape[1], device=features_BTH.device) < lengths_B[:, None])[..., None]


def _last(pooled_BTH: Tensor, before_BH: Tensor, numbers_BT: Tensor, count_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the state after the last token; after a chunk without tokens, the state before it."""
    if pooled_BTH.shape[1] == 0:
        return before_BH, count_B
    return pooled_BTH[:, -1], numbers_BT[:, -1]
