"""Ids -> vectors. An embedding may carry state too (the last tokens), so it has the form of every other network.

B batch, T time, D embedding size, V vocabulary.
"""

import torch
from torch import Tensor, nn

from charlm.nn.state import State


class TokenEmbedding(nn.Module):
    """One learned vector per id. Parameters: weight_VD, normal with variance 1/D."""

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight_VD = nn.Parameter(torch.empty(vocab_size, size))
        nn.init.normal_(self.weight_VD, std=size**-0.5)

    def initial_state(self, batch_size: int) -> State:
        del batch_size  # a single token needs no memory
        return ()

    def forward(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
        return nn.functional.embedding(inputs_BT, self.weight_VD), state
