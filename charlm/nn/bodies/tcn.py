"""A temporal convolutional network: (x_BTD, state) -> (features_BTH, state).

    x ── dropout ── block 0 ── block 1 ── ... ── output dropout ── features
                       │ [convolution, norm, relu, dropout] twice, plus the block's input, relu

B batch, T time, D inputs, H channels.
"""

from functools import partial

import torch
from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.causal import CausalConvolution
from charlm.nn.bodies.settings import TCNSettings
from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.norm import NormFactory
from charlm.nn.state import State


class ResidualBlock(nn.Module):
    """relu(F(x) + x), where F is two convolutions of one dilation; if the sizes differ, relu(F(x) + V x + c).

    The 1x1 convolution V is not normalised, as in the paper's Figure 1. State: the convolutions' states.
    """

    def __init__(self, settings: TCNSettings, input_size: int, dilation: int, rng: NoiseRNG) -> None:
        super().__init__()
        hidden_size = settings.hidden_size
        # The second convolution starts at a scale at which the sum of the blocks does not grow with their number.
        # Validation nats per token on tinyshakespeare after 300 steps of 16 x 64 tokens, 64 channels: with 4 blocks
        # 2.22 instead of 2.26 (layer normalisation: 2.13, 2.19), with 7 blocks 2.22 instead of 2.29 (2.12, 2.19).
        scales = (1.0, 1 / settings.num_blocks)
        self.convolutions = nn.ModuleList(
            CausalConvolution(
                size,
                hidden_size,
                partial(_initialise, scale=scale),
                NormFactory(settings.norm, gain=scale),
                kernel_size=settings.kernel_size,
                dilation=dilation,
            )
            for size, scale in zip((input_size, hidden_size), scales, strict=True)
        )
        self.dropouts = nn.ModuleList(LockedDropout(settings.dropout, rng) for _ in self.convolutions)
        self.residual = (
            CausalConvolution(input_size, hidden_size, nn.init.xavier_uniform_, NormFactory())
            if input_size != hidden_size
            else None
        )

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        y_BTH = x_BTD
        next_state: State = ()
        for convolution, dropout, carried in zip(self.convolutions, self.dropouts, state, strict=True):
            sums_BTH, next_carried = convolution(y_BTH, (carried,))
            y_BTH = dropout(torch.relu(sums_BTH))
            next_state += next_carried
        residual_BTH = x_BTD if self.residual is None else self.residual(x_BTD, ())[0]
        return torch.relu(y_BTH + residual_BTH), next_state


class TCN(Body):
    """Residual blocks of causal convolutions, block k with the dilation base**k (Bai et al., 2018).

    State: for each convolution in turn its last (kernel_size - 1) base**k inputs (B, length, D or H), initially zero,
    as the paper's padding.
    """

    def __init__(self, settings: TCNSettings, input_size: int, rng: NoiseRNG) -> None:
        super().__init__()
        self.features_size = settings.hidden_size
        dilations = [settings.dilation_base**k for k in range(settings.num_blocks)]
        self.receptive_field = 1 + 2 * (settings.kernel_size - 1) * sum(dilations)
        sizes = [input_size] + [settings.hidden_size] * (settings.num_blocks - 1)
        self.input_dropout = LockedDropout(settings.input_dropout, rng)
        self.blocks = nn.ModuleList(
            ResidualBlock(settings, size, dilation, rng) for size, dilation in zip(sizes, dilations, strict=True)
        )
        self.output_dropout = LockedDropout(settings.output_dropout, rng)

    def initial_state(self, batch_size: int) -> State:
        return tuple(tensor for convolution in self._convolutions for tensor in convolution.initial_state(batch_size))

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        features_BTH = self.input_dropout(x_BTD)
        next_state: State = ()
        for index, block in enumerate(self.blocks):
            features_BTH, next_carried = block(features_BTH, state[2 * index : 2 * index + 2])
            next_state += next_carried
        return self.output_dropout(features_BTH), next_state

    @property
    def activations_per_token(self) -> int:
        return sum(convolution.activations_per_token for convolution in self._convolutions)

    @property
    def _convolutions(self) -> list[CausalConvolution]:
        """All convolutions, in the order of the state; a 1x1 convolution has none."""
        return [module for module in self.modules() if isinstance(module, CausalConvolution)]


def _initialise(weight_HK: Tensor, scale: float) -> Tensor:
    """Initialise for relu (He et al., 2015), times a scale."""
    return nn.init.normal_(weight_HK, std=scale * (2 / weight_HK.shape[1]) ** 0.5)
