"""The fused unroll of the LSTM: kernels step by step, and large products for everything else.

B batch, T time, D inputs, H hidden, G gates: 4 H in the order i, f, g, o, or 3 H, f, g, o, if coupled.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.lstm import LSTMCell, LSTMWeights
from charlm.nn.fused.saving import save_objects, saved_objects
from charlm.nn.fused.step_norms import StepNorms, build_step_norms
from charlm.nn.fused.steps import Chunk, RecurrentProduct, start_chunk
from charlm.nn.state import State


def lstm_gates(
    coupled: bool,
    inputs_BG: Tensor,
    recurrent_BG: Tensor,
    gain_G: Tensor | None,
    cell_BH: Tensor,
    dropout_mask_BH: Tensor | None,
    gates_BG: Tensor,
    next_cell_BH: Tensor,
) -> None:
    """Compute the gates i, f, g, o with their activations (f, g, o if coupled), and the next cell f c + i g.

    A gain of None is 1, and a dropout mask of None keeps everything.
    """
    torch.add(inputs_BG, recurrent_BG if gain_G is None else recurrent_BG * gain_G, out=gates_BG)
    *i, f, g, o = gates_BG.split(cell_BH.shape[1], dim=1)
    for gate in (*i, f, o):
        gate.sigmoid_()
    g.tanh_()
    written_BH = g if dropout_mask_BH is None else g * dropout_mask_BH
    torch.mul(f, cell_BH, out=next_cell_BH)
    next_cell_BH.addcmul_(1 - f if coupled else i[0], written_BH)


def lstm_output(
    coupled: bool,
    memory_BH: Tensor,
    gain_H: Tensor | None,
    bias_H: Tensor | None,
    gates_BG: Tensor,
    tanh_BH: Tensor,
    hidden_BH: Tensor,
) -> None:
    """Compute hidden = o tanh(memory gain + bias), and keep the tanh."""
    del coupled  # o is the last gate in both cases
    read_BH = memory_BH if gain_H is None or bias_H is None else torch.addcmul(bias_H, memory_BH, gain_H)
    torch.tanh(read_BH, out=tanh_BH)
    torch.mul(gates_BG[:, -hidden_BH.shape[1] :], tanh_BH, out=hidden_BH)


def lstm_output_backward(
    coupled: bool, d_hidden_BH: Tensor, gates_BG: Tensor, tanh_BH: Tensor, d_memory_BH: Tensor, d_gates_BG: Tensor
) -> None:
    """Compute the gradient of memory gain + bias, and that of the output gate, which is a part of d_gates."""
    del coupled
    o = gates_BG[:, -tanh_BH.shape[1] :]
    torch.mul(d_hidden_BH * o, 1 - tanh_BH.square(), out=d_memory_BH)
    d_gates_BG[:, -tanh_BH.shape[1] :] = d_hidden_BH * tanh_BH * o * (1 - o)


def lstm_gates_backward(
    coupled: bool,
    gates_BG: Tensor,
    cell_BH: Tensor,
    dropout_mask_BH: Tensor | None,
    d_cell_BH: Tensor,
    d_gates_BG: Tensor,
) -> None:
    """Compute the gradients of the gates' inputs. d_cell comes in for the next cell, and becomes that of the cell."""
    size = cell_BH.shape[1]
    *i, f, g, _ = gates_BG.split(size, dim=1)
    *d_i, d_f, d_g, _ = d_gates_BG.split(size, dim=1)
    mask_or_ones_BH = torch.ones_like(g) if dropout_mask_BH is None else dropout_mask_BH
    written_BH = g * mask_or_ones_BH
    d_forget_BH = d_cell_BH * cell_BH
    if coupled:
        d_forget_BH -= d_cell_BH * written_BH
    else:
        d_i[0].copy_(d_cell_BH * written_BH * i[0] * (1 - i[0]))
    d_f.copy_(d_forget_BH * f * (1 - f))
    d_g.copy_(d_cell_BH * (1 - f if coupled else i[0]) * mask_or_ones_BH * (1 - g.square()))
    d_cell_BH *= f


def unroll_lstm(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk of an LSTM without Mogrifier, with all rows at the same step."""
    assert isinstance(cell, LSTMCell)
    assert isinstance(weights, LSTMWeights)
    hidden_BH, cell_BH, *_ = state
    norms = [cell.input_norm], [cell.recurrent_norm]
    input_weights = weights.input_GD, weights.bias_G
    chunk, inputs_TBG = start_chunk(cell, x_BTD, state, input_weights, *norms, weights.generator)
    memory_norms = build_step_norms(chunk.kernels, [cell.memory_norm], cell_BH.expand(len(inputs_TBG), -1, -1))
    memory_scale = (None, None) if memory_norms is None else (memory_norms.gain_G, memory_norms.bias_G)
    parameters = weights.recurrent_GH, chunk.gain_G, *memory_scale
    found = _LSTM.apply(chunk, memory_norms, cell.coupled, inputs_TBG, hidden_BH, cell_BH, *parameters)
    if memory_norms is not None:
        memory_norms.update_running_stats(chunk.start)
    return chunk.finish(*cast("tuple[Tensor, Tensor]", found))


class _LSTM(torch.autograd.Function):
    """Gates' inputs, first state, recurrent matrix, gains -> outputs of all steps, last memory."""

    @staticmethod
    def forward(
        ctx: Any,
        chunk: Chunk,
        memory_norms: StepNorms | None,
        coupled: bool,
        inputs_TBG: Tensor,
        hidden_BH: Tensor,
        cell_BH: Tensor,
        weight_GH: Tensor,
        gain_G: Tensor | None,
        memory_gain_H: Tensor | None,
        memory_bias_H: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        kernels, noise = chunk.kernels, chunk.noise
        product = RecurrentProduct(chunk, weight_GH, gain_G, inputs_TBG[0])
        gates_TBG = torch.empty_like(inputs_TBG)
        hiddens = inputs_TBG.new_empty(len(inputs_TBG) + 1, *cell_BH.shape)
        cells, tanhs_TBH = torch.empty_like(hiddens), torch.empty_like(hiddens[1:])
        hiddens[0], cells[0] = hidden_BH, cell_BH
        sequences = inputs_TBG, hiddens[:-1], hiddens[1:], cells[:-1], cells[1:], gates_TBG, tanhs_TBH
        for step, (inputs_BG, before_h, after_h, before_c, after_c, gates_BG, tanh_BH) in enumerate(
            zip(*(sequence.unbind() for sequence in sequences), strict=True)
        ):
            inputs = inputs_BG, product.forward(step, before_h), gain_G, before_c, noise.dropout_mask(step)
            kernels.run(lstm_gates, coupled, *inputs, gates_BG, after_c)
            read_BH = after_c
            if memory_norms is not None:
                read_BH = memory_norms.x_hat_TBG[step]
                read_BH.copy_(after_c)
                memory_norms.forward(step)
            kernels.run(lstm_output, coupled, read_BH, memory_gain_H, memory_bias_H, gates_BG, tanh_BH, after_h)
            noise.apply_zoneout(step, 0, before_h, after_h)
            noise.apply_zoneout(step, 1, before_c, after_c)
        save_objects(ctx, chunk, memory_norms, coupled, product, gates_TBG, hiddens, cells, tanhs_TBH, memory_gain_H)
        return hiddens[1:], cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        d_output_TBH, d_last_BH = gradients
        chunk, memory_norms, coupled, product, gates_TBG, hiddens, cells, tanhs_TBH, memory_gain_H = saved_objects(ctx)
        kernels, noise = chunk.kernels, chunk.noise
        d_gates_TBG = torch.empty_like(gates_TBG)
        d_product_TBG = product.gradient_buffer(d_gates_TBG)
        d_reads_TBH = torch.empty_like(tanhs_TBH)
        d_hidden_BH = torch.zeros_like(cells[0])
        d_cell_BH = d_last_BH.clone(memory_format=torch.contiguous_format)
        d_memory_BH = torch.empty_like(d_cell_BH)
        sequences = d_output_TBH, gates_TBG, cells[:-1], tanhs_TBH, d_gates_TBG, d_reads_TBH, d_product_TBG
        steps = list(enumerate(zip(*(sequence.unbind() for sequence in sequences), strict=True)))
        for step, (d_output_BH, gates_BG, before_c, tanh_BH, d_gates_BG, d_read_BH, d_product_BG) in reversed(steps):
            d_hidden_BH += d_output_BH
            d_before_h = noise.apply_zoneout_backward(step, 0, d_hidden_BH)
            d_before_c = noise.apply_zoneout_backward(step, 1, d_cell_BH)
            kernels.run(lstm_output_backward, coupled, d_hidden_BH, gates_BG, tanh_BH, d_read_BH, d_gates_BG)
            if memory_norms is None:
                d_cell_BH += d_read_BH
            else:
                memory_norms.backward(step, d_read_BH, memory_gain_H, d_memory_BH)
                d_cell_BH += d_memory_BH
            mask_BH = noise.dropout_mask(step)
            kernels.run(lstm_gates_backward, coupled, gates_BG, before_c, mask_BH, d_cell_BH, d_gates_BG)
            product.backward(step, d_gates_BG, d_product_BG, d_hidden_BH)
            if d_before_h is not None:
                d_hidden_BH += d_before_h
            if d_before_c is not None:
                d_cell_BH += d_before_c
        d_weight_GH, d_gain_G = product.parameter_gradients(d_gates_TBG, d_product_TBG, hiddens[:-1])
        d_memory = None, None
        if memory_norms is not None:
            d_memory = memory_norms.gain_gradient(d_reads_TBH), d_reads_TBH.sum((0, 1))
        return None, None, None, d_gates_TBG, d_hidden_BH, d_cell_BH, d_weight_GH, d_gain_G, *d_memory
