"""The LSTM's fast unroll: forward and backward step by step in fused passes, all else in large products.

B batch, T time, D inputs, H hidden, G gates.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.lstm import LSTMCell, LSTMWeights
from charlm.nn.fused.noise import Noise, draw_noise
from charlm.nn.fused.steps import Passes, Recurrence, StepNorms, passes_for, project, step_norms
from charlm.nn.norm import tick
from charlm.nn.state import State


def unroll_lstm(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """`unroll` for an LSTM without Mogrifier, whose rows are all at the same step."""
    assert isinstance(cell, LSTMCell)
    assert isinstance(weights, LSTMWeights)
    hidden_BH, cell_BH, *clock = state
    start = int(clock[0][0]) if clock else 0
    inputs_TBG = project(x_BTD, weights.input_GD, weights.bias_G, [cell.input_norm], start)
    inputs_TBG = inputs_TBG.to(hidden_BH.dtype).contiguous()
    passes = passes_for(inputs_TBG)
    num_steps = len(inputs_TBG)
    product = step_norms(passes, [cell.recurrent_norm], [inputs_TBG.shape[2]], inputs_TBG)
    memory = step_norms(passes, [cell.memory_norm], [cell.hidden_size], cell_BH.expand(num_steps, -1, -1))
    noise = draw_noise(cell, state, num_steps, weights.generator)
    output_TBH, cell_BH = cast(
        "tuple[Tensor, Tensor]",
        _LSTM.apply(
            passes,
            product,
            memory,
            noise,
            inputs_TBG,
            hidden_BH,
            cell_BH,
            weights.recurrent_GH,
            product and product.gain_G,
            memory and memory.gain_G,
            memory and memory.bias_G,
        ),
    )
    for norms in (product, memory):
        if norms is not None:
            norms.remember(start)
    return output_TBH.transpose(0, 1), (
        output_TBH[-1].clone(),
        cell_BH,
        *tick([steps_B + num_steps - 1 for steps_B in clock]),
    )


class _LSTM(torch.autograd.Function):
    """Gates' inputs, first state, recurrent matrix, gains -> outputs of all steps, last memory."""

    @staticmethod
    def forward(
        ctx: Any,
        passes: Passes,
        product: StepNorms | None,
        memory: StepNorms | None,
        noise: Noise,
        inputs_TBG: Tensor,
        hidden_BH: Tensor,
        cell_BH: Tensor,
        weight_GH: Tensor,
        gain_G: Tensor | None,
        memory_gain_H: Tensor | None,
        memory_bias_H: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        num_steps, batch_size, _ = inputs_TBG.shape
        size = cell_BH.shape[1]
        recurrence = Recurrence(weight_GH)
        gates_TBG = torch.empty_like(inputs_TBG)
        hiddens = inputs_TBG.new_empty(num_steps + 1, batch_size, size)
        cells, tanhs_TBH = torch.empty_like(hiddens), torch.empty_like(hiddens[1:])
        hiddens[0], cells[0] = hidden_BH, cell_BH
        product_BG = torch.empty_like(inputs_TBG[0])
        sequences = inputs_TBG, hiddens[:-1], hiddens[1:], cells[:-1], cells[1:], gates_TBG, tanhs_TBH
        for step, (inputs_BG, before_h, after_h, before_c, after_c, gates_BG, tanh_BH) in enumerate(
            zip(*(sequence.unbind() for sequence in sequences), strict=True)
        ):
            if product is not None:
                product_BG = product.x_hat_TBG[step]
            recurrence.forward(before_h, product_BG)
            if product is not None:
                product.forward(step)
            keep_BH = noise.written(step)
            passes.lstm_gates(inputs_BG, product_BG, gain_G, before_c, keep_BH, gates_BG, after_c)
            read_BH = after_c
            if memory is not None:
                read_BH = memory.x_hat_TBG[step]
                read_BH.copy_(after_c)
                memory.forward(step)
            passes.lstm_output(read_BH, memory_gain_H, memory_bias_H, gates_BG, tanh_BH, after_h)
            noise.zone_out(step, 0, before_h, after_h)
            noise.zone_out(step, 1, before_c, after_c)
        ctx.kept = passes, product, memory, noise, recurrence, gates_TBG, hiddens, cells, tanhs_TBH
        ctx.save_for_backward(gain_G, memory_gain_H)
        return hiddens[1:], cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        d_output_TBH, d_last_BH = gradients
        passes, product, memory, noise, recurrence, gates_TBG, hiddens, cells, tanhs_TBH = ctx.kept
        gain_G, memory_gain_H = ctx.saved_tensors
        d_gates_TBG = torch.empty_like(gates_TBG)
        d_products_TBG = d_gates_TBG if product is None else torch.empty_like(gates_TBG)
        d_reads_TBH = torch.empty_like(tanhs_TBH)
        d_hidden_BH = torch.zeros_like(cells[0])
        d_cell_BH = d_last_BH.clone()
        d_memory_BH = torch.empty_like(d_cell_BH)
        sequences = d_output_TBH, gates_TBG, cells[:-1], tanhs_TBH, d_gates_TBG, d_reads_TBH, d_products_TBG
        steps = list(enumerate(zip(*(sequence.unbind() for sequence in sequences), strict=True)))
        for step, (d_output_BH, gates_BG, before_c, tanh_BH, d_gates_BG, d_read_BH, d_product_BG) in reversed(steps):
            d_hidden_BH += d_output_BH
            past_h = noise.zone_out_backward(step, 0, d_hidden_BH)
            past_c = noise.zone_out_backward(step, 1, d_cell_BH)
            passes.lstm_output_backward(d_hidden_BH, gates_BG, tanh_BH, d_read_BH, d_gates_BG)
            if memory is None:
                d_cell_BH += d_read_BH
            else:
                memory.backward(step, d_read_BH, memory_gain_H, d_memory_BH)
                d_cell_BH += d_memory_BH
            passes.lstm_gates_backward(gates_BG, before_c, noise.written(step), d_cell_BH, d_gates_BG)
            if product is not None:
                product.backward(step, d_gates_BG, gain_G, d_product_BG)
            recurrence.backward(d_product_BG, d_hidden_BH)
            if past_h is not None:
                d_hidden_BH += past_h
            if past_c is not None:
                d_cell_BH += past_c
        d_weight_GH = recurrence.weight_gradient(d_products_TBG, hiddens[:-1])
        d_gain_G = None if product is None else product.gain_gradient(d_gates_TBG)
        d_memory_gain_H = None if memory is None else memory.gain_gradient(d_reads_TBH)
        d_memory_bias_H = None if memory is None else d_reads_TBH.sum((0, 1))
        states = d_hidden_BH, d_cell_BH
        return None, None, None, None, d_gates_TBG, *states, d_weight_GH, d_gain_G, d_memory_gain_H, d_memory_bias_H
