"""One step of each body as operations: (x_BD, state) -> (features_BH, state).

B batch, D inputs, H hidden, L vectors carried, k vectors of a kernel.
"""

import torch

from charlm.errors import UsageError
from charlm.export.onnx_step.cells import step_cell
from charlm.export.onnx_step.graph import Graph, Name, State
from charlm.export.onnx_step.norms import normalize
from charlm.export.onnx_step.rglru import step_rglru
from charlm.nn.bodies.base import Body
from charlm.nn.bodies.causal import CausalConvolution
from charlm.nn.bodies.recurrent import RecurrentLayer, RecurrentNetwork
from charlm.nn.bodies.rglru import RGLRUNetwork
from charlm.nn.bodies.tcn import TCN, ResidualBlock
from charlm.nn.bodies.window import WindowNetwork


def step_body(graph: Graph, body: Body, x_BD: Name, state: State) -> tuple[Name, State]:
    """
    Raises:
        UsageError: the body does not step from token to token.
    """
    match body:
        case RecurrentNetwork():
            return _step_recurrent(graph, body, x_BD, state)
        case WindowNetwork():
            return _step_window(graph, body, x_BD, state)
        case TCN():
            return _step_tcn(graph, body, x_BD, state)
        case RGLRUNetwork():
            return step_rglru(graph, body, x_BD, state)
        case _:
            raise UsageError(f"ONNX cannot express one step of a {type(body).__name__}", "use --format hub")


def _step_recurrent(graph: Graph, body: RecurrentNetwork, x_BD: Name, state: State) -> tuple[Name, State]:
    layers = [layer for layer in body.layers if isinstance(layer, RecurrentLayer)]
    features_BH, dense_inputs, after, start = x_BD, [x_BD], (), 0
    for index, layer in enumerate(layers):
        size = len(layer.initial_state(1))
        inputs_BD = graph.concat(dense_inputs, axis=1) if body.is_dense else features_BH
        output_BH, layer_state = _step_strided(graph, layer, inputs_BD, state[start : start + size])
        features_BH = graph.op("Add", inputs_BD, output_BH) if body.is_residual and index > 0 else output_BH
        dense_inputs.append(features_BH)
        after, start = (*after, *layer_state), start + size
    return graph.concat(dense_inputs[1:], axis=1) if body.is_dense else features_BH, after


def _step_strided(graph: Graph, layer: RecurrentLayer, x_BD: Name, state: State) -> tuple[Name, State]:
    """A layer with a stride steps in phase 0; in the other phases it keeps its state and holds its output."""
    if layer.stride == 1:
        return _step_dilated(graph, layer, x_BD, state)
    *inner, held_BH, phase_B = state
    stepped_BH, stepped = _step_dilated(graph, layer, x_BD, tuple(inner))
    steps_B = graph.op("Equal", phase_B, graph.number(0))
    ranks = [tensor.ndim for tensor in layer.initial_state(1)]

    def choose(new: Name, old: Name, rank: int) -> Name:
        steps = steps_B if rank == 1 else graph.op("Unsqueeze", steps_B, graph.shape(*range(1, rank)))
        return graph.op("Where", steps, new, old)

    kept = [choose(*each) for each in zip(stepped, inner, ranks[: len(inner)], strict=True)]
    output_BH = choose(stepped_BH, held_BH, 2)
    next_phase_B = graph.op("Mod", graph.op("Add", phase_B, graph.number(1)), graph.number(layer.stride))
    return output_BH, (*kept, output_BH, next_phase_B)


def _step_dilated(graph: Graph, layer: RecurrentLayer, x_BD: Name, state: State) -> tuple[Name, State]:
    """A layer with dilation steps its first slot, which then becomes the last one."""
    if layer.dilation == 1:
        after = step_cell(graph, layer.cell, x_BD, state)
        return after[0], after
    first = tuple(graph.op("Gather", each, graph.number(0), axis=1) for each in state)
    stepped = step_cell(graph, layer.cell, x_BD, first)
    waiting = [graph.slice(each, 1, layer.dilation, axis=1) for each in state]
    return stepped[0], tuple(
        graph.concat([others, graph.unsqueeze(each, 1)], axis=1) for others, each in zip(waiting, stepped, strict=True)
    )


def _step_window(graph: Graph, body: WindowNetwork, x_BD: Name, state: State) -> tuple[Name, State]:
    activation = {torch.tanh: "Tanh", torch.relu: "Relu"}[body.activation]
    sums_BH, after = _convolve(graph, body.window, x_BD, state)
    features_BH = graph.op(activation, sums_BH)
    for layer in body.layers:
        assert isinstance(layer, CausalConvolution)
        sums_BH, _ = _convolve(graph, layer, features_BH, ())
        features_BH = graph.op("Add", features_BH, graph.op(activation, sums_BH))
    return features_BH, after


def _step_tcn(graph: Graph, body: TCN, x_BD: Name, state: State) -> tuple[Name, State]:
    features_BH, after = x_BD, ()
    for index, block in enumerate(body.blocks):
        assert isinstance(block, ResidualBlock)
        y_BH = features_BH
        for convolution, carried in zip(block.convolutions, state[2 * index : 2 * index + 2], strict=True):
            assert isinstance(convolution, CausalConvolution)
            sums_BH, next_carried = _convolve(graph, convolution, y_BH, (carried,))
            y_BH, after = graph.op("Relu", sums_BH), (*after, *next_carried)
        if block.residual is not None:
            features_BH, _ = _convolve(graph, block.residual, features_BH, ())
        features_BH = graph.op("Relu", graph.op("Add", y_BH, features_BH))
    return features_BH, after


def _convolve(graph: Graph, convolution: CausalConvolution, x_BD: Name, state: State) -> tuple[Name, State]:
    after: State = ()
    if state:
        history = graph.op("Concat", *state, graph.unsqueeze(x_BD, 1), axis=1)
        read_BkD = graph.op("Gather", history, graph.shape(*convolution.offsets), axis=1)
        x_BD = graph.op("Flatten", read_BkD, axis=1)
        after = (graph.slice(history, 1, convolution.offsets[-1] + 1, axis=1),)
    product_BH = graph.linear(x_BD, convolution.weight_norm(convolution.weight_HK))
    normalized_BH = normalize(graph, convolution.product_norm, product_BH)
    return graph.op("Add", normalized_BH, graph.constant(convolution.bias_H)), after
