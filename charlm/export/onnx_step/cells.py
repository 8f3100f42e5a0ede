"""One step of each recurrent cell as operations; the equations are in `charlm.nn.cells`.

B batch, D inputs, H hidden, G gates.
"""

from typing import assert_never

import torch
from torch import Tensor

from charlm.export.onnx_step.graph import Graph, Name, State
from charlm.export.onnx_step.norms import normalize
from charlm.nn.cells.base import Cell, zoneout_probabilities
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.mingru import MinGRUCell
from charlm.nn.cells.mogrifier import Mogrifier
from charlm.nn.cells.rnn import RNNCell


def step_cell(graph: Graph, cell: Cell, x_BD: Name, state: State) -> State:
    """Return the next state, of which the first tensor is the output."""
    assert isinstance(cell, LSTMCell | GRUCell | RNNCell | MinGRUCell), "a new cell needs a step here"
    match cell:
        case LSTMCell():
            floats, counts = _step_lstm(graph, cell, x_BD, state)
        case GRUCell():
            floats, counts = _step_gru(graph, cell, x_BD, state)
        case RNNCell():
            floats, counts = _step_rnn(graph, cell, x_BD, state)
        case MinGRUCell():
            floats, counts = _step_mingru(graph, cell, x_BD, state)
        case _:
            assert_never(cell)
    return *_apply_zoneout(graph, cell, state, floats), *(graph.op("Add", each, graph.number(1)) for each in counts)


def _step_lstm(graph: Graph, cell: LSTMCell, x_BD: Name, state: State) -> tuple[State, State]:
    hidden_BH, cell_BH, *counts = state
    if cell.mogrifier is not None:
        x_BD, hidden_BH = _mogrify(graph, cell.mogrifier, x_BD, hidden_BH)
    weights = cell.prepare(None)
    gates_BG = graph.op(
        "Add",
        normalize(graph, cell.input_norm, graph.linear(x_BD, weights.input_GD), counts),
        normalize(graph, cell.recurrent_norm, graph.linear(hidden_BH, weights.recurrent_GH), counts),
    )
    gates_BG = graph.op("Add", gates_BG, graph.constant(weights.bias_G))
    *i, f, g, o = graph.split(gates_BG, [cell.hidden_size] * (3 if cell.coupled else 4))
    forget_BH = graph.op("Sigmoid", f)
    input_BH = graph.op("Sigmoid", i[0]) if i else graph.op("Sub", graph.number(1.0, torch.float32), forget_BH)
    update_BH = graph.op("Mul", input_BH, graph.op("Tanh", g))
    cell_BH = graph.op("Add", graph.op("Mul", forget_BH, cell_BH), update_BH)
    read_BH = normalize(graph, cell.memory_norm, cell_BH, counts)
    hidden_BH = graph.op("Mul", graph.op("Sigmoid", o), graph.op("Tanh", read_BH))
    return (hidden_BH, cell_BH), tuple(counts)


def _mogrify(graph: Graph, mogrifier: Mogrifier, x_BD: Name, hidden_BH: Name) -> tuple[Name, Name]:
    two = graph.number(2.0, torch.float32)

    def gate(gated: Name, by: Name, matrix: Tensor) -> Name:
        opened = graph.op("Mul", two, graph.op("Sigmoid", graph.linear(by, matrix)))
        return graph.op("Mul", opened, gated)

    for index, (matrix, scale) in enumerate(zip(mogrifier.matrices, mogrifier.scales, strict=True)):
        if index % 2 == 0:
            x_BD = gate(x_BD, hidden_BH, scale(matrix))
        else:
            hidden_BH = gate(hidden_BH, x_BD, scale(matrix))
    return x_BD, hidden_BH


def _step_gru(graph: Graph, cell: GRUCell, x_BD: Name, state: State) -> tuple[State, State]:
    hidden_BH, *counts = state
    weights, size = cell.prepare(None), cell.hidden_size
    rz_W, n_W = weights.recurrent_GH.split([2 * size, size])
    rz_b, n_b = weights.bias_G.split([2 * size, size])
    rz_x, n_x = graph.split(graph.linear(x_BD, weights.input_GD), [2 * size, size])
    rz = graph.op(
        "Add",
        normalize(graph, cell.input_norm, rz_x, counts),
        normalize(graph, cell.recurrent_norm, graph.linear(hidden_BH, rz_W), counts),
    )
    r, z = graph.split(graph.op("Sigmoid", graph.op("Add", rz, graph.constant(rz_b))), [size, size])
    if weights.candidate_bias_H is not None:  # the reset gate comes after the product
        n_h = normalize(graph, cell.candidate_norm, graph.linear(hidden_BH, n_W), counts)
        n_h = graph.op("Mul", r, graph.op("Add", n_h, graph.constant(weights.candidate_bias_H)))
    else:
        n_h = graph.linear(graph.op("Mul", r, hidden_BH), n_W)
        n_h = normalize(graph, cell.candidate_norm, n_h, counts)
    n_x = graph.op("Add", normalize(graph, cell.candidate_input_norm, n_x, counts), graph.constant(n_b))
    n = graph.op("Tanh", graph.op("Add", n_x, n_h))
    new_part = graph.op("Mul", graph.op("Sub", graph.number(1.0, torch.float32), z), n)
    return (graph.op("Add", new_part, graph.op("Mul", z, hidden_BH)),), tuple(counts)


def _step_rnn(graph: Graph, cell: RNNCell, x_BD: Name, state: State) -> tuple[State, State]:
    hidden_BH, *counts = state
    weights = cell.prepare(None)
    sums_BH = graph.op(
        "Add",
        normalize(graph, cell.recurrent_norm, graph.linear(hidden_BH, weights.recurrent_HH), counts),
        normalize(graph, cell.input_norm, graph.linear(x_BD, weights.input_HD), counts),
    )
    sums_BH = graph.op("Add", sums_BH, graph.constant(weights.bias_H))
    return (graph.op("Relu" if cell.is_relu else "Tanh", sums_BH),), tuple(counts)


def _step_mingru(graph: Graph, cell: MinGRUCell, x_BD: Name, state: State) -> tuple[State, State]:
    hidden_BH, *counts = state
    weights = cell.prepare(None)
    gates_BG = normalize(graph, cell.input_norm, graph.linear(x_BD, weights.input_GD), counts)
    gates_BG = graph.op("Add", gates_BG, graph.constant(weights.bias_G))
    z, n = graph.split(gates_BG, [cell.hidden_size] * 2)
    difference = graph.op("Sub", n if cell.is_identity else graph.op("Tanh", n), hidden_BH)
    return (graph.op("Add", hidden_BH, graph.op("Mul", graph.op("Sigmoid", z), difference)),), tuple(counts)


def _apply_zoneout(graph: Graph, cell: Cell, before: State, floats: State) -> State:
    """Mix the new floats of the state with the old ones: the expectation of zoneout."""
    mixed = list(floats)
    for index, probability in zoneout_probabilities(cell, cell.initial_state(1)).items():
        difference = graph.op("Sub", before[index], floats[index])
        kept = graph.op("Mul", difference, graph.number(probability, torch.float32))
        mixed[index] = graph.op("Add", floats[index], kept)
    return tuple(mixed)
