"""The simple cell's fast unroll: fused passes step by step, all else in large products.

B batch, T time, D inputs, H hidden.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.rnn import RNNCell, RNNWeights
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


def unroll_rnn(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """`unroll` for a simple cell without recurrent dropout, whose rows are all at the same step."""
    assert isinstance(cell, RNNCell)
    assert isinstance(weights, RNNWeights)
    hidden_BH, *step_counts = state
    start = int(step_counts[0][0]) if step_counts else 0
    inputs_TBH = project_and_normalise(x_BTD, weights.input_HD, weights.bias_H, [cell.input_norm], start)
    inputs_TBH = inputs_TBH.to(hidden_BH.dtype).contiguous()
    kernels = kernels_for(inputs_TBH)
    num_steps = len(inputs_TBH)
    product_norms = build_step_norms(kernels, [cell.recurrent_norm], [cell.hidden_size], inputs_TBH)
    noise = draw_noise_masks(cell, state, num_steps, weights.generator)
    gain_H = product_norms and product_norms.gain_G
    output_TBH = cast(
        "Tensor",
        _RNN.apply(kernels, product_norms, noise, cell.is_relu, inputs_TBH, hidden_BH, weights.recurrent_HH, gain_H),
    )
    if product_norms is not None:
        product_norms.update_running_stats(start)
    return output_TBH.transpose(0, 1), (
        output_TBH[-1].clone(),
        *increment_step_counts([steps_B + num_steps - 1 for steps_B in step_counts]),
    )


class _RNN(torch.autograd.Function):
    """Inputs, first state, recurrent matrix, gains -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        product_norms: StepNorms | None,
        noise: NoiseMasks,
        relu: bool,
        inputs_TBH: Tensor,
        hidden_BH: Tensor,
        weight_HH: Tensor,
        gain_H: Tensor | None,
    ) -> Tensor:
        num_steps = len(inputs_TBH)
        recurrent_matmul = RecurrentMatmul(weight_HH)
        hiddens = inputs_TBH.new_empty(num_steps + 1, *hidden_BH.shape)
        hiddens[0] = hidden_BH
        activations_TBH = torch.empty_like(inputs_TBH) if noise.zoneout_weights else hiddens[1:]  # before zoneout
        product_BH = torch.empty_like(inputs_TBH[0])
        for step in range(num_steps):
            if product_norms is not None:
                product_BH = product_norms.x_hat_TBG[step]
            recurrent_matmul.forward(hiddens[step], product_BH)
            if product_norms is not None:
                product_norms.forward(step)
            kernels.rnn(relu, inputs_TBH[step], product_BH, gain_H, activations_TBH[step])
            if noise.zoneout_weights:
                hiddens[step + 1] = activations_TBH[step]
                noise.apply_zoneout(step, 0, hiddens[step], hiddens[step + 1])
        ctx.saved = kernels, product_norms, noise, relu, recurrent_matmul, hiddens, activations_TBH
        ctx.save_for_backward(gain_H)
        return hiddens[1:]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        (d_output_TBH,) = gradients
        kernels, product_norms, noise, relu, recurrent_matmul, hiddens, activations_TBH = ctx.saved
        (gain_H,) = ctx.saved_tensors
        d_gates_TBH = torch.empty_like(activations_TBH)
        d_products_TBH = d_gates_TBH if product_norms is None else torch.empty_like(d_gates_TBH)
        d_hidden_BH = torch.zeros_like(hiddens[0])
        for step in reversed(range(len(activations_TBH))):
            d_hidden_BH += d_output_TBH[step]
            d_before_BH = noise.apply_zoneout_backward(step, 0, d_hidden_BH)
            kernels.rnn_backward(relu, d_hidden_BH, activations_TBH[step], d_gates_TBH[step])
            if product_norms is not None:
                product_norms.backward(step, d_gates_TBH[step], gain_H, d_products_TBH[step])
            recurrent_matmul.backward(d_products_TBH[step], d_hidden_BH)
            if d_before_BH is not None:
                d_hidden_BH += d_before_BH
        d_weight_HH = recurrent_matmul.weight_gradient(d_products_TBH, hiddens[:-1])
        d_gain_H = None if product_norms is None else product_norms.gain_gradient(d_gates_TBH)
        return None, None, None, None, d_gates_TBH, d_hidden_BH, d_weight_HH, d_gain_H
