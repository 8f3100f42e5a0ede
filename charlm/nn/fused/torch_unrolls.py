"""Torch's own kernels (cuDNN on GPUs, oneDNN on CPUs) as unrolls of charlm's cells.

Their `train` flag only says whether gradients may be needed, since no dropout between layers is asked for; it is also
set in dynamic evaluation. Parameters and state keep the cell's layout, so a checkpoint does not depend on the unroll
that trained it. A test compares each unroll with the plain steps.

B batch, T time, D inputs, H hidden, G gates.
"""

import torch
from torch import Tensor

from charlm.device import cpu_has_bf16
from charlm.nn.cells.base import Cell, Unroll
from charlm.nn.cells.gru import GRUCell, GRUWeights
from charlm.nn.cells.lstm import LSTMCell, LSTMWeights
from charlm.nn.cells.rnn import RNNCell, RNNWeights
from charlm.nn.state import State


def torch_unroll(cell: Cell) -> Unroll | None:
    """Return torch's own unroll for this cell, or None if torch has none."""
    if not (cell.time_batched and cell.options.is_standard):
        return None
    match cell:
        case LSTMCell(coupled=False):
            return _unroll_lstm
        case GRUCell(reset="after"):
            return _unroll_gru
        case RNNCell():
            return _unroll_rnn
        case _:
            return None


def torch_fits(cell: Cell, x_BTD: Tensor, state: State) -> bool:
    """Whether torch's kernels can run this chunk, and faster than the plain steps.

    They repack the weights at each call, which is too slow for a single step. They refuse empty chunks, and oneDNN has
    no bf16 LSTM for CPUs without bf16 instructions.
    """
    del cell, state
    batch_size, num_steps, _ = x_BTD.shape
    bf16_on_cpu = x_BTD.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return batch_size > 0 and num_steps > 1 and (not bf16_on_cpu or cpu_has_bf16())


def _unroll_lstm(cell: Cell, x_BTD: Tensor, state: State, weights: LSTMWeights) -> tuple[Tensor, State]:
    hidden_BH, cell_BH = state
    parameters = [weights.input_GD, weights.recurrent_GH, weights.bias_G, torch.zeros_like(weights.bias_G)]
    output_BTH, hidden_1BH, cell_1BH = torch.lstm(
        x_BTD, (hidden_BH[None], cell_BH[None]), parameters, True, 1, 0.0, torch.is_grad_enabled(), False, True
    )
    return output_BTH, (hidden_1BH[0].to(hidden_BH.dtype), cell_1BH[0].to(cell_BH.dtype))


def _unroll_gru(cell: Cell, x_BTD: Tensor, state: State, weights: GRUWeights) -> tuple[Tensor, State]:
    (hidden_BH,) = state
    assert weights.candidate_bias_H is not None
    no_bias = torch.zeros_like(weights.bias_G[: 2 * cell.hidden_size])
    recurrent_bias_G = torch.cat([no_bias, weights.candidate_bias_H])
    parameters = [weights.input_GD, weights.recurrent_GH, weights.bias_G, recurrent_bias_G]
    output_BTH, hidden_1BH = torch.gru(
        x_BTD, hidden_BH[None], parameters, True, 1, 0.0, torch.is_grad_enabled(), False, True
    )
    return output_BTH, (hidden_1BH[0].to(hidden_BH.dtype),)


def _unroll_rnn(cell: Cell, x_BTD: Tensor, state: State, weights: RNNWeights) -> tuple[Tensor, State]:
    assert isinstance(cell, RNNCell)
    (hidden_BH,) = state
    run = torch.rnn_relu if cell.is_relu else torch.rnn_tanh
    parameters = [weights.input_HD, weights.recurrent_HH, weights.bias_H, torch.zeros_like(weights.bias_H)]
    output_BTH, hidden_1BH = run(x_BTD, hidden_BH[None], parameters, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    return output_BTH, (hidden_1BH[0].to(hidden_BH.dtype),)
