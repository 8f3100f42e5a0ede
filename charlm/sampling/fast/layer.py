"""One time step of one recurrent layer over fixed buffers, in the kernels of the fused unroll.

    x ──W_x, norm, b──> inputs_BG (or a row of a table) ──┐
    h ──W_h, norm──> recurrent_BG ────────────────────────┴──cell──> output_BH ──> h of the slot

A dilated layer has a slot for each of its interleaved sequences; a layer of stride s steps at every s-th token.

B streams, D inputs, H hidden, G gates, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from charlm.nn.bodies.recurrent import RecurrentLayer
from charlm.nn.norm import BatchNorm, LayerNorm
from charlm.nn.quantize import quantize_int8
from charlm.nn.state import State
from charlm.sampling.fast.cells import StepBuffers, fast_cell
from charlm.sampling.fast.kernels import Operation, StepKernels
from charlm.sampling.fast.matmul import PRODUCTS, Product
from charlm.sampling.fast.norms import StepNorms, layer_norm_gain
from charlm.sampling.options import StepPrecision


class LayerMatrices:
    """The matrices of a layer as its step uses them. The steps of any number of streams share them."""

    @torch.inference_mode()
    def __init__(self, layer: RecurrentLayer, precision: StepPrecision, table_VD: Tensor | None = None) -> None:
        """
        Args:
            table_VD: the inputs of all tokens, if the input is always one of them: then their products are a table.
        """
        cell = fast_cell(layer.cell)
        assert cell is not None, f"{type(layer.cell).__name__} has no fast step"
        self.layer, self.cell = layer, cell
        input_GD, recurrent_GH, bias_G = layer.cell.prepare(None)[:3]
        input_GD, self.bias_G = input_GD.detach(), bias_G.detach()
        self.recurrent = None if recurrent_GH is None else PRODUCTS[precision](recurrent_GH.detach(), None)
        self.input: Product | None = None
        self.table_VG: Tensor | None = None
        is_normed = isinstance(cell.input_norms[0], LayerNorm | BatchNorm)
        if table_VD is None:
            self.input = PRODUCTS[precision](input_GD, None if is_normed else self.bias_G)
        else:
            self.table_VG = self._build_table(_multiply(table_VD.detach(), input_GD, precision))

    def _build_table(self, products_VG: Tensor) -> Tensor:
        norms = self.cell.input_norms
        if isinstance(norms[0], BatchNorm):  # its statistics change from step to step, so that no table can hold them
            return products_VG
        if not isinstance(norms[0], LayerNorm):
            products_VG += self.bias_G
        for run in StepNorms(StepKernels(products_VG)).bind(norms, products_VG, self.bias_G):
            run()
        return products_VG


@dataclass
class _Slot:
    """The state of one interleaved sequence, and the operations of its step."""

    floats: list[Tensor]
    step_count: int | None
    operations: list[Operation]


class LayerStep:
    """`run` fills output_BH."""

    def __init__(self, matrices: LayerMatrices, x_BD: Tensor, state: State) -> None:
        layer = matrices.layer
        self._stride, self._dilation = layer.stride, layer.dilation
        self._kernels = StepKernels(x_BD)
        self._norms = StepNorms(self._kernels)
        *cell_state, last_output_BH, phase_B = state if self._stride > 1 else (*state, None, None)
        self._phase = 0 if phase_B is None else int(phase_B[0])
        self.output_BH = x_BD.new_zeros(len(x_BD), layer.cell.hidden_size)
        if last_output_BH is not None:
            self.output_BH.copy_(last_output_BH)
        self._inputs_BG = x_BD.new_empty(len(x_BD), len(matrices.bias_G))
        self._recurrent_BG = torch.empty_like(self._inputs_BG)
        self._table_VG = matrices.table_VG
        inputs = self._bind_inputs(matrices, x_BD)
        slots = [(tensor[:, None] if self._dilation == 1 else tensor).unbind(1) for tensor in cell_state]
        self._slots = [self._build_slot(list(tensors), inputs, matrices) for tensors in zip(*slots, strict=True)]
        self._next_slot = 0

    def run(self, tokens_B: Tensor) -> None:
        steps = self._phase == 0
        if self._stride > 1:
            self._phase = (self._phase + 1) % self._stride
        if not steps:
            return
        slot = self._slots[self._next_slot]
        if self._dilation > 1:
            self._next_slot = (self._next_slot + 1) % self._dilation
        if self._table_VG is not None:
            torch.index_select(self._table_VG, 0, tokens_B, out=self._inputs_BG)
        if slot.step_count is not None:
            self._norms.set_step(slot.step_count)
            slot.step_count += 1
        for run in slot.operations:
            run()

    def state(self) -> State:
        order = self._slots[self._next_slot :] + self._slots[: self._next_slot]
        stacked = [torch.stack(tensors, dim=1) for tensors in zip(*(slot.floats for slot in order), strict=True)]
        if order[0].step_count is not None:
            rows = len(self.output_BH)
            stacked.append(torch.tensor([slot.step_count for slot in order]).expand(rows, -1).contiguous())
        state = tuple(stacked) if self._dilation > 1 else tuple(tensor[:, 0] for tensor in stacked)
        if self._stride == 1:
            return state
        return (*state, self.output_BH.clone(), torch.full((len(self.output_BH),), self._phase))

    def select_rows(self, rows_B: Tensor) -> None:
        """Row i continues from the state of row rows_B[i]."""
        for tensor in (self.output_BH, *(tensor for slot in self._slots for tensor in slot.floats)):
            tensor.copy_(tensor[rows_B])

    def _bind_inputs(self, matrices: LayerMatrices, x_BD: Tensor) -> list[Operation]:
        """Operations that fill inputs_BG from x_BD, or complete the row that `run` took from the table."""
        norms = matrices.cell.input_norms
        if matrices.input is not None:
            return [*matrices.input.bind(x_BD, self._inputs_BG), *self._bind_input_norms(matrices)]
        return self._bind_input_norms(matrices) if isinstance(norms[0], BatchNorm) else []

    def _bind_input_norms(self, matrices: LayerMatrices) -> list[Operation]:
        return self._norms.bind(matrices.cell.input_norms, self._inputs_BG, matrices.bias_G)

    def _build_slot(self, tensors: list[Tensor], inputs: list[Operation], matrices: LayerMatrices) -> _Slot:
        cell = matrices.cell
        floats = [tensor.clone().contiguous() for tensor in tensors if tensor.is_floating_point()]
        step_count = next((int(tensor[0]) for tensor in tensors if not tensor.is_floating_point()), None)
        norms, recurrent_BG = cell.recurrent_norms, self._recurrent_BG
        gain_G = layer_norm_gain(norms)
        buffers = StepBuffers(self._inputs_BG, recurrent_BG, gain_G, floats, self.output_BH, self._kernels, self._norms)
        products = list(inputs)
        if matrices.recurrent is not None:
            products += [*matrices.recurrent.bind(floats[0], recurrent_BG), *self._norms.bind(norms, recurrent_BG)]
        return _Slot(floats, step_count, products + cell.bind(buffers))


def _multiply(table_VD: Tensor, weight_GD: Tensor, precision: StepPrecision) -> Tensor:
    """Return the products of all vectors with the weights, for int8 with those of an int8 product. Sums in double give
    the same floats on every processor."""
    if precision == "int8":
        q_GD, scale_G = quantize_int8(weight_GD)
        weight_GD = q_GD * scale_G[:, None]
    return (table_VD.double() @ weight_GD.double().t()).to(table_VD.dtype)
