"""The LSTM's fast unroll: forward and backward step by step in fused passes, all else in large products.

B batch, T time, D inputs, H hidden, G gates.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.lstm import LSTMCell, LSTMWeights
from charlm.nn.fused.noise import NoiseMasks, draw_noise_masks
from charlm.nn.fused.steps import (
    Kernels,
    RecurrentMatmul,
    StepNorms,
    build_step_norms,
    kernels_for,
    project_and_normalise,
)
from charlm.nn.norm import increment_step_counts
from charlm.nn.state import State


def unroll_lstm(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """`unroll` for an LSTM without Mogrifier, whose rows are all at the same step."""
    assert isinstance(cell, LSTMCell)
    assert isinstance(weights, LSTMWeights)
    hidden_BH, cell_BH, *step_counts = state
    start = int(step_counts[0][0]) if step_counts else 0
    inputs_TBG = project_and_normalise(x_BTD, weights.input_GD, weights.bias_G, [cell.input_norm], start)
    inputs_TBG = inputs_TBG.to(hidden_BH.dtype).contiguous()
    kernels = kernels_for(inputs_TBG)
    num_steps = len(inputs_TBG)
    product_norms = build_step_norms(kernels, [cell.recurrent_norm], [inputs_TBG.shape[2]], inputs_TBG)
    memory_norms = build_step_norms(kernels, [cell.memory_norm], [cell.hidden_size], cell_BH.expand(num_steps, -1, -1))
    noise = draw_noise_masks(cell, state, num_steps, weights.generator)
    output_TBH, cell_BH = cast(
        "tuple[Tensor, Tensor]",
        _LSTM.apply(
            kernels,
            product_norms,
            memory_norms,
            noise,
            inputs_TBG,
            hidden_BH,
            cell_BH,
            weights.recurrent_GH,
            product_norms and product_norms.gain_G,
            memory_norms and memory_norms.gain_G,
            memory_norms and memory_norms.bias_G,
        ),
    )
    for norms in (product_norms, memory_norms):
        if norms is not None:
            norms.update_running_stats(start)
    return output_TBH.transpose(0, 1), (
        output_TBH[-1].clone(),
        cell_BH,
        *increment_step_counts([steps_B + num_steps - 1 for steps_B in step_counts]),
    )


class _LSTM(torch.autograd.Function):
    """Gates' inputs, first state, recurrent matrix, gains -> outputs of all steps, last memory."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        product_norms: StepNorms | None,
        memory_norms: StepNorms | None,
        noise: NoiseMasks,
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
        recurrent_matmul = RecurrentMatmul(weight_GH)
        gates_TBG = torch.empty_like(inputs_TBG)
        hiddens = inputs_TBG.new_empty(num_steps + 1, batch_size, size)
        cells, tanhs_TBH = torch.empty_like(hiddens), torch.empty_like(hiddens[1:])
        hiddens[0], cells[0] = hidden_BH, cell_BH
        product_BG = torch.empty_like(inputs_TBG[0])
        sequences = inputs_TBG, hiddens[:-1], hiddens[1:], cells[:-1], cells[1:], gates_TBG, tanhs_TBH
        for step, (inputs_BG, before_h, after_h, before_c, after_c, gates_BG, tanh_BH) in enumerate(
            zip(*(sequence.unbind() for sequence in sequences), strict=True)
        ):
            if product_norms is not None:
                product_BG = product_norms.x_hat_TBG[step]
            recurrent_matmul.forward(before_h, product_BG)
            if product_norms is not None:
                product_norms.forward(step)
            dropout_mask_BH = noise.dropout_mask(step)
            kernels.lstm_gates(inputs_BG, product_BG, gain_G, before_c, dropout_mask_BH, gates_BG, after_c)
            read_BH = after_c
            if memory_norms is not None:
                read_BH = memory_norms.x_hat_TBG[step]
                read_BH.copy_(after_c)
                memory_norms.forward(step)
            kernels.lstm_output(read_BH, memory_gain_H, memory_bias_H, gates_BG, tanh_BH, after_h)
            noise.apply_zoneout(step, 0, before_h, after_h)
            noise.apply_zoneout(step, 1, before_c, after_c)
        ctx.saved = kernels, product_norms, memory_norms, noise, recurrent_matmul, gates_TBG, hiddens, cells, tanhs_TBH
        ctx.save_for_backward(gain_G, memory_gain_H)
        return hiddens[1:], cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        d_output_TBH, d_last_BH = gradients
        kernels, product_norms, memory_norms, noise, recurrent_matmul, gates_TBG, hiddens, cells, tanhs_TBH = ctx.saved
        gain_G, memory_gain_H = ctx.saved_tensors
        d_gates_TBG = torch.empty_like(gates_TBG)
        d_products_TBG = d_gates_TBG if product_norms is None else torch.empty_like(gates_TBG)
        d_reads_TBH = torch.empty_like(tanhs_TBH)
        d_hidden_BH = torch.zeros_like(cells[0])
        d_cell_BH = d_last_BH.clone()
        d_memory_BH = torch.empty_like(d_cell_BH)
        sequences = d_output_TBH, gates_TBG, cells[:-1], tanhs_TBH, d_gates_TBG, d_reads_TBH, d_products_TBG
        steps = list(enumerate(zip(*(sequence.unbind() for sequence in sequences), strict=True)))
        for step, (d_output_BH, gates_BG, before_c, tanh_BH, d_gates_BG, d_read_BH, d_product_BG) in reversed(steps):
            d_hidden_BH += d_output_BH
            d_before_h = noise.apply_zoneout_backward(step, 0, d_hidden_BH)
            d_before_c = noise.apply_zoneout_backward(step, 1, d_cell_BH)
            kernels.lstm_output_backward(d_hidden_BH, gates_BG, tanh_BH, d_read_BH, d_gates_BG)
            if memory_norms is None:
                d_cell_BH += d_read_BH
            else:
                memory_norms.backward(step, d_read_BH, memory_gain_H, d_memory_BH)
                d_cell_BH += d_memory_BH
            kernels.lstm_gates_backward(gates_BG, before_c, noise.dropout_mask(step), d_cell_BH, d_gates_BG)
            if product_norms is not None:
                product_norms.backward(step, d_gates_BG, gain_G, d_product_BG)
            recurrent_matmul.backward(d_product_BG, d_hidden_BH)
            if d_before_h is not None:
                d_hidden_BH += d_before_h
            if d_before_c is not None:
                d_cell_BH += d_before_c
        d_weight_GH = recurrent_matmul.weight_gradient(d_products_TBG, hiddens[:-1])
        d_gain_G = None if product_norms is None else product_norms.gain_gradient(d_gates_TBG)
        d_memory_gain_H = None if memory_norms is None else memory_norms.gain_gradient(d_reads_TBH)
        d_memory_bias_H = None if memory_norms is None else d_reads_TBH.sum((0, 1))
        states = d_hidden_BH, d_cell_BH
        return None, None, None, None, d_gates_TBG, *states, d_weight_GH, d_gain_G, d_memory_gain_H, d_memory_bias_H
