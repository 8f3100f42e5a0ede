"""The simple cell's fast unroll: fused passes step by step, all else in large products.

B batch, T time, D inputs, H hidden.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.rnn import RNNCell, RNNWeights
from charlm.nn.fused.noise import Noise, draw_noise
from charlm.nn.fused.steps import Passes, Recurrence, StepNorms, passes_for, project, step_norms
from charlm.nn.norm import tick
from charlm.nn.state import State


def unroll_rnn(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """`unroll` for a simple cell without recurrent dropout, whose rows are all at the same step."""
    assert isinstance(cell, RNNCell)
    assert isinstance(weights, RNNWeights)
    hidden_BH, *clock = state
    start = int(clock[0][0]) if clock else 0
    inputs_TBH = project(x_BTD, weights.input_HD, weights.bias_H, [cell.input_norm], start)
    inputs_TBH = inputs_TBH.to(hidden_BH.dtype).contiguous()
    passes = passes_for(inputs_TBH)
    num_steps = len(inputs_TBH)
    product = step_norms(passes, [cell.recurrent_norm], [cell.hidden_size], inputs_TBH)
    noise = draw_noise(cell, state, num_steps, weights.generator)
    gain_H = product and product.gain_G
    output_TBH = cast(
        "Tensor", _RNN.apply(passes, product, noise, cell.is_relu, inputs_TBH, hidden_BH, weights.recurrent_HH, gain_H)
    )
    if product is not None:
        product.remember(start)
    return output_TBH.transpose(0, 1), (output_TBH[-1].clone(), *tick([steps_B + num_steps - 1 for steps_B in clock]))


class _RNN(torch.autograd.Function):
    """Inputs, first state, recurrent matrix, gains -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        passes: Passes,
        product: StepNorms | None,
        noise: Noise,
        relu: bool,
        inputs_TBH: Tensor,
        hidden_BH: Tensor,
        weight_HH: Tensor,
        gain_H: Tensor | None,
    ) -> Tensor:
        num_steps = len(inputs_TBH)
        recurrence = Recurrence(weight_HH)
        hiddens = inputs_TBH.new_empty(num_steps + 1, *hidden_BH.shape)
        hiddens[0] = hidden_BH
        activations_TBH = torch.empty_like(inputs_TBH) if noise.zones else hiddens[1:]  # before zoneout
        product_BH = torch.empty_like(inputs_TBH[0])
        for step in range(num_steps):
            if product is not None:
                product_BH = product.x_hat_TBG[step]
            recurrence.forward(hiddens[step], product_BH)
            if product is not None:
                product.forward(step)
            passes.rnn(relu, inputs_TBH[step], product_BH, gain_H, activations_TBH[step])
            if noise.zones:
                hiddens[step + 1] = activations_TBH[step]
                noise.zone_out(step, 0, hiddens[step], hiddens[step + 1])
        ctx.kept = passes, product, noise, relu, recurrence, hiddens, activations_TBH
        ctx.save_for_backward(gain_H)
        return hiddens[1:]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        (d_output_TBH,) = gradients
        passes, product, noise, relu, recurrence, hiddens, activations_TBH = ctx.kept
        (gain_H,) = ctx.saved_tensors
        d_gates_TBH = torch.empty_like(activations_TBH)
        d_products_TBH = d_gates_TBH if product is None else torch.empty_like(d_gates_TBH)
        d_hidden_BH = torch.zeros_like(hiddens[0])
        for step in reversed(range(len(activations_TBH))):
            d_hidden_BH += d_output_TBH[step]
            past_BH = noise.zone_out_backward(step, 0, d_hidden_BH)
            passes.rnn_backward(relu, d_hidden_BH, activations_TBH[step], d_gates_TBH[step])
            if product is not None:
                product.backward(step, d_gates_TBH[step], gain_H, d_products_TBH[step])
            recurrence.backward(d_products_TBH[step], d_hidden_BH)
            if past_BH is not None:
                d_hidden_BH += past_BH
        d_weight_HH = recurrence.weight_gradient(d_products_TBH, hiddens[:-1])
        d_gain_H = None if product is None else product.gain_gradient(d_gates_TBH)
        return None, None, None, None, d_gates_TBH, d_hidden_BH, d_weight_HH, d_gain_H
