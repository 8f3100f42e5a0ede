"""One step of each cell that has a fast step, in the kernels of the fused unroll. A new fast cell registers here.

    cell ──fast_cell──> FastCell ──bind(StepBuffers)──> operations: inputs, recurrent, state ──> output, next state

B streams, H hidden, G gates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.mingru import MinGRUCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.fused.gru import gru
from charlm.nn.fused.lstm import lstm_gates, lstm_output
from charlm.nn.fused.mingru import mingru
from charlm.nn.fused.rnn import rnn
from charlm.nn.norm import BatchNorm, LayerNorm
from charlm.sampling.fast.kernels import Operation, StepKernels
from charlm.sampling.fast.norms import StepNorms


@dataclass(frozen=True)
class StepBuffers:
    """What a step of a cell reads and writes."""

    inputs_BG: Tensor
    """W_x x + b, normalised."""
    recurrent_BG: Tensor
    """W_h h, normalised, without the gain of layer norms."""
    recurrent_gain_G: Tensor | None
    """The gain of layer norms."""
    state: list[Tensor]
    """The floats of the cell's state, updated in place; the first is the hidden state."""
    output_BH: Tensor
    kernels: StepKernels
    norms: StepNorms


@dataclass(frozen=True)
class FastCell:
    """How the fast step runs a cell."""

    input_norms: list[nn.Module]
    """Of the input's product, side by side."""
    recurrent_norms: list[nn.Module]
    """Of the state's product, side by side; empty if there is none."""
    bind: Callable[[StepBuffers], list[Operation]]
    """The operations of a step, after both products."""


def fast_cell(cell: Cell) -> FastCell | None:
    """How the fast step runs a cell; None for cells whose products depend on one another within a step."""
    match cell:
        case LSTMCell(mogrifier=None):
            return FastCell([cell.input_norm], [cell.recurrent_norm], partial(_bind_lstm, cell))
        case GRUCell(reset="after"):
            input_norms: list[nn.Module] = [cell.input_norm, cell.candidate_input_norm]
            return FastCell(input_norms, [cell.recurrent_norm, cell.candidate_norm], partial(_bind_gru, cell))
        case RNNCell():
            return FastCell([cell.input_norm], [cell.recurrent_norm], partial(_bind_rnn, cell))
        case MinGRUCell():
            return FastCell([cell.input_norm], [], partial(_bind_mingru, cell))
        case _:
            return None


def _bind_lstm(cell: LSTMCell, buffers: StepBuffers) -> list[Operation]:
    hidden_BH, cell_BH = buffers.state
    inputs, recurrent, gain_G, output_BH = _products(buffers)
    gates, next_cell_BH, tanh_BH = torch.empty_like(inputs), torch.empty_like(cell_BH), torch.empty_like(cell_BH)
    bind = buffers.kernels.bind
    operations = [bind(lstm_gates, cell.coupled, inputs, recurrent, gain_G, cell_BH, None, gates, next_cell_BH)]
    read_BH, gain_H, bias_H = next_cell_BH, None, None
    if isinstance(cell.memory_norm, LayerNorm | BatchNorm):
        read_BH = torch.empty_like(next_cell_BH)
        operations.append(partial(read_BH.copy_, next_cell_BH))
        operations += buffers.norms.bind([cell.memory_norm], read_BH)
        if isinstance(cell.memory_norm, LayerNorm):
            gain_H, bias_H = cell.memory_norm.gain_G.detach(), cell.memory_norm.bias_G
            bias_H = None if bias_H is None else bias_H.detach()
    operations.append(bind(lstm_output, cell.coupled, read_BH, gain_H, bias_H, gates, tanh_BH, output_BH))
    operations += _zoneout(output_BH, hidden_BH, cell.options.zoneout_hidden)
    operations += _zoneout(next_cell_BH, cell_BH, cell.options.zoneout)
    return [*operations, partial(cell_BH.copy_, next_cell_BH), partial(hidden_BH.copy_, output_BH)]


def _bind_gru(cell: GRUCell, buffers: StepBuffers) -> list[Operation]:
    (hidden_BH,) = buffers.state
    inputs, recurrent, gain_G, output_BH = _products(buffers)
    assert cell.candidate_bias_H is not None
    bias_H, gates, candidate_BH = cell.candidate_bias_H.detach(), torch.empty_like(inputs), torch.empty_like(hidden_BH)
    step = buffers.kernels.bind(gru, inputs, recurrent, gain_G, bias_H, hidden_BH, None, gates, candidate_BH, output_BH)
    return [step, *_zoneout(output_BH, hidden_BH, cell.options.zoneout), partial(hidden_BH.copy_, output_BH)]


def _bind_rnn(cell: RNNCell, buffers: StepBuffers) -> list[Operation]:
    (hidden_BH,) = buffers.state
    inputs, recurrent, gain_G, output_BH = _products(buffers)
    step = buffers.kernels.bind(rnn, cell.is_relu, inputs, recurrent, gain_G, output_BH)
    return [step, *_zoneout(output_BH, hidden_BH, cell.options.zoneout), partial(hidden_BH.copy_, output_BH)]


def _bind_mingru(cell: MinGRUCell, buffers: StepBuffers) -> list[Operation]:
    (hidden_BH,) = buffers.state
    gates_BG, output_BH = buffers.inputs_BG, buffers.output_BH
    step = buffers.kernels.bind(mingru, 1, cell.is_identity, gates_BG, hidden_BH, None, None, output_BH)
    return [step, *_zoneout(output_BH, hidden_BH, cell.options.zoneout), partial(hidden_BH.copy_, output_BH)]


def _products(buffers: StepBuffers) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    return buffers.inputs_BG, buffers.recurrent_BG, buffers.recurrent_gain_G, buffers.output_BH


def _zoneout(new_BH: Tensor, old_BH: Tensor, probability: float) -> list[Operation]:
    """The expectation of zoneout: new (1 - p) + old p, in place of `new`."""
    return [partial(new_BH.lerp_, old_BH, probability)] if probability else []
