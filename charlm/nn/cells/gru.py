"""Gated recurrent unit (Cho et al., 2014), with the reset gate after the recurrent product, as in cuDNN and torch.

    r = sigmoid(U_r x_t + W_r h_{t-1} + b_r)       n = tanh(U_n x_t + b_n + r * (W_n h_{t-1} + b_hn))
    z = sigmoid(U_z x_t + W_z h_{t-1} + b_z)       h_t = (1 - z) * n + z * h_{t-1}

B batch, T time, D inputs, H hidden, G = 3 H gates in the order r, z, n.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell, init_gates, zeros
from charlm.nn.state import State


class GRUWeights(NamedTuple):
    input_GD: Tensor
    recurrent_GH: Tensor
    bias_G: Tensor
    candidate_bias_H: Tensor


class GRUCell(Cell):
    """State: hidden_BH. Parameters: input_weight_GD, recurrent_weight_GH, bias_G, candidate_bias_H (b_hn)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.input_weight_GD = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.recurrent_weight_GH = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias_G = nn.Parameter(torch.zeros(3 * hidden_size))
        self.candidate_bias_H = nn.Parameter(torch.zeros(hidden_size))
        init_gates(self.input_weight_GD, self.recurrent_weight_GH)

    def initial_state(self, batch_size: int) -> State:
        return (zeros(self, batch_size),)

    def prepare(self, generator: torch.Generator | None) -> GRUWeights:
        return GRUWeights(self.input_weight_GD, self.recurrent_weight_GH, self.bias_G, self.candidate_bias_H)

    def project(self, x_BTD: Tensor, weights: GRUWeights) -> Tensor:
        return nn.functional.linear(x_BTD, weights.input_GD, weights.bias_G)

    def step(self, gates_BG: Tensor, state: State, weights: GRUWeights) -> tuple[Tensor, State]:
        (hidden_BH,) = state
        r_x, z_x, n_x = gates_BG.chunk(3, dim=1)
        r_h, z_h, n_h = nn.functional.linear(hidden_BH, weights.recurrent_GH).chunk(3, dim=1)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        n = torch.tanh(n_x + r * (n_h + weights.candidate_bias_H))
        hidden_BH = (1 - z) * n + z * hidden_BH
        return hidden_BH, (hidden_BH,)
