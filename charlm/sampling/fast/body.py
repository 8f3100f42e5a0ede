"""One time step of a stack of recurrent layers, over fixed buffers.

    x_BD ── layer 1 ── (skip) ── layer 2 ── ... ──> features_BH          like `nn.bodies.recurrent`, without dropout

B streams, D inputs, H hidden, V vocabulary.
"""

from functools import partial

import torch
from torch import Tensor

from charlm.nn.bodies.recurrent import RecurrentLayer, RecurrentNetwork
from charlm.nn.state import State
from charlm.sampling.fast.kernels import Operation
from charlm.sampling.fast.layer import LayerMatrices, LayerStep
from charlm.sampling.options import StepPrecision


class BodyMatrices:
    """The matrices of all layers. The steps of any number of streams share them."""

    def __init__(self, body: RecurrentNetwork, precision: StepPrecision, table_VD: Tensor | None) -> None:
        """
        Args:
            table_VD: the vectors of all tokens, if the input of the first layer is one of them and nothing else.
        """
        self.body = body
        self.has_table = table_VD is not None and not body.is_dense
        layers = [layer for layer in body.layers if isinstance(layer, RecurrentLayer)]
        tables = [table_VD if self.has_table else None, *[None] * (len(layers) - 1)]
        self.layers = [LayerMatrices(layer, precision, table) for layer, table in zip(layers, tables, strict=True)]


class BodyStep:
    """`run` reads x_BD, or the table if there is one, and fills features_BH."""

    def __init__(self, matrices: BodyMatrices, x_BD: Tensor, state: State) -> None:
        body = matrices.body
        layers = [each.layer for each in matrices.layers]
        self._layers: list[LayerStep] = []
        self._after_layer: list[list[Operation]] = []
        widths = [x_BD.shape[1], *(layer.cell.hidden_size for layer in layers)]
        dense_BN = x_BD.new_zeros(len(x_BD), sum(widths)) if body.is_dense else None
        num_filled = widths[0]
        self._copy_input: list[Operation] = [] if dense_BN is None else [partial(dense_BN[:, :num_filled].copy_, x_BD)]
        inputs_BD, start = x_BD, 0
        for number, layer in enumerate(matrices.layers):
            size = len(layer.layer.initial_state(1))
            if dense_BN is not None:
                inputs_BD = dense_BN[:, :num_filled]
            step = LayerStep(layer, inputs_BD, state[start : start + size])
            self._layers.append(step)
            start += size
            after_layer: list[Operation] = []
            if body.is_residual and number > 0:
                sum_BH = torch.empty_like(step.output_BH)
                after_layer.append(partial(torch.add, inputs_BD, step.output_BH, out=sum_BH))
                inputs_BD = sum_BH
            else:
                inputs_BD = step.output_BH
            if dense_BN is not None:
                after_layer.append(partial(dense_BN[:, num_filled : num_filled + widths[number + 1]].copy_, inputs_BD))
                num_filled += widths[number + 1]
            self._after_layer.append(after_layer)
        self.features_BH = inputs_BD if dense_BN is None else dense_BN[:, widths[0] :]

    def run(self, tokens_B: Tensor) -> None:
        for run in self._copy_input:
            run()
        for layer, after_layer in zip(self._layers, self._after_layer, strict=True):
            layer.run(tokens_B)
            for run in after_layer:
                run()

    def state(self) -> State:
        return tuple(tensor for layer in self._layers for tensor in layer.state())

    def select_rows(self, rows_B: Tensor) -> None:
        for layer in self._layers:
            layer.select_rows(rows_B)
