"""Normalised cells as printed in their papers: one step of all rows, each row a list entry.

B batch, T time, D inputs, H hidden, G gates, L steps with statistics of their own.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.mingru import MinGRUCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.norm import BatchNorm, LayerNorm
from charlm.nn.state import State
from tests.nn.cells import H, L
from tests.nn.equations import sigmoid

EPS = 1e-5
Norm = Callable[[nn.Module, list[Tensor], list[int]], list[Tensor]]
"""(module with gain and bias, vectors of the rows, steps of the rows since their reset) -> normalised vectors."""
Rows = list[tuple[Tensor, ...]]


# ---- the norms


def layer_norm(module: nn.Module, rows: list[Tensor], steps: list[int]) -> list[Tensor]:
    """Ba et al. (2016), eq. 15 and 16: the mean and deviation over the elements of each row."""
    del steps
    assert isinstance(module, LayerNorm)
    normalised: list[Tensor] = []
    for z in rows:
        mu = z.sum() / len(z)
        sigma = (((z - mu) ** 2).sum() / len(z) + EPS).sqrt()
        y = (z - mu) / sigma * module.gain_G
        normalised.append(y if module.bias_G is None else y + module.bias_G)
    return normalised


def batch_norm_in_training(module: nn.Module, rows: list[Tensor], steps: list[int]) -> list[Tensor]:
    """Cooijmans et al. (2016), eq. 5: the mean and variance of each element over the batch."""
    assert isinstance(module, BatchNorm)
    mean = sum(rows, torch.zeros_like(rows[0])) / len(rows)
    variance = sum(((row - mean) ** 2 for row in rows), torch.zeros_like(mean)) / len(rows)
    return [affine(module, (row - mean) / (variance + EPS).sqrt(), step) for row, step in zip(rows, steps, strict=True)]


def batch_norm_in_evaluation(module: nn.Module, rows: list[Tensor], steps: list[int]) -> list[Tensor]:
    """Use the running averages of the row's step since its reset; the last of L for all later steps."""
    assert isinstance(module, BatchNorm)
    normalised: list[Tensor] = []
    for row, step in zip(rows, steps, strict=True):
        mean, variance = module.mean_LG[min(step, L - 1)], module.variance_LG[min(step, L - 1)]
        normalised.append(affine(module, (row - mean) / (variance + EPS).sqrt(), step))
    return normalised


def affine(module: BatchNorm, y: Tensor, step: int) -> Tensor:
    """Apply gamma and beta, those of the step if each step has its own."""
    gain_LG, bias_LG = module.gain_LG, module.bias_LG
    y = gain_LG[min(step, len(gain_LG) - 1)] * y
    return y if bias_LG is None else y + bias_LG[min(step, len(bias_LG) - 1)]


# ---- the cells


def normalised_rnn(cell: Cell, norm: Norm, x: list[Tensor], state: Rows, steps: list[int]) -> Rows:
    """s = f(norm(W s) + norm(U x) + b)."""
    assert isinstance(cell, RNNCell)
    f = torch.tanh if cell.activation == "tanh" else torch.relu
    from_x = norm(cell.input_norm, [cell.input_weight_HD @ row for row in x], steps)
    from_s = norm(cell.recurrent_norm, [cell.recurrent_weight_HH @ s for (s,) in state], steps)
    return [(f(a + b + cell.bias_H),) for a, b in zip(from_x, from_s, strict=True)]


def normalised_lstm(cell: Cell, norm: Norm, x: list[Tensor], state: Rows, steps: list[int]) -> Rows:
    """Ba et al. (2016), eq. 20 to 22, and Cooijmans et al. (2016), eq. 6 to 8, which have the same form."""
    assert isinstance(cell, LSTMCell)
    if cell.mogrifier is not None:
        mixed = [mogrified(list(cell.mogrifier.matrices), row, h) for row, (h, _) in zip(x, state, strict=True)]
        x, state = [row for row, _ in mixed], [(h, c) for (_, h), (_, c) in zip(mixed, state, strict=True)]
    from_x = norm(cell.input_norm, [cell.input_weight_GD @ row for row in x], steps)
    from_h = norm(cell.recurrent_norm, [cell.recurrent_weight_GH @ h for h, _ in state], steps)
    memory: list[Tensor] = []
    output_gates: list[Tensor] = []
    for a, b, (_, c) in zip(from_x, from_h, state, strict=True):
        gates = (a + b + cell.bias_G).split(H)
        forget_gate, candidate, output_gate = gates if cell.coupled else gates[1:]
        input_gate = 1 - sigmoid(forget_gate) if cell.coupled else sigmoid(gates[0])
        memory.append(sigmoid(forget_gate) * c + input_gate * torch.tanh(candidate))
        output_gates.append(sigmoid(output_gate))
    read = norm(cell.memory_norm, memory, steps)
    return [(o * torch.tanh(r), c) for o, r, c in zip(output_gates, read, memory, strict=True)]


def mogrified(matrices: list[nn.Parameter], x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    q1, r2, q3, r4, q5 = matrices
    x = 2 * sigmoid(q1 @ h) * x
    h = 2 * sigmoid(r2 @ x) * h
    x = 2 * sigmoid(q3 @ h) * x
    h = 2 * sigmoid(r4 @ x) * h
    return 2 * sigmoid(q5 @ h) * x, h


def normalised_gru(cell: Cell, norm: Norm, x: list[Tensor], state: Rows, steps: list[int]) -> Rows:
    """Ba et al. (2016), eq. 23 to 26: the products of both gates have one norm, the candidate's another."""
    assert isinstance(cell, GRUCell)
    hidden = [h for (h,) in state]
    u_rz, u_n = cell.input_weight_GD[: 2 * H], cell.input_weight_GD[2 * H :]
    w_rz, w_n = cell.recurrent_weight_GH[: 2 * H], cell.recurrent_weight_GH[2 * H :]
    rz_x = norm(cell.input_norm, [u_rz @ row for row in x], steps)
    rz_h = norm(cell.recurrent_norm, [w_rz @ h for h in hidden], steps)
    n_x = norm(cell.candidate_input_norm, [u_n @ row for row in x], steps)
    r = [sigmoid((a + b)[:H] + cell.bias_G[:H]) for a, b in zip(rz_x, rz_h, strict=True)]
    z = [sigmoid((a + b)[H:] + cell.bias_G[H : 2 * H]) for a, b in zip(rz_x, rz_h, strict=True)]
    if cell.candidate_bias_H is None:  # before
        n_h = norm(cell.candidate_norm, [w_n @ (r_ * h) for r_, h in zip(r, hidden, strict=True)], steps)
    else:
        products = norm(cell.candidate_norm, [w_n @ h for h in hidden], steps)
        n_h = [r_ * (product + cell.candidate_bias_H) for r_, product in zip(r, products, strict=True)]
    n = [torch.tanh(a + cell.bias_G[2 * H :] + b) for a, b in zip(n_x, n_h, strict=True)]
    return [((1 - z_) * n_ + z_ * h,) for z_, n_, h in zip(z, n, hidden, strict=True)]


def normalised_mingru(cell: Cell, norm: Norm, x: list[Tensor], state: Rows, steps: list[int]) -> Rows:
    """Both products have one norm."""
    assert isinstance(cell, MinGRUCell)
    gates = [each + cell.bias_G for each in norm(cell.input_norm, [cell.input_weight_GD @ row for row in x], steps)]
    z = [sigmoid(each[:H]) for each in gates]
    n = [each[H:] if cell.is_identity else torch.tanh(each[H:]) for each in gates]
    return [((1 - z_) * h + z_ * n_,) for z_, n_, (h,) in zip(z, n, state, strict=True)]


NORMALISED = {
    "rnn-tanh": normalised_rnn,
    "rnn-relu": normalised_rnn,
    "lstm": normalised_lstm,
    "lstm-coupled": normalised_lstm,
    "lstm-mogrifier": normalised_lstm,
    "gru": normalised_gru,
    "gru-before": normalised_gru,
    "mingru": normalised_mingru,
    "mingru-identity": normalised_mingru,
}


def in_time(name: str, cell: Cell, norm: Norm, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    """Run all rows, step by step."""
    floats = [tensor for tensor in state if tensor.is_floating_point()]
    (steps_B,) = state[len(floats) :] or (torch.zeros(len(x_BTD), dtype=torch.int64),)
    rows: Rows = list(zip(*floats, strict=True))
    outputs: list[Tensor] = []
    for t in range(x_BTD.shape[1]):
        rows = NORMALISED[name](cell, norm, list(x_BTD[:, t]), rows, (steps_B + t).tolist())
        outputs.append(torch.stack([row[0] for row in rows]))
    after = tuple(torch.stack(tensors) for tensors in zip(*rows, strict=True))
    step_counts = (steps_B + x_BTD.shape[1],) if len(state) > len(floats) else ()
    return torch.stack(outputs, dim=1), (*after, *step_counts)
