"""One time step of a stack of recurrent layers, over buffers that stay.

    x_BD ── layer 1 ── (skip) ── layer 2 ── ... ──> features_BH          as `nn.bodies.recurrent`, without dropout

B streams, D inputs, H hidden, V vocabulary.
"""

from functools import partial

import torch
from torch import Tensor

from charlm.nn.bodies.recurrent import Layer, Recurrent
from charlm.nn.state import State
from charlm.sampling.fast.kernels import Run
from charlm.sampling.fast.layer import LayerStep
from charlm.sampling.fast.matmul import StepPrecision


class BodyStep:
    """`run` reads x_BD, or the table where there is one, and fills features_BH."""

    def __init__(
        self, body: Recurrent, x_BD: Tensor, state: State, precision: StepPrecision, table_VD: Tensor | None
    ) -> None:
        """
        Args:
            table_VD: the vectors of all tokens, if what the first layer reads is one of them and nothing else.
        """
        layers = [layer for layer in body.layers if isinstance(layer, Layer)]
        self.has_table = table_VD is not None and not body.is_dense
        self._layers: list[LayerStep] = []
        self._between: list[list[Run]] = []
        widths = [x_BD.shape[1], *(layer.cell.hidden_size for layer in layers)]
        all_BN = x_BD.new_zeros(len(x_BD), sum(widths)) if body.is_dense else None
        seen = widths[0]
        self._begin: list[Run] = [] if all_BN is None else [partial(all_BN[:, :seen].copy_, x_BD)]
        inputs_BD, start = x_BD, 0
        for number, layer in enumerate(layers):
            size = len(layer.initial_state(1))
            if all_BN is not None:
                inputs_BD = all_BN[:, :seen]
            table = table_VD if number == 0 and self.has_table else None
            step = LayerStep(layer, inputs_BD, state[start : start + size], precision, table)
            self._layers.append(step)
            start += size
            between: list[Run] = []
            if body.is_residual and number > 0:
                sum_BH = torch.empty_like(step.output_BH)
                between.append(partial(torch.add, inputs_BD, step.output_BH, out=sum_BH))
                inputs_BD = sum_BH
            else:
                inputs_BD = step.output_BH
            if all_BN is not None:
                between.append(partial(all_BN[:, seen : seen + widths[number + 1]].copy_, inputs_BD))
                seen += widths[number + 1]
            self._between.append(between)
        self.features_BH = inputs_BD if all_BN is None else all_BN[:, widths[0] :]

    def run(self, tokens_B: Tensor) -> None:
        for run in self._begin:
            run()
        for layer, between in zip(self._layers, self._between, strict=True):
            layer.run(tokens_B)
            for run in between:
                run()

    def state(self) -> State:
        return tuple(tensor for layer in self._layers for tensor in layer.state())

    def select(self, rows_B: Tensor) -> None:
        for layer in self._layers:
            layer.select(rows_B)
