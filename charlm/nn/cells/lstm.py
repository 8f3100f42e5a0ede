"""Long short-term memory (Hochreiter & Schmidhuber, 1997), with the forget gate of Gers, Schmidhuber & Cummins (2000).

    i, f, g, o = U x_t + W h_{t-1} + b          c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
                                                h_t = sigmoid(o) * tanh(c_t)

In a coupled cell, sigmoid(i) is 1 - sigmoid(f). With normalisation (Ba et al., 2016, eq. 20 to 22; Cooijmans et al.,
2016, eq. 6 to 8), each product and the memory that the output gate reads have separate norms:

    i, f, g, o = norm(U x_t) + norm(W h_{t-1}) + b          h_t = sigmoid(o) * tanh(norm(c_t))

B batch, T time, D inputs, H hidden, G = 4 H gates in the order i, f, g, o (as in torch and cuDNN); f, g, o if coupled.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from charlm.nn.cells.base import (
    DEFAULT_OPTIONS,
    Cell,
    CellOptions,
    apply_dropout,
    init_gates,
    initial_step_counts,
    recurrent_matrix,
    recurrent_parameter,
    zero_state,
)
from charlm.nn.cells.mogrifier import Mogrifier
from charlm.nn.norm import increment_step_counts
from charlm.nn.state import State


class LSTMWeights(NamedTuple):
    input_GD: Tensor
    recurrent_GH: Tensor
    bias_G: Tensor
    generator: torch.Generator | None


class LSTMCell(Cell):
    """State: hidden_BH, cell_BH. Parameters: input_weight_GD, recurrent_weight_GH (G, W with several heads), bias_G."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        options: CellOptions = DEFAULT_OPTIONS,
        *,
        forget_bias: float = 1.0,
        coupled: bool = False,
        mogrifier_rounds: int = 0,
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.coupled = coupled
        gates_size = (3 if coupled else 4) * hidden_size
        self.input_weight_GD = nn.Parameter(torch.empty(gates_size, input_size))
        self.recurrent_weight_GH = recurrent_parameter(gates_size, hidden_size, options.num_heads)
        self.bias_G = nn.Parameter(torch.zeros(gates_size))
        init_gates(self.input_weight_GD, self.recurrent_weight_GH, hidden_size)
        with torch.no_grad():
            (self.bias_G if coupled else self.bias_G[hidden_size:])[:hidden_size] = forget_bias
        norms = options.norms
        self.input_scale = norms.make_weight_norm(self.input_weight_GD)
        self.recurrent_scale = norms.make_weight_norm(self.recurrent_weight_GH)
        self.input_norm, self.recurrent_norm = norms.make_product_norm(gates_size), norms.make_product_norm(gates_size)
        self.memory_norm = norms.make_memory_norm(hidden_size)
        self.mogrifier = Mogrifier(input_size, hidden_size, mogrifier_rounds, norms) if mogrifier_rounds else None
        self.time_batched = self.mogrifier is None

    def extra_repr(self) -> str:
        rounds = f"mogrified {len(self.mogrifier.matrices)} times" if self.mogrifier else ""
        return ", ".join(filter(None, ["coupled" if self.coupled else "", rounds, super().extra_repr()]))

    def initial_state(self, batch_size: int) -> State:
        return zero_state(self, batch_size), zero_state(self, batch_size), *initial_step_counts(self, batch_size)

    def prepare(self, generator: torch.Generator | None) -> LSTMWeights:
        recurrent_GW = apply_dropout(
            self.recurrent_scale(self.recurrent_weight_GH), self.options.weight_drop, generator
        )
        recurrent_GH = recurrent_matrix(recurrent_GW, self.hidden_size)
        return LSTMWeights(self.input_scale(self.input_weight_GD), recurrent_GH, self.bias_G, generator)

    def project(self, x_BTD: Tensor, weights: LSTMWeights) -> Tensor:
        return x_BTD if self.mogrifier is not None else nn.functional.linear(x_BTD, weights.input_GD)

    def step(self, gates_BG: Tensor, state: State, weights: LSTMWeights) -> tuple[Tensor, State]:
        hidden_BH, cell_BH, *step_counts = state
        if self.mogrifier is not None:
            x_BD, hidden_BH = self.mogrifier(gates_BG, hidden_BH)
            gates_BG = nn.functional.linear(x_BD, weights.input_GD)
        recurrent_BG = nn.functional.linear(hidden_BH, weights.recurrent_GH)
        gates_BG = (
            self.input_norm(gates_BG, step_counts) + self.recurrent_norm(recurrent_BG, step_counts) + weights.bias_G
        )
        *i, f, g, o = gates_BG.split(self.hidden_size, dim=1)
        forget_BH = torch.sigmoid(f)
        input_BH = torch.sigmoid(i[0]) if i else 1 - forget_BH
        candidate_BH = apply_dropout(torch.tanh(g), self.options.recurrent_dropout, weights.generator)
        cell_BH = forget_BH * cell_BH + input_BH * candidate_BH
        hidden_BH = torch.sigmoid(o) * torch.tanh(self.memory_norm(cell_BH, step_counts))
        return hidden_BH, (hidden_BH, cell_BH, *increment_step_counts(step_counts))
