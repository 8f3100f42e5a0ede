"""The recurrent layers of a trained model in whole numbers.

H hidden, G gates, K columns of a matrix.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from charlm.archives.integer_model.description import GroupDescription
from charlm.archives.integer_model.fixed_point import MAX_NARROW, MAX_WIDE, ONE, wide_shift
from charlm.archives.integer_model.layout import Array
from charlm.archives.integer_model.quantize import FloatProduct, Floats, Norm, quantize_group, to_gate_bits
from charlm.nn.bodies.recurrent import RecurrentNetwork
from charlm.nn.cells.base import Cell
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.norm import EPS, LayerNorm


class Sources:
    """What each matrix multiplies: the numbers of its sources (see `description.py`), with their scales."""

    def __init__(self, body: RecurrentNetwork, embedding_scale: float) -> None:
        self.num_layers = len(body.layers)
        self._is_dense, self._is_residual = body.is_dense, body.is_residual
        self._embedding_scale = embedding_scale
        self._hidden_size = body.features_size // (self.num_layers if body.is_dense else 1)

    def products(self, layer: int, weight_GK: Floats) -> list[FloatProduct]:
        """Cut the input matrix of a layer into its products; the head is the layer above all others."""
        sources = self._below(layer)
        ends = weight_GK.shape[1] - self._hidden_size * np.arange(len(sources) - 1, 0, -1)
        parts = np.split(weight_GK, ends, axis=1)
        return [self.product(source, part) for source, part in zip(sources, parts, strict=True)]

    def product(self, source: int, weight_GK: Floats) -> FloatProduct:
        if source == 0:
            return FloatProduct(source, weight_GK, self._embedding_scale, MAX_WIDE)
        if source <= self.num_layers:
            return FloatProduct(source, weight_GK, 1 / MAX_NARROW, MAX_NARROW)
        return FloatProduct(source, weight_GK, 2.0 ** wide_shift(source - self.num_layers) / ONE, MAX_WIDE)

    def _below(self, layer: int) -> list[int]:
        if self._is_dense:
            return list(range(1 if layer == self.num_layers else 0, layer + 1))
        if self._is_residual and layer > 1:
            return [self.num_layers + layer]
        return [layer]


@torch.no_grad()
def add_layer(
    arrays: dict[str, Array], layer: int, cell: Cell, sources: Sources
) -> tuple[GroupDescription, GroupDescription]:
    """Add the arrays of a layer; return its input products and its recurrent product."""
    name = f"layers.{layer}"
    input_GD, recurrent_GH, bias_G = (as_floats(weight) for weight in cell.prepare(None)[:3])
    input_norms, recurrent_norms = _product_norms(cell)
    arrays[f"{name}.bias"] = to_gate_bits(bias_G)
    if isinstance(cell, GRUCell):
        assert cell.candidate_bias_H is not None, "a GRU with reset=before is not supported"
        arrays[f"{name}.candidate_bias"] = to_gate_bits(as_floats(cell.candidate_bias_H))
    if isinstance(cell, LSTMCell) and isinstance(cell.memory_norm, LayerNorm):
        assert cell.memory_norm.bias_G is not None, "the norm of a memory has a bias"
        arrays[f"{name}.memory_gain"] = to_gate_bits(as_floats(cell.memory_norm.gain_G))
        arrays[f"{name}.memory_bias"] = to_gate_bits(as_floats(cell.memory_norm.bias_G))
    return (
        quantize_group(arrays, f"{name}.input", sources.products(layer, input_GD), _join(input_norms)),
        quantize_group(arrays, f"{name}.recurrent", [sources.product(1 + layer, recurrent_GH)], _join(recurrent_norms)),
    )


def as_floats(tensor: Tensor) -> Floats:
    return tensor.detach().cpu().double().numpy()


def _product_norms(cell: Cell) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return the norms of the products with the input and with the state, side by side."""
    match cell:
        case GRUCell():
            return [cell.input_norm, cell.candidate_input_norm], [cell.recurrent_norm, cell.candidate_norm]
        case LSTMCell() | RNNCell():
            return [cell.input_norm], [cell.recurrent_norm]
        case _:
            raise AssertionError(f"{type(cell).__name__} is not supported")


def _join(norms: Sequence[nn.Module]) -> Norm | None:
    gains = [as_floats(norm.gain_G) for norm in norms if isinstance(norm, LayerNorm)]
    return Norm(tuple(map(len, gains)), np.concatenate(gains), EPS) if gains else None
