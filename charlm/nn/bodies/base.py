"""What stands between the embedding and the head, of whatever architecture: (x_BTD, state) -> (features_BTH, state).

B batch, T time, D inputs, H features.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from charlm.nn.state import State


class Body(nn.Module, ABC):
    """A network over vectors. What it remembers is in its state, so a text may come in chunks of any length."""

    features_size: int
    stride_period: int = 1
    """Streams that start at multiples of it step alike: the strides of all layers together."""
    receptive_field: int | None = None
    """Tokens that a feature can depend on, the present one among them; None where nothing bounds them."""

    def backend_name(self, device: torch.device) -> str:
        """What runs the time steps of a chunk; "plain" where nothing faster than one after the other does."""
        del device
        return "torch"

    @abstractmethod
    def initial_state(self, batch_size: int) -> State: ...

    @abstractmethod
    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]: ...

    @property
    @abstractmethod
    def activations_per_token(self) -> int:
        """About how many activations the backward pass keeps for each token."""

    @property
    def macs_per_token(self) -> float:
        """Multiply-adds of the forward pass for a token: each weight of a matrix or convolution is used once."""
        return float(sum(parameter.numel() for parameter in self.parameters() if parameter.ndim >= 2))
