"""minGRU: a gated unit whose gates read the input alone (Feng et al., 2024, appendix A.1).

    z = sigmoid(U_z x_t + b_z)          h_t = (1 - z) * h_{t-1} + z * n
    n = f(U_n x_t + b_n), f = tanh or the identity

No step has a matrix product: those of all steps are one. With normalisation, both products have one norm. z is the
share of the new value, as in the paper; in `gru.py` it is that of the old one.

B batch, T time, D inputs, H hidden, G = 2 H gates in the order z, n.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from charlm.nn.cells.base import (
    DEFAULT_OPTIONS,
    Cell,
    CellOptions,
    apply_dropout,
    init_input_gates,
    initial_step_counts,
    zero_state,
)
from charlm.nn.norm import increment_step_counts
from charlm.nn.state import State


class MinGRUWeights(NamedTuple):
    input_GD: Tensor
    recurrent_GH: None
    """There is no recurrent matrix."""
    bias_G: Tensor
    generator: torch.Generator | None


class MinGRUCell(Cell):
    """State: hidden_BH. Parameters: input_weight_GD, bias_G."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        options: CellOptions = DEFAULT_OPTIONS,
        *,
        activation: Literal["tanh", "identity"] = "tanh",
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size, options)
        self.is_identity = activation == "identity"
        self.input_weight_GD = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias_G = nn.Parameter(torch.zeros(2 * hidden_size))
        init_input_gates(self.input_weight_GD, hidden_size)
        with torch.no_grad():
            self.bias_G[:hidden_size] -= forget_bias
        self.input_scale = options.norms.make_weight_norm(self.input_weight_GD)
        self.input_norm = options.norms.make_product_norm(2 * hidden_size)

    def extra_repr(self) -> str:
        return ", ".join(filter(None, ["identity" if self.is_identity else "", super().extra_repr()]))

    def initial_state(self, batch_size: int) -> State:
        return zero_state(self, batch_size), *initial_step_counts(self, batch_size)

    def prepare(self, generator: torch.Generator | None) -> MinGRUWeights:
        return MinGRUWeights(self.input_scale(self.input_weight_GD), None, self.bias_G, generator)

    def project(self, x_BTD: Tensor, weights: MinGRUWeights) -> Tensor:
        return nn.functional.linear(x_BTD, weights.input_GD)

    def step(self, gates_BG: Tensor, state: State, weights: MinGRUWeights) -> tuple[Tensor, State]:
        hidden_BH, *step_counts = state
        z, n = (self.input_norm(gates_BG, step_counts) + weights.bias_G).chunk(2, dim=1)
        z = torch.sigmoid(z)
        n = apply_dropout(n if self.is_identity else torch.tanh(n), self.options.recurrent_dropout, weights.generator)
        hidden_BH = (1 - z) * hidden_BH + z * n
        return hidden_BH, (hidden_BH, *increment_step_counts(step_counts))
