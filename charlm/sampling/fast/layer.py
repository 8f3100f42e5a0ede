"""One time step of one recurrent layer: the cell over buffers that stay, in the passes of the fused unroll.

    x ──W_x, norm, b──> inputs_BG (or a row of a table) ──┐
    h ──W_h, norm──> recurrent_BG ───────────────────────pass──> output_BH ──> h of the slot that is next

A dilated layer has a slot for each of its interleaved sequences, a strided one steps at every s-th token.

B streams, D inputs, H hidden, G gates, V vocabulary.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from charlm.nn.bodies.recurrent import RecurrentLayer
from charlm.nn.cells.base import Cell
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.norm import EPS, BatchNorm, LayerNorm
from charlm.nn.state import State
from charlm.sampling.fast.kernels import Operation, StepKernels
from charlm.sampling.fast.matmul import PRODUCTS, Product
from charlm.sampling.options import StepPrecision


@dataclass
class _Slot:
    """The state of one interleaved sequence, and what a step of it runs."""

    floats: list[Tensor]
    step_count: int | None
    operations: list[Operation]


def has_fast_step(cell: Cell) -> bool:
    """Whether a cell's equations stand below: not those whose products wait for one another within a step."""
    match cell:
        case LSTMCell(mogrifier=None) | GRUCell(reset="after") | RNNCell():
            return True
        case _:
            return False


class LayerStep:
    """`run` fills output_BH."""

    def __init__(
        self,
        layer: RecurrentLayer,
        x_BD: Tensor,
        state: State,
        precision: StepPrecision,
        table_VD: Tensor | None = None,
    ) -> None:
        self._cell = cell = layer.cell
        self._stride, self._dilation = layer.stride, layer.dilation
        self._kernels = StepKernels(x_BD)
        batch_size, size = len(x_BD), cell.hidden_size
        *cell_state, last_output_BH, phase_B = state if self._stride > 1 else (*state, None, None)
        self._phase = 0 if phase_B is None else int(phase_B[0])
        self.output_BH = x_BD.new_zeros(batch_size, size)
        if last_output_BH is not None:
            self.output_BH.copy_(last_output_BH)
        weights = cell.prepare(None)
        input_GD, recurrent_GH, bias_G = (tensor.detach() for tensor in weights[:3])
        self._inputs_BG = x_BD.new_empty(batch_size, len(bias_G))
        self._recurrent_BG = torch.empty_like(self._inputs_BG)
        self._batch_norms: list[_BatchNormSteps] = []
        product = PRODUCTS[precision]
        self._table_VG: Tensor | None = None
        input_norms, recurrent_norms = _input_and_recurrent_norms(cell)
        is_normed = isinstance(input_norms[0], LayerNorm | BatchNorm)
        if table_VD is None:
            own_bias_G = None if is_normed else bias_G
            inputs = product(input_GD, own_bias_G).bind(x_BD, self._inputs_BG)
            inputs += self._bind_norms(input_norms, self._inputs_BG, bias_G)
        elif isinstance(input_norms[0], BatchNorm):  # whose statistics change from step to step
            self._table_VG = table_VD.detach() @ input_GD.t()
            inputs = self._bind_norms(input_norms, self._inputs_BG, bias_G)
        else:
            inputs: list[Operation] = []
            table_VG = table_VD.detach() @ input_GD.t()
            if not is_normed:
                table_VG += bias_G
            for run in self._bind_norms(input_norms, table_VG, bias_G):
                run()
            self._table_VG = table_VG
        recurrent = product(recurrent_GH, None)
        slots = [(tensor[:, None] if self._dilation == 1 else tensor).unbind(1) for tensor in cell_state]
        self._slots = [
            self._build_slot(list(tensors), inputs, recurrent, recurrent_norms) for tensors in zip(*slots, strict=True)
        ]
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
            for norm in self._batch_norms:
                norm.set_step(slot.step_count)
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
        """Row i becomes what row rows_B[i] was."""
        for tensor in (self.output_BH, *(tensor for slot in self._slots for tensor in slot.floats)):
            tensor.copy_(tensor[rows_B])

    # ---- programs

    def _build_slot(
        self, tensors: list[Tensor], inputs: list[Operation], recurrent: Product, norms: list[nn.Module]
    ) -> _Slot:
        floats = [tensor.clone().contiguous() for tensor in tensors if tensor.is_floating_point()]
        step_count = next((int(tensor[0]) for tensor in tensors if not tensor.is_floating_point()), None)
        operations = [*inputs, *recurrent.bind(floats[0], self._recurrent_BG)]
        gain_G = self._layer_norm_gain(norms)
        operations += self._bind_norms(norms, self._recurrent_BG, None)
        return _Slot(floats, step_count, operations + self._cell_operations(floats, gain_G))

    def _cell_operations(self, floats: list[Tensor], gain_G: Tensor | None) -> list[Operation]:
        cell, kernels, inputs, recurrent = self._cell, self._kernels, self._inputs_BG, self._recurrent_BG
        options, hidden_BH, output_BH = cell.options, floats[0], self.output_BH
        gates = torch.empty_like(inputs)
        end: list[Operation] = [partial(hidden_BH.copy_, output_BH)]
        match cell:
            case LSTMCell():
                cell_BH = floats[1]
                after_BH, tanh_BH = torch.empty_like(cell_BH), torch.empty_like(cell_BH)
                middle: list[Operation] = [
                    kernels.bind("lstm_gates", inputs, recurrent, gain_G, cell_BH, None, gates, after_BH)
                ]
                read_BH, gain_H, bias_H = after_BH, None, None
                if isinstance(cell.memory_norm, LayerNorm | BatchNorm):
                    read_BH = torch.empty_like(after_BH)
                    middle.append(partial(read_BH.copy_, after_BH))
                    middle += self._bind_norms([cell.memory_norm], read_BH, None)
                    if isinstance(cell.memory_norm, LayerNorm):
                        gain_H, bias_H = cell.memory_norm.gain_G.detach(), cell.memory_norm.bias_G
                        bias_H = None if bias_H is None else bias_H.detach()
                middle.append(kernels.bind("lstm_output", read_BH, gain_H, bias_H, gates, tanh_BH, output_BH))
                if options.zoneout_hidden:
                    middle.append(partial(output_BH.lerp_, hidden_BH, options.zoneout_hidden))
                if options.zoneout:
                    middle.append(partial(after_BH.lerp_, cell_BH, options.zoneout))
                return [*middle, partial(cell_BH.copy_, after_BH), *end]
            case GRUCell():
                assert cell.candidate_bias_H is not None
                bias_H, recurrent_candidate_BH = cell.candidate_bias_H.detach(), torch.empty_like(hidden_BH)
                middle = [
                    kernels.bind(
                        "gru",
                        inputs,
                        recurrent,
                        gain_G,
                        bias_H,
                        hidden_BH,
                        None,
                        gates,
                        recurrent_candidate_BH,
                        output_BH,
                    )
                ]
            case RNNCell():
                middle = [kernels.bind("rnn", cell.is_relu, inputs, recurrent, gain_G, output_BH)]
            case _:
                raise AssertionError(f"{type(cell).__name__} has no fast step")
        if options.zoneout:
            middle.append(partial(output_BH.lerp_, hidden_BH, options.zoneout))
        return [*middle, *end]

    def _layer_norm_gain(self, norms: list[nn.Module]) -> Tensor | None:
        """Of layer norms: the passes multiply by it. Batch norms do so themselves."""
        gains = [norm.gain_G.detach() for norm in norms if isinstance(norm, LayerNorm)]
        return torch.cat(gains) if gains else None

    def _bind_norms(self, norms: list[nn.Module], buffer_BG: Tensor, bias_G: Tensor | None) -> list[Operation]:
        """Runs that normalise in place; where a bias is given, its gain and the bias are applied too."""
        runs: list[Operation] = []
        start = 0
        for norm in norms:
            if isinstance(norm, LayerNorm):
                columns = buffer_BG[:, start : start + len(norm.gain_G)]
                runs.append(self._kernels.bind("layer_norm", columns, EPS, buffer_BG.new_empty(len(buffer_BG))))
                start += len(norm.gain_G)
            elif isinstance(norm, BatchNorm):
                columns = buffer_BG[:, start : start + norm.gain_LG.shape[1]]
                bias_part_G = None if bias_G is None else bias_G[start : start + columns.shape[1]]
                steps = _BatchNormSteps(norm, bias_part_G)
                self._batch_norms.append(steps)
                runs.append(partial(torch.addcmul, steps.shift_G, columns, steps.scale_G, out=columns))
                start += columns.shape[1]
        gain_G = self._layer_norm_gain(norms)
        if gain_G is not None and bias_G is not None:
            runs.append(partial(torch.addcmul, bias_G, buffer_BG, gain_G, out=buffer_BG))
        return runs


class _BatchNormSteps:
    """A batch norm in evaluation: y = x scale + shift, with numbers of their own for each step since the reset."""

    def __init__(self, norm: BatchNorm, bias_G: Tensor | None) -> None:
        scale_LG = torch.rsqrt(norm.variance_LG + EPS) * norm.gain_LG.detach()
        shift_LG = -norm.mean_LG * scale_LG
        if norm.bias_LG is not None:
            shift_LG = shift_LG + norm.bias_LG.detach()
        self._scale_LG, self._shift_LG = scale_LG, shift_LG if bias_G is None else shift_LG + bias_G
        num_seen = int((norm.seen_L > 0).sum())
        self._last_step = max(0, min(len(scale_LG), num_seen) - 1)
        self._current_step = -1
        self.scale_G, self.shift_G = torch.empty_like(scale_LG[0]), torch.empty_like(scale_LG[0])

    def set_step(self, step: int) -> None:
        step = min(step, self._last_step)
        if step != self._current_step:
            self.scale_G.copy_(self._scale_LG[step])
            self.shift_G.copy_(self._shift_LG[step])
            self._current_step = step


def _input_and_recurrent_norms(cell: Cell) -> tuple[list[nn.Module], list[nn.Module]]:
    """Of the inputs' product and of the state's, side by side."""
    match cell:
        case LSTMCell() | RNNCell():
            return [cell.input_norm], [cell.recurrent_norm]
        case GRUCell():
            return [cell.input_norm, cell.candidate_input_norm], [cell.recurrent_norm, cell.candidate_norm]
        case _:
            raise AssertionError(f"{type(cell).__name__} has no fast step")
