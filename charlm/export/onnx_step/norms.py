"""Normalisations as operations: what `charlm.nn.norm` computes in evaluation.

B batch, G elements of a product, L time steps with statistics of their own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from charlm.export.onnx_step.graph import Graph, Name
from charlm.nn.norm import EPS, BatchNorm, LayerNorm, NoNorm, RMSNorm


def normalize(graph: Graph, norm: nn.Module, x_BG: Name, step_counts: Sequence[Name] = ()) -> Name:
    """Return norm(x).

    Args:
        step_counts: (steps_B,), the steps since the reset, for batch normalisation.
    """
    match norm:
        case NoNorm():
            return x_BG
        case LayerNorm():
            parameters = [graph.constant(each) for each in (norm.gain_G, norm.bias_G) if each is not None]
            return graph.op("LayerNormalization", x_BG, *parameters, axis=-1, epsilon=EPS)
        case RMSNorm():
            square_BG = graph.op("Mul", x_BG, x_BG)
            mean_B1 = graph.op("ReduceMean", square_BG, graph.shape(-1), keepdims=1)
            root_B1 = graph.op("Sqrt", graph.op("Add", mean_B1, graph.number(EPS, torch.float32)))
            return graph.op("Mul", graph.op("Div", x_BG, root_B1), graph.constant(norm.gain_G))
        case BatchNorm():
            return _normalize_step(graph, norm, x_BG, step_counts[0])
        case _:
            raise AssertionError(f"{type(norm).__name__} is no norm of a product")


def _normalize_step(graph: Graph, norm: BatchNorm, x_BG: Name, steps_B: Name) -> Name:
    """Normalise each row by the statistics of its step, as a factor and an offset for each step."""
    last_step = max(0, int((norm.seen_L > 0).sum()) - 1)
    scale_LG = torch.rsqrt(norm.variance_LG + EPS) * norm.gain_LG
    step_B = graph.op("Min", steps_B, graph.number(last_step))

    def row(tensor_LG: Tensor) -> Name:
        return graph.op("Gather", graph.constant(tensor_LG), step_B, axis=0)

    y_BG = graph.op("Mul", graph.op("Sub", x_BG, row(norm.mean_LG)), row(scale_LG))
    if norm.bias_LG is None:
        return y_BG
    return graph.op("Add", y_BG, row(norm.bias_LG.expand_as(norm.mean_LG)))
