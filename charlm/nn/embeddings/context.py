"""Hashed n-grams of tokens: the vectors of the n-grams that end at a token are added to the token's own vector.

    inputs ──tokens──> x_BTD ──────────────────────────────(+)──> x_BTD
       └─ the last 2, 3, ... tokens ──hash──> buckets ──bag sum── dropout ─┘

The table may be large, because its gradient is sparse: a step costs time for the buckets of the batch only.

B batch, T time, D embedding size, L tokens carried, O number of orders n, K rows of the table.
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
from charlm.nn.embeddings.token_embedding import Embedding
from charlm.nn.state import State
from charlm.vocab.base import HASH_BASE

_MULTIPLIER = HASH_BASE - 2**64  # as int64: products wrap around modulo 2**64
_NO_TOKEN = -1

Array = TypeVar("Array", Tensor, npt.NDArray[np.signedinteger[Any]])


class ContextEmbedding(Embedding):
    """An embedding of tokens, plus vectors of the hashed n-grams that end at each token.

    The hash is part of every trained model, so it must not change. N-grams that collide share a vector. Parameters: the
    token embedding's; table_KD, with rows ordered by n, then bucket, initially zero, so that a bucket never seen in
    training adds nothing. State: the token embedding's; the last max(n) - 1 tokens, -1 before the first token.
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
            orders: the lengths n of the n-grams, in tokens, each at least 2.
            num_buckets: rows of the table for each n.
            dropout: probability for each feature of the sum of the n-grams' vectors.
            backoff: probability, in training, that the n-grams of a length and all longer ones are left out at a token.
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
        """Leave out n-grams at random, as if they had never been seen; return the remaining rows and their counts."""
        generator = self._rng.generator(rows_BTO.device)
        is_kept_BTO = torch.rand(rows_BTO.shape, device=rows_BTO.device, generator=generator) >= self._backoff
        is_kept_BTO = is_kept_BTO.cumprod(-1).bool()  # without an n-gram, none that is longer
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
    """Return the row numbers of the n-grams that end at each of the last `num_steps` tokens: for each order, B, T.

    Args:
        history: tokens, in torch or numpy, with at least max(orders) - 1 tokens before those steps; -1 for no token.
    """
    end = history.shape[1]
    hash_BT = history[:, end - num_steps :] * 0
    rows: list[Array] = []
    for lag in range(max(orders)):
        tokens_BT = history[:, end - num_steps - lag : end - lag]
        hash_BT = hash_BT * _MULTIPLIER + (tokens_BT + 2)  # so that no token is 1, and token 0 is 2
        if lag + 1 in orders:
            mixed_BT = (hash_BT ^ (hash_BT >> 32)) * _MULTIPLIER >> 33  # the high bits of a product are mixed best
            rows.append((mixed_BT & 0x7FFFFFFF) % num_buckets + len(rows) * num_buckets)
    return rows
