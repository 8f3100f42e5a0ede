"""One step of the blocks of a gated linear recurrence as operations; the equations are in `charlm.nn.bodies.rglru`.

B batch, D hidden, R units, J blocks of W units, K taps.
"""

import math

import torch
from torch import nn

from charlm.export.onnx_step.graph import Graph, Name, State
from charlm.export.onnx_step.norms import normalize
from charlm.nn.bodies.rglru import RecurrentUnit, RGLRUBlock, RGLRUNetwork


def step_rglru(graph: Graph, body: RGLRUNetwork, x_BD: Name, state: State) -> tuple[Name, State]:
    *block_states, steps_B = state
    is_fresh_B1 = graph.unsqueeze(graph.op("Equal", steps_B, graph.number(0)), 1)
    features_BD = x_BD if body.input is None else _linear(graph, body.input, x_BD)
    after: State = ()
    size = len(block_states) // len(body.blocks)
    for index, block in enumerate(body.blocks):
        assert isinstance(block, RGLRUBlock)
        of_block = tuple(block_states[index * size : (index + 1) * size])
        features_BD, next_state = _step_block(graph, block, features_BD, of_block, is_fresh_B1)
        after += next_state
    return normalize(graph, body.norm, features_BD), (*after, graph.op("Add", steps_B, graph.number(1)))


def _step_block(graph: Graph, block: RGLRUBlock, x_BD: Name, state: State, is_fresh_B1: Name) -> tuple[Name, State]:
    n_BD = normalize(graph, block.recurrent_norm, x_BD)
    u_BR = _linear(graph, block.recurrent_input, n_BD)
    h_BR, after = _step_unit(graph, block.unit, u_BR, state, is_fresh_B1)
    y_BR = graph.op("Mul", _gelu(graph, _linear(graph, block.recurrent_gate, n_BD)), h_BR)
    x_BD = graph.op("Add", x_BD, _linear(graph, block.recurrent_output, y_BR))
    n_BD = normalize(graph, block.mlp_norm, x_BD)
    gate_BM = _gelu(graph, _linear(graph, block.mlp_gate, n_BD))
    y_BM = graph.op("Mul", gate_BM, _linear(graph, block.mlp_input, n_BD))
    return graph.op("Add", x_BD, _linear(graph, block.mlp_output, y_BM)), after


def _step_unit(graph: Graph, unit: RecurrentUnit, u_BR: Name, state: State, is_fresh_B1: Name) -> tuple[Name, State]:
    *carried, hidden_BR = state
    num_taps = len(unit.conv_weight_KR)
    history_BKR = graph.concat([*carried, graph.unsqueeze(u_BR, 1)], axis=1)
    products_BKR = graph.op("Mul", history_BKR, graph.constant(unit.conv_weight_KR))
    sums_BR = graph.op("ReduceSum", products_BKR, graph.shape(1), keepdims=0)
    c_BR = graph.op("Add", sums_BR, graph.constant(unit.conv_bias_R))
    blocks = [
        graph.op("Gemm", part_BW, graph.constant(weight_WG), graph.constant(bias_1G[0]))
        for part_BW, weight_WG, bias_1G in zip(
            graph.split(c_BR, [unit.gate_weight_JWG.shape[1]] * len(unit.gate_weight_JWG)),
            unit.gate_weight_JWG.unbind(),
            unit.gate_bias_J1G.unbind(),
            strict=True,
        )
    ]
    halves = [graph.split(gates_BG, [unit.gate_weight_JWG.shape[1]] * 2) for gates_BG in blocks]
    r_BR, i_BR = (graph.op("Sigmoid", graph.concat(list(parts), axis=1)) for parts in zip(*halves, strict=True))
    log_a_BR = graph.op("Mul", graph.constant(-unit.decay()), r_BR)
    one = graph.number(1.0, torch.float32)
    square_BR = graph.op("Exp", graph.op("Mul", log_a_BR, graph.number(2.0, torch.float32)))
    # 1 - a^2 = -tanh(log a) (1 + a^2), which loses no digits where a is near 1
    tanh_BR = graph.op("Neg", graph.op("Tanh", log_a_BR))
    difference_BR = graph.op("Mul", tanh_BR, graph.op("Add", one, square_BR))
    root_BR = graph.op("Where", is_fresh_B1, one, graph.op("Sqrt", difference_BR))
    update_BR = graph.op("Mul", graph.op("Mul", root_BR, i_BR), c_BR)
    next_BR = graph.op("Add", graph.op("Mul", graph.op("Exp", log_a_BR), hidden_BR), update_BR)
    next_carried = [graph.slice(history_BKR, 1, num_taps, axis=1)] if carried else []
    return next_BR, (*next_carried, next_BR)


def _gelu(graph: Graph, x: Name) -> Name:
    """x times the probability that a standard normal number is below x."""
    error = graph.op("Erf", graph.op("Mul", x, graph.number(math.sqrt(0.5), torch.float32)))
    twice = graph.op("Mul", x, graph.op("Add", error, graph.number(1.0, torch.float32)))
    return graph.op("Mul", twice, graph.number(0.5, torch.float32))


def _linear(graph: Graph, layer: nn.Module, x_BK: Name) -> Name:
    assert isinstance(layer, nn.Linear)
    return graph.linear(x_BK, layer.weight, layer.bias)
