"""Residual blocks around a gated linear recurrence (Griffin without attention; De et al., 2024, figure 2).

    x ── dropout ── block 1 ── block 2 ── ... ── norm ── output dropout ── features

    block   n = norm(x)     x = x + W_o (GELU(W_1 n) * h)            h the recurrence over c = conv(W_2 n)
            n = norm(x)     x = x + W_d (GELU(W_g n) * W_u n)        three times as wide

The RG-LRU (section 2.4), with block-diagonal W_r and W_i, and c_t the input:

    r = sigmoid(W_r c_t + b_r)          log a = -8 r softplus(p)
    i = sigmoid(W_i c_t + b_i)          h_t = a * h_{t-1} + sqrt(1 - a^2) * i * c_t

At the first step after a reset the root is 1. Its derivative is limited to 1,000.

B batch, T time, D hidden, R = D units, J blocks of W units, K taps of the convolution.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from charlm.nn.bodies.base import Body
from charlm.nn.bodies.settings import RGLRUSettings
from charlm.nn.dropout import LockedDropout, NoiseRNG
from charlm.nn.fused.depthwise import convolve_columns
from charlm.nn.fused.rglru import run_rglru
from charlm.nn.fused.steps import kernels_for
from charlm.nn.norm import LayerNorm, RMSNorm
from charlm.nn.state import State

_MLP_FACTOR = 3
_DECAY_FACTOR = 8.0
_MIN_RADIUS, _MAX_RADIUS = 0.9, 0.999
"""Where a starts for r = 1 / 8; the squares are uniform."""


class RecurrentUnit(nn.Module):
    """The convolution and the RG-LRU. State: carried_BLR, the last L = K - 1 inputs, unless K is 1; hidden_BR.

    Parameters: conv_weight_KR and conv_bias_R; gate_weight_JWG and gate_bias_J1G, for r and then i in each block; and
    decay_R, the p of the equations.
    """

    def __init__(self, size: int, kernel_size: int, gate_width: int) -> None:
        super().__init__()
        width = max(number for number in range(1, min(gate_width, size) + 1) if size % number == 0)
        self.conv_weight_KR = nn.Parameter(torch.empty(kernel_size, size))
        self.conv_bias_R = nn.Parameter(torch.zeros(size))
        self.gate_weight_JWG = nn.Parameter(torch.empty(size // width, width, 2 * width))
        self.gate_bias_J1G = nn.Parameter(torch.zeros(size // width, 1, 2 * width))
        self.decay_R = nn.Parameter(torch.empty(size))
        nn.init.normal_(self.conv_weight_KR, std=kernel_size**-0.5)
        nn.init.normal_(self.gate_weight_JWG, std=width**-0.5)
        nn.init.uniform_(self.decay_R, _MIN_RADIUS**2, _MAX_RADIUS**2)
        with torch.no_grad():  # softplus(p) = -log of the radius
            self.decay_R.copy_(torch.expm1(-0.5 * self.decay_R.log()).log())

    def extra_repr(self) -> str:
        num_blocks, width, _ = self.gate_weight_JWG.shape
        return f"{num_blocks} blocks of {width}"

    def initial_state(self, batch_size: int) -> State:
        length, size = len(self.conv_weight_KR) - 1, len(self.decay_R)
        hidden_BR = self.decay_R.new_zeros(batch_size, size)
        return (self.decay_R.new_zeros(batch_size, length, size), hidden_BR) if length else (hidden_BR,)

    def decay(self) -> Tensor:
        """Return 8 softplus(p), R: log a = -r times it."""
        return _DECAY_FACTOR * nn.functional.softplus(self.decay_R)

    def forward(self, u_TBR: Tensor, state: State, is_fresh_B: Tensor) -> tuple[Tensor, State]:
        *carried, hidden_BR = state
        u_LBR = torch.cat([*(each.transpose(0, 1) for each in carried), u_TBR.to(hidden_BR.dtype)])
        next_carried = [u_LBR[len(u_TBR) :].transpose(0, 1).contiguous()] if carried else []
        c_TBR = convolve_columns(u_LBR, self.conv_weight_KR, self.conv_bias_R)
        c_JNW = c_TBR.flatten(0, 1).unflatten(1, (len(self.gate_weight_JWG), -1)).transpose(0, 1)
        gates_JNG = torch.baddbmm(self.gate_bias_J1G, c_JNW, self.gate_weight_JWG).to(hidden_BR.dtype)
        output_TBR = run_rglru(gates_JNG, c_TBR, self.decay(), is_fresh_B, hidden_BR)
        return output_TBR, (*next_carried, output_TBR[-1].clone())


class RGLRUBlock(nn.Module):
    """x plus a gated recurrence, and the sum plus a gated MLP. State: that of the recurrent unit."""

    def __init__(self, settings: RGLRUSettings, rng: NoiseRNG) -> None:
        super().__init__()
        size, wide = settings.hidden_size, _MLP_FACTOR * settings.hidden_size
        output_scale = (2 / settings.num_blocks) ** 0.5  # so that the sum of the blocks does not grow with their number
        self.recurrent_norm, self.mlp_norm = make_norm(settings.norm, size), make_norm(settings.norm, size)
        self.recurrent_gate, self.recurrent_input = make_linear(size, size), make_linear(size, size)
        self.unit = RecurrentUnit(size, settings.kernel_size, settings.gate_width)
        self.recurrent_output = make_linear(size, size, output_scale)
        self.mlp_gate, self.mlp_input = make_linear(size, wide), make_linear(size, wide)
        self.mlp_output = make_linear(wide, size, output_scale)
        self.dropout = LockedDropout(settings.dropout, rng)

    def forward(self, x_TBD: Tensor, state: State, is_fresh_B: Tensor) -> tuple[Tensor, State]:
        n_TBD = self.recurrent_norm(x_TBD)
        h_TBR, next_state = self.unit(self.recurrent_input(n_TBD), state, is_fresh_B)
        y_TBR = nn.functional.gelu(self.recurrent_gate(n_TBD)) * h_TBR
        x_TBD = x_TBD + self._drop(self.recurrent_output(y_TBR))
        n_TBD = self.mlp_norm(x_TBD)
        y_TBM = nn.functional.gelu(self.mlp_gate(n_TBD)) * self.mlp_input(n_TBD)
        return x_TBD + self._drop(self.mlp_output(y_TBM)), next_state

    def _drop(self, y_TBD: Tensor) -> Tensor:
        return self.dropout(y_TBD.transpose(0, 1)).transpose(0, 1)


class RGLRUNetwork(Body):
    """A stack of blocks. State: the blocks' states, one after the other; then steps_B, the steps since the reset."""

    def __init__(self, settings: RGLRUSettings, input_size: int, rng: NoiseRNG) -> None:
        super().__init__()
        self.features_size = size = settings.hidden_size
        self.input_dropout = LockedDropout(settings.input_dropout, rng)
        self.input = make_linear(input_size, size) if input_size != size else None
        self.blocks = nn.ModuleList(RGLRUBlock(settings, rng) for _ in range(settings.num_blocks))
        self.norm = make_norm(settings.norm, size)
        self.output_dropout = LockedDropout(settings.output_dropout, rng)

    def initial_state(self, batch_size: int) -> State:
        states = [block.unit.initial_state(batch_size) for block in self._blocks]
        device = self._blocks[0].unit.decay_R.device
        return (
            *(tensor for state in states for tensor in state),
            torch.zeros(batch_size, dtype=torch.int64, device=device),
        )

    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        *block_states, steps_B = state
        num_steps = x_BTD.shape[1]
        if num_steps == 0:
            return x_BTD.new_empty(len(x_BTD), 0, self.features_size), state
        x_BTD = self.input_dropout(x_BTD)
        x_TBD = (x_BTD if self.input is None else self.input(x_BTD)).transpose(0, 1)
        next_state: State = ()
        size = len(block_states) // len(self.blocks)
        for start, block in zip(range(0, len(block_states), size), self._blocks, strict=True):
            x_TBD, block_state = block(x_TBD, tuple(block_states[start : start + size]), steps_B == 0)
            next_state += block_state
        features_BTD = self.norm(x_TBD).transpose(0, 1)
        return self.output_dropout(features_BTD), (*next_state, steps_B + num_steps)

    def backend_name(self, device: torch.device) -> str:
        return "fused" if kernels_for(torch.empty(0, device=device)).name == "compiled" else "torch"

    @property
    def activations_per_token(self) -> int:
        widths = [each.out_features for each in self.modules() if isinstance(each, nn.Linear)]
        return 2 * sum(widths) + 8 * self.features_size * len(self.blocks)

    @property
    def _blocks(self) -> list[RGLRUBlock]:
        return [block for block in self.blocks if isinstance(block, RGLRUBlock)]


def make_norm(kind: Literal["rms", "layer"], size: int) -> nn.Module:
    return RMSNorm(size) if kind == "rms" else LayerNorm(size, bias=True)


def make_linear(input_size: int, output_size: int, scale: float = 1.0) -> nn.Linear:
    """Make a linear layer whose outputs start with the variance of its inputs, times scale^2."""
    layer = nn.Linear(input_size, output_size)
    nn.init.normal_(layer.weight, std=scale * input_size**-0.5)
    nn.init.zeros_(layer.bias)
    return layer
