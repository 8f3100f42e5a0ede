"""Long short-term memory (Hochreiter & Schmidhuber, 1997), with the forget gate of Gers, Schmidhuber & Cummins (2000).

    i, f, g, o = U x_t + W h_{t-1} + b          c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
                                                h_t = sigmoid(o) * tanh(c_t)

B batch, T time, D inputs, H hidden, G = 4 H gates in the order i, f, g, o (as in torch and cuDNN).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell, init_gates, zeros
from charlm.nn.state import State


class LSTMWeights(NamedTuple):
    input_GD: Tensor
    recurrent_GH: Tensor
    bias_G: Tensor


class LSTMCell(Cell):
    """State: hidden_BH, cell_BH. Parameters: input_weight_GD, recurrent_weight_GH, bias_G."""

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.input_weight_GD = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.recurrent_weight_GH = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_G = nn.Parameter(torch.zeros(4 * hidden_size))
        init_gates(self.input_weight_GD, self.recurrent_weight_GH)
        with torch.no_grad():
            self.bias_G[hidden_size : 2 * hidden_size] = forget_bias

    def initial_state(self, batch_size: int) -> State:
        return zeros(self, batch_size), zeros(self, batch_size)

    def prepare(self, generator: torch.Generator | None) -> LSTMWeights:
        return LSTMWeights(self.input_weight_GD, self.recurrent_weight_GH, self.bias_G)

    def project(self, x_BTD: Tensor, weights: LSTMWeights) -> Tensor:
        return nn.functional.linear(x_BTD, weights.input_GD, weights.bias_G)

    def step(self, gates_BG: Tensor, state: State, weights: LSTMWeights) -> tuple[Tensor, State]:
        hidden_BH, cell_BH = state
        i, f, g, o = (gates_BG + nn.functional.linear(hidden_BH, weights.recurrent_GH)).chunk(4, dim=1)
        cell_BH = torch.sigmoid(f) * cell_BH + torch.sigmoid(i) * torch.tanh(g)
        hidden_BH = torch.sigmoid(o) * torch.tanh(cell_BH)
        return hidden_BH, (hidden_BH, cell_BH)
