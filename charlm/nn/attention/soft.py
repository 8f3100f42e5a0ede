"""Soft attention: a distribution over the positions of the source for each target token.

    score_BTS = v . tanh(W query + U key)       additive: Bahdanau et al. (2015), equation in appendix A.1.2
              = query . key / sqrt(A)           dot: Luong et al. (2015), eq. 8, scaled as by Vaswani et al. (2017)

The query is the decoder's feature vector of the same step (Luong et al.: no input feeding), so all steps of a chunk are
computed at once. Time and memory are in proportion to S * T; for additive attention, to S * T * A.

B rows, T time, S positions, H decoder features, M features of a position, A units of attention.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from charlm.nn.attention.memory import LOG_ZERO
from charlm.nn.heads.softmax import to_at_least_fp32


class SoftAttention(nn.Module, ABC):
    """Scores of positions. Parameters: query.weight AH, query.bias A, key.weight AM."""

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, size)
        self.key = nn.Linear(memory_size, size, bias=False)

    @abstractmethod
    def scores(self, query_BTA: Tensor, key_BSA: Tensor) -> Tensor:
        """Return B, T, S."""

    def forward(self, features_BTH: Tensor, key_BSA: Tensor, is_padding_BS: Tensor) -> Tensor:
        """Return the log-probabilities of positions, B, T, S, in fp32 or higher; padding has none.

        Args:
            key_BSA: `self.key` of the memory.
        """
        scores_BTS = to_at_least_fp32(self.scores(self.query(features_BTH), key_BSA))
        return scores_BTS.masked_fill(is_padding_BS[:, None], LOG_ZERO).log_softmax(-1)


class AdditiveAttention(SoftAttention):
    """A layer of tanh units. Further parameter: score_A."""

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__(query_size, memory_size, size)
        self.score_A = nn.Parameter(torch.empty(size))
        nn.init.normal_(self.score_A, std=size**-0.5)

    def scores(self, query_BTA: Tensor, key_BSA: Tensor) -> Tensor:
        return (query_BTA[:, :, None] + key_BSA[:, None]).tanh() @ self.score_A.to(query_BTA.dtype)


class DotAttention(SoftAttention):
    """The scaled product of query and key."""

    def scores(self, query_BTA: Tensor, key_BSA: Tensor) -> Tensor:
        return query_BTA @ key_BSA.mT * key_BSA.shape[-1] ** -0.5
