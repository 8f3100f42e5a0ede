"""The form of every network between embedding and head: (x_BTD, state) -> (features_BTH, state).

B batch, T time, D inputs, H features.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from charlm.nn.state import State


class Body(nn.Module, ABC):
    """A network over vectors. Its memory is in its state, so a text may come in chunks of any length."""

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

    @property
    @abstractmethod
    def activations_per_token(self) -> int:
        """Approximate number of activations that the backward pass keeps for each token."""

    @property
    def macs_per_token(self) -> float:
        """Multiply-adds of the forward pass for a token. Each weight of a matrix or convolution is used once."""
        return float(sum(parameter.numel() for parameter in self.parameters() if parameter.ndim >= 2))
