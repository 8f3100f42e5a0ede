"""The cells' equations as printed in their papers: one gate at a time, for a single row.

x inputs, h hidden, c memory; u, w, b the matrices on x and on h, and the bias.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.mingru import MinGRUCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.norm import WeightNorm
from charlm.nn.state import State
from tests.nn.cells import H

Vectors = tuple[Tensor, ...]
Step = Callable[..., Vectors]


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def gate(weight: Tensor, index: int) -> Tensor:
    """Return the rows of one gate, in the order that the cell's module documents."""
    return weight[index * H : (index + 1) * H]


def used(v: Tensor, scale: nn.Module) -> Tensor:
    """Return the matrix itself, or w = g v / ||v|| for each row (Salimans & Kingma, 2016, eq. 2)."""
    if not isinstance(scale, WeightNorm):
        return v
    return torch.stack([g * row / row.square().sum().sqrt() for g, row in zip(scale.gain_G, v, strict=True)])


def elman(cell: Cell, x: Tensor, s: Tensor) -> Vectors:
    """Goodfellow et al. (2016), eq. 10.8 and 10.9."""
    assert isinstance(cell, RNNCell)
    u, w = used(cell.input_weight_HD, cell.input_scale), used(cell.recurrent_weight_HH, cell.recurrent_scale)
    a = cell.bias_H + w @ s + u @ x
    return (torch.tanh(a) if cell.activation == "tanh" else a * (a > 0),)


def hochreiter_schmidhuber_gers(cell: Cell, x: Tensor, h: Tensor, c: Tensor) -> Vectors:
    """The LSTM of 1997 with the forget gate of 2000."""
    assert isinstance(cell, LSTMCell)
    u, w = used(cell.input_weight_GD, cell.input_scale), used(cell.recurrent_weight_GH, cell.recurrent_scale)
    b = cell.bias_G
    input_gate = sigmoid(gate(u, 0) @ x + gate(w, 0) @ h + gate(b, 0))
    forget_gate = sigmoid(gate(u, 1) @ x + gate(w, 1) @ h + gate(b, 1))
    candidate = torch.tanh(gate(u, 2) @ x + gate(w, 2) @ h + gate(b, 2))
    output_gate = sigmoid(gate(u, 3) @ x + gate(w, 3) @ h + gate(b, 3))
    c = forget_gate * c + input_gate * candidate
    return output_gate * torch.tanh(c), c


def greff_coupled(cell: Cell, x: Tensor, h: Tensor, c: Tensor) -> Vectors:
    """Greff et al. (2017), CIFG: i = 1 - f."""
    assert isinstance(cell, LSTMCell)
    u, w = used(cell.input_weight_GD, cell.input_scale), used(cell.recurrent_weight_GH, cell.recurrent_scale)
    b = cell.bias_G
    forget_gate = sigmoid(gate(u, 0) @ x + gate(w, 0) @ h + gate(b, 0))
    candidate = torch.tanh(gate(u, 1) @ x + gate(w, 1) @ h + gate(b, 1))
    output_gate = sigmoid(gate(u, 2) @ x + gate(w, 2) @ h + gate(b, 2))
    c = forget_gate * c + (1 - forget_gate) * candidate
    return output_gate * torch.tanh(c), c


def melis(cell: Cell, x: Tensor, h: Tensor, c: Tensor) -> Vectors:
    """Melis et al. (2020), eq. 1 and 2, in five rounds: Q1, R2, Q3, R4, Q5; then the LSTM on the results."""
    assert isinstance(cell, LSTMCell)
    assert cell.mogrifier is not None
    scaled = zip(cell.mogrifier.matrices, cell.mogrifier.scales, strict=True)
    q1, r2, q3, r4, q5 = (used(matrix, scale) for matrix, scale in scaled)
    x1 = 2 * sigmoid(q1 @ h) * x
    h2 = 2 * sigmoid(r2 @ x1) * h
    x3 = 2 * sigmoid(q3 @ h2) * x1
    h4 = 2 * sigmoid(r4 @ x3) * h2
    x5 = 2 * sigmoid(q5 @ h4) * x3
    return hochreiter_schmidhuber_gers(cell, x5, h4, c)


def cho_after(cell: Cell, x: Tensor, h: Tensor) -> Vectors:
    """The GRU with the reset gate after the recurrent product, as in cuDNN; z is the weight of the old state."""
    assert isinstance(cell, GRUCell)
    assert cell.candidate_bias_H is not None
    u, w = used(cell.input_weight_GD, cell.input_scale), used(cell.recurrent_weight_GH, cell.recurrent_scale)
    b = cell.bias_G
    reset = sigmoid(gate(u, 0) @ x + gate(w, 0) @ h + gate(b, 0))
    update = sigmoid(gate(u, 1) @ x + gate(w, 1) @ h + gate(b, 1))
    candidate = torch.tanh(gate(u, 2) @ x + gate(b, 2) + reset * (gate(w, 2) @ h + cell.candidate_bias_H))
    return (update * h + (1 - update) * candidate,)


def cho_before(cell: Cell, x: Tensor, h: Tensor) -> Vectors:
    """Cho et al. (2014), eq. 5 to 8: the reset gate on the state, before the product."""
    assert isinstance(cell, GRUCell)
    u, w = used(cell.input_weight_GD, cell.input_scale), used(cell.recurrent_weight_GH, cell.recurrent_scale)
    b = cell.bias_G
    reset = sigmoid(gate(u, 0) @ x + gate(w, 0) @ h + gate(b, 0))
    update = sigmoid(gate(u, 1) @ x + gate(w, 1) @ h + gate(b, 1))
    candidate = torch.tanh(gate(u, 2) @ x + gate(w, 2) @ (reset * h) + gate(b, 2))
    return (update * h + (1 - update) * candidate,)


def feng(cell: Cell, x: Tensor, h: Tensor) -> Vectors:
    """Feng et al. (2024), minGRU: z is the weight of the new state."""
    assert isinstance(cell, MinGRUCell)
    u, b = used(cell.input_weight_GD, cell.input_scale), cell.bias_G
    update = sigmoid(gate(u, 0) @ x + gate(b, 0))
    candidate = gate(u, 1) @ x + gate(b, 1)
    return ((1 - update) * h + update * (candidate if cell.is_identity else torch.tanh(candidate)),)


EQUATIONS: dict[str, Step] = {
    "rnn-tanh": elman,
    "rnn-relu": elman,
    "lstm": hochreiter_schmidhuber_gers,
    "lstm-coupled": greff_coupled,
    "lstm-mogrifier": melis,
    "gru": cho_after,
    "gru-before": cho_before,
    "mingru": feng,
    "mingru-identity": feng,
}


def row_by_row(cell: Cell, step: Step, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    """Run `step` over the time steps of each row, one row after the other."""
    outputs: list[Tensor] = []
    after: list[Vectors] = []
    for x_TD, *start in zip(x_BTD, *state, strict=True):
        vectors = tuple(start)
        for x in x_TD:
            vectors = step(cell, x, *vectors)
            outputs.append(vectors[0])
        after.append(vectors)
    output_BTH = torch.stack(outputs).view(len(x_BTD), -1, H)
    return output_BTH, tuple(torch.stack(tensors) for tensors in zip(*after, strict=True))
