"""The last tokens as an input feature: to each token's own vector, those of the n-grams that end with it are added.

    inputs ──tokens──> x_BTD ──────────────────────────────(+)──> x_BTD
       └─ the last 2, 3, ... tokens ──hash──> buckets ──bag sum── dropout ─┘

The table may be large: its gradient is sparse, and a step costs the buckets that the batch touches, not the table.

B batch, T time, D embedding size, L tokens carried, O orders (how many n), K rows of the table.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.bag_sum import bag_sum
from charlm.nn.embeddings.token import Embedding
from charlm.nn.state import State
from charlm.vocab.base import HASH_BASE

_MULTIPLIER = HASH_BASE - 2**64  # as int64: products wrap around modulo 2**64
_NO_TOKEN = -1

Array = TypeVar("Array", Tensor, npt.NDArray[np.signedinteger[Any]])


class ContextEmbedding(Embedding):
    """Another embedding and the hashed n-grams of tokens before and with each one.

    Which bucket an n-gram has is part of every trained model: the hash must not change. N-grams that collide share a
    vector. Parameters: the other embedding's; table_KD, its rows ordered by n, then bucket, zero at first, so that a
    bucket never met in training adds nothing. State: the other embedding's; the last max(n) - 1 tokens, -1 for none.
    """

    def __init__(
        self,
        tokens: Embedding,
        orders: Sequence[int],
        num_buckets: int,
        rng: NoiseRNG,
        *,
        dropout: float = 0.0,
        backoff: float = 0.0,
    ) -> None:
        """
        Args:
            orders: the lengths n of the n-grams in tokens, each at least 2.
            num_buckets: rows of the table for each n.
            dropout: probability for the features of the sum of the n-grams' vectors.
            backoff: probability, in training, that at some place the n-grams of a length and of all above are left out.
        """
        super().__init__(tokens.size)
        self.tokens = tokens
        self.table_KD = nn.Parameter(torch.zeros(len(orders) * num_buckets, tokens.size))
        self.dropout = LockedDropout(dropout, rng)
        self._backoff = backoff
        self._rng = rng
        self.orders = sorted(orders)
        self.num_buckets = num_buckets
        self._num_carried = max(orders) - 1

    def initial_state(self, batch_size: int) -> State:
        carried_BL = torch.full((batch_size, self._num_carried), _NO_TOKEN, device=self.table_KD.device)
        return (*self.tokens.initial_state(batch_size), carried_BL)

    def forward(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
        *tokens_state, carried_BL = state
        x_BTD, next_tokens_state = self.tokens(inputs_BT, tuple(tokens_state))
        history = torch.cat([carried_BL, inputs_BT], dim=1)
        rows_BTO = torch.stack(context_rows(history, inputs_BT.shape[1], self.orders, self.num_buckets), dim=-1)
        rows_M, counts = rows_BTO.flatten(), torch.full((inputs_BT.numel(),), len(self.orders), device=inputs_BT.device)
        if self.training and self._backoff:
            rows_M, counts = self._apply_backoff(rows_BTO)
        context_BTD = bag_sum(self.table_KD, rows_M, counts, sparse=True).view(x_BTD.shape)
        next_carried_BL = history[:, inputs_BT.shape[1] :]
        return x_BTD + self.dropout(context_BTD), (*next_tokens_state, next_carried_BL)

    def _apply_backoff(self, rows_BTO: Tensor) -> tuple[Tensor, Tensor]:
        """The rows that are left, and how many at each place: what an n-gram that was never met looks like."""
        generator = self._rng.generator(rows_BTO.device)
        is_kept_BTO = torch.rand(rows_BTO.shape, device=rows_BTO.device, generator=generator) >= self._backoff
        is_kept_BTO = is_kept_BTO.cumprod(-1).bool()  # without an n-gram, no longer one
        return rows_BTO[is_kept_BTO], is_kept_BTO.sum(-1).flatten()

    @property
    def bag_layout(self) -> BagLayout | None:
        return self.tokens.bag_layout

    @property
    def sparse_parameters(self) -> list[nn.Parameter]:
        return [*self.tokens.sparse_parameters, self.table_KD]

    def check_buffers(self) -> None:
        self.tokens.check_buffers()


def context_rows(history: Array, num_steps: int, orders: Sequence[int], num_buckets: int) -> list[Array]:
    """Row numbers of the n-grams that end at each of the last `num_steps` tokens of each row: for each order, B, T.

    Args:
        history: tokens, at least max(orders) - 1 of them before those steps; -1 for none. Of torch or numpy.
    """
    end = history.shape[1]
    hash_BT = history[:, end - num_steps :] * 0
    rows: list[Array] = []
    for lag in range(max(orders)):
        tokens_BT = history[:, end - num_steps - lag : end - lag]
        hash_BT = hash_BT * _MULTIPLIER + (tokens_BT + 2)  # none is 1, and token 0 another number than none
        if lag + 1 in orders:
            mixed_BT = (hash_BT ^ (hash_BT >> 32)) * _MULTIPLIER >> 33  # a product's high bits are its best ones
            rows.append((mixed_BT & 0x7FFFFFFF) % num_buckets + len(rows) * num_buckets)
    return rows
