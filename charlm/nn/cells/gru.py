"""Gated recurrent unit (Cho et al., 2014).

    r = sigmoid(U_r x_t + W_r h_{t-1} + b_r)       h_t = (1 - z) * n + z * h_{t-1}
    z = sigmoid(U_z x_t + W_z h_{t-1} + b_z)

The reset gate comes after the recurrent product, as in cuDNN and torch, or before it, as in the paper:

    after    n = tanh(U_n x_t + b_n + r * (W_n h_{t-1} + b_hn))
    before   n = tanh(U_n x_t + b_n + W_n (r * h_{t-1}))

With normalisation (Ba et al., 2016, eq. 23 to 26), the products of both gates share a norm, and those of the candidate
have another.

B batch, T time, D inputs, H hidden, G = 3 H gates in the order r, z, n.
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


class GRUWeights(NamedTuple):
    input_GD: Tensor
    recurrent_GH: Tensor
    bias_G: Tensor
    candidate_bias_H: Tensor | None
    generator: torch.Generator | None


class GRUCell(Cell):
    """State: hidden_BH. Parameters: input_weight_GD, recurrent_weight_GH (G, W with several heads), bias_G,
    candidate_bias_H (b_hn)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        options: CellOptions = DEFAULT_OPTIONS,
        *,
        reset: Literal["after", "before"] = "after",
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.reset = reset
        self.input_weight_GD = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.recurrent_weight_GH = recurrent_parameter(3 * hidden_size, hidden_size, options.num_heads)
        self.bias_G = nn.Parameter(torch.zeros(3 * hidden_size))
        self.candidate_bias_H = nn.Parameter(torch.zeros(hidden_size)) if reset == "after" else None
        init_gates(self.input_weight_GD, self.recurrent_weight_GH, hidden_size)
        norms = options.norms
        self.input_scale = norms.make_weight_norm(self.input_weight_GD)
        self.recurrent_scale = norms.make_weight_norm(self.recurrent_weight_GH)
        self.input_norm, self.recurrent_norm = (
            norms.make_product_norm(2 * hidden_size),
            norms.make_product_norm(2 * hidden_size),
        )
        self.candidate_input_norm, self.candidate_norm = (
            norms.make_product_norm(hidden_size),
            norms.make_product_norm(hidden_size),
        )

    def extra_repr(self) -> str:
        return ", ".join(filter(None, ["" if self.reset == "after" else "reset before", super().extra_repr()]))

    def initial_state(self, batch_size: int) -> State:
        return zero_state(self, batch_size), *initial_step_counts(self, batch_size)

    def prepare(self, generator: torch.Generator | None) -> GRUWeights:
        recurrent_GW = apply_dropout(
            self.recurrent_scale(self.recurrent_weight_GH), self.options.weight_drop, generator
        )
        recurrent_GH = recurrent_matrix(recurrent_GW, self.hidden_size)
        input_GD = self.input_scale(self.input_weight_GD)
        return GRUWeights(input_GD, recurrent_GH, self.bias_G, self.candidate_bias_H, generator)

    def project(self, x_BTD: Tensor, weights: GRUWeights) -> Tensor:
        return nn.functional.linear(x_BTD, weights.input_GD)

    def step(self, gates_BG: Tensor, state: State, weights: GRUWeights) -> tuple[Tensor, State]:
        hidden_BH, *step_counts = state
        size = self.hidden_size
        rz_x, n_x = gates_BG.split([2 * size, size], dim=1)
        rz_b, n_b = weights.bias_G.split([2 * size, size])
        if weights.candidate_bias_H is not None:  # after
            rz_h, n_h = nn.functional.linear(hidden_BH, weights.recurrent_GH).split([2 * size, size], dim=1)
            r, z = self._gates(rz_x, rz_h, rz_b, step_counts)
            n_h = r * (self.candidate_norm(n_h, step_counts) + weights.candidate_bias_H)
        else:
            rz_W, n_W = weights.recurrent_GH.split([2 * size, size])
            r, z = self._gates(rz_x, nn.functional.linear(hidden_BH, rz_W), rz_b, step_counts)
            n_h = self.candidate_norm(nn.functional.linear(r * hidden_BH, n_W), step_counts)
        n = torch.tanh(self.candidate_input_norm(n_x, step_counts) + n_b + n_h)
        n = apply_dropout(n, self.options.recurrent_dropout, weights.generator)
        hidden_BH = (1 - z) * n + z * hidden_BH
        return hidden_BH, (hidden_BH, *increment_step_counts(step_counts))

    def _gates(self, rz_x: Tensor, rz_h: Tensor, rz_b: Tensor, step_counts: list[Tensor]) -> tuple[Tensor, Tensor]:
        rz = torch.sigmoid(self.input_norm(rz_x, step_counts) + self.recurrent_norm(rz_h, step_counts) + rz_b)
        r, z = rz.chunk(2, dim=1)
        return r, z
