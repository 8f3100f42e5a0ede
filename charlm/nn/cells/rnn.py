"""The simple recurrent cell (Elman, 1990; Goodfellow et al., 2016, eq. 10.8 and 10.9).

    a_t = b + W s_{t-1} + U x_t          s_t = f(a_t), f = tanh or relu          o_t = c + V s_t is the head

B batch, T time, D inputs, H hidden.
"""

from typing import Literal, NamedTuple

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
from charlm.nn.norm import increment_step_counts
from charlm.nn.state import State


class RNNWeights(NamedTuple):
    input_HD: Tensor
    recurrent_HH: Tensor
    bias_H: Tensor
    generator: torch.Generator | None


class RNNCell(Cell):
    """State: hidden_BH. Parameters: input_weight_HD (U), recurrent_weight_HH (W; H, W with several heads), bias_H
    (b)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        options: CellOptions = DEFAULT_OPTIONS,
        *,
        activation: Literal["tanh", "relu"] = "tanh",
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.activation: Literal["tanh", "relu"] = activation
        self.is_relu = activation == "relu"
        self.input_weight_HD = nn.Parameter(torch.empty(hidden_size, input_size))
        self.recurrent_weight_HH = recurrent_parameter(hidden_size, hidden_size, options.num_heads)
        self.bias_H = nn.Parameter(torch.zeros(hidden_size))
        init_gates(self.input_weight_HD, self.recurrent_weight_HH, hidden_size)
        norms = options.norms
        self.input_scale = norms.make_weight_norm(self.input_weight_HD)
        self.recurrent_scale = norms.make_weight_norm(self.recurrent_weight_HH)
        self.input_norm, self.recurrent_norm = (
            norms.make_product_norm(hidden_size),
            norms.make_product_norm(hidden_size),
        )

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [self.activation, super().extra_repr()]))

    def initial_state(self, batch_size: int) -> State:
        return zero_state(self, batch_size), *initial_step_counts(self, batch_size)

    def prepare(self, generator: torch.Generator | None) -> RNNWeights:
        recurrent_HW = apply_dropout(
            self.recurrent_scale(self.recurrent_weight_HH), self.options.weight_drop, generator
        )
        recurrent_HH = recurrent_matrix(recurrent_HW, self.hidden_size)
        return RNNWeights(self.input_scale(self.input_weight_HD), recurrent_HH, self.bias_H, generator)

    def project(self, x_BTD: Tensor, weights: RNNWeights) -> Tensor:
        return nn.functional.linear(x_BTD, weights.input_HD)

    def step(self, gates_BG: Tensor, state: State, weights: RNNWeights) -> tuple[Tensor, State]:
        hidden_BH, *step_counts = state
        read_BH = apply_dropout(hidden_BH, self.options.recurrent_dropout, weights.generator)
        recurrent_BH = nn.functional.linear(read_BH, weights.recurrent_HH)
        a = weights.bias_H + self.recurrent_norm(recurrent_BH, step_counts) + self.input_norm(gates_BG, step_counts)
        hidden_BH = torch.relu(a) if self.is_relu else torch.tanh(a)
        return hidden_BH, (hidden_BH, *increment_step_counts(step_counts))
