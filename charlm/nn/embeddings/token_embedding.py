"""Ids -> vectors. An embedding may carry state (the last tokens), so it has the form of all networks.

B batch, T time, D embedding size, V vocabulary.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.state import State


class Embedding(nn.Module, ABC):
    """A network (inputs_BT, state) -> (x_BTD, state)."""

    is_causal: bool = True
    """Whether a vector depends on no later token, so that a text may come in chunks."""
    stride_period: int = 1
    """As that of a body."""
    receptive_field: int | None = 1
    """As that of a body. N-grams are not counted."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    @abstractmethod
    def initial_state(self, batch_size: int) -> State: ...

    def read_rows(self, inputs_BT: Tensor, state: State, lengths_B: Tensor) -> tuple[Tensor, State]:
        """Read rows of different lengths, each with padding on the right. The vectors of the padding mean nothing."""
        del lengths_B  # a causal embedding reads padding last
        return self(inputs_BT, state)

    @property
    def num_state_tensors(self) -> int:
        """The number of tensors of its state."""
        return len(self.initial_state(1))

    @property
    def bag_layout(self) -> BagLayout | None:
        """The sizes of the buffers that a vocabulary fills, or None without such buffers."""
        return None

    @property
    def sparse_parameters(self) -> list[nn.Parameter]:
        """The parameters whose gradients are sparse."""
        return []

    @property
    def macs_per_token(self) -> float:
        """Multiply-adds for a token in trained weights. Look-ups and sums are not counted."""
        return 0.0

    def check_buffers(self) -> None:
        """Raise ValueError if buffers read from a file contradict each other."""


class TokenEmbedding(Embedding):
    """One learned vector per id. Parameters: weight_VD, initially normal with variance 1/D."""

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__(size)
        self.weight_VD = nn.Parameter(torch.empty(vocab_size, size))
        nn.init.normal_(self.weight_VD, std=size**-0.5)

    def initial_state(self, batch_size: int) -> State:
        del batch_size  # a single token needs no state
        return ()

    def forward(self, inputs_BT: Tensor, state: State) -> tuple[Tensor, State]:
        return nn.functional.embedding(inputs_BT, self.weight_VD), state
