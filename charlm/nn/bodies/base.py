"""The form of every network between embedding and head: (x_BTD, state) -> (features_BTH, state).

A causal body carries what it has read in its state, so a text may come in chunks of any length. A body that reads
backward needs whole rows: its features depend on the length of each row, and on nothing behind it.

B batch, T time, D inputs, H features.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from charlm.nn.state import State


class Body(nn.Module, ABC):
    """A network over vectors."""

    is_causal: bool = True
    """Whether a feature depends on no later token, so that a text may come in chunks."""
    features_size: int
    stride_period: int = 1
    """The least common multiple of all layers' strides: streams that start at multiples of it step alike."""
    receptive_field: int | None = None
    """Number of tokens that a feature can depend on, including the current one; None if it is unbounded."""

    def backend_name(self, device: torch.device) -> str:
        """The name of what runs the time steps of a chunk on a device."""
        del device
        return "torch"

    @abstractmethod
    def initial_state(self, batch_size: int) -> State: ...

    @abstractmethod
    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]: ...

    def read_rows(self, x_BTD: Tensor, state: State, lengths_B: Tensor) -> tuple[Tensor, State]:
        """Read rows of different lengths, each with padding on the right.

        The features of the padding mean nothing. A causal body reads padding last, so it needs no lengths, except for
        the statistics of batch normalisation.
        """
        del lengths_B
        return self(x_BTD, state)

    def row_features(self, features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
        """Return B, H: for each feature, its value where the reader has read the whole row."""
        last_B11 = (lengths_B - 1).clamp(min=0)[:, None, None]
        return features_BTH.take_along_dim(last_B11, dim=1)[:, 0]

    @property
    @abstractmethod
    def activations_per_token(self) -> int:
        """Approximate number of activations that the backward pass keeps for each token."""

    @property
    def macs_per_token(self) -> float:
        """Multiply-adds of the forward pass for a token. Each weight of a matrix or convolution is used once."""
        return float(sum(parameter.numel() for parameter in self.parameters() if parameter.ndim >= 2))
