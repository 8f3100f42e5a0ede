"""The GRU's fast unroll (reset gate after the product): fused passes step by step, all else in large products.

B batch, T time, D inputs, H hidden, G gates.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.gru import GRUCell, GRUWeights
from charlm.nn.fused.noise import Noise, draw_noise
from charlm.nn.fused.steps import Passes, Recurrence, StepNorms, passes_for, project, step_norms
from charlm.nn.norm import tick
from charlm.nn.state import State


def unroll_gru(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """`unroll` for a GRU with its reset gate after the product, whose rows are all at the same step."""
    assert isinstance(cell, GRUCell)
    assert isinstance(weights, GRUWeights)
    assert weights.candidate_bias_H is not None
    hidden_BH, *clock = state
    start = int(clock[0][0]) if clock else 0
    size = cell.hidden_size
    norms = [cell.input_norm, cell.candidate_input_norm]
    inputs_TBG = project(x_BTD, weights.input_GD, weights.bias_G, norms, start)
    inputs_TBG = inputs_TBG.to(hidden_BH.dtype).contiguous()
    passes = passes_for(inputs_TBG)
    num_steps = len(inputs_TBG)
    product = step_norms(passes, [cell.recurrent_norm, cell.candidate_norm], [2 * size, size], inputs_TBG)
    noise = draw_noise(cell, state, num_steps, weights.generator)
    output_TBH = cast(
        "Tensor",
        _GRU.apply(
            passes,
            product,
            noise,
            inputs_TBG,
            hidden_BH,
            weights.recurrent_GH,
            weights.candidate_bias_H,
            product and product.gain_G,
        ),
    )
    if product is not None:
        product.remember(start)
    return output_TBH.transpose(0, 1), (output_TBH[-1].clone(), *tick([steps_B + num_steps - 1 for steps_B in clock]))


class _GRU(torch.autograd.Function):
    """Gates' inputs, first state, recurrent matrix, candidate's bias, gains -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        passes: Passes,
        product: StepNorms | None,
        noise: Noise,
        inputs_TBG: Tensor,
        hidden_BH: Tensor,
        weight_GH: Tensor,
        candidate_bias_H: Tensor,
        gain_G: Tensor | None,
    ) -> Tensor:
        num_steps = len(inputs_TBG)
        recurrence = Recurrence(weight_GH)
        gates_TBG = torch.empty_like(inputs_TBG)
        hiddens = inputs_TBG.new_empty(num_steps + 1, *hidden_BH.shape)
        candidates_TBH = torch.empty_like(hiddens[1:])
        hiddens[0] = hidden_BH
        product_BG = torch.empty_like(inputs_TBG[0])
        for step in range(num_steps):
            before_BH, after_BH = hiddens[step], hiddens[step + 1]
            if product is not None:
                product_BG = product.x_hat_TBG[step]
            recurrence.forward(before_BH, product_BG)
            if product is not None:
                product.forward(step)
            states = before_BH, noise.written(step), gates_TBG[step], candidates_TBH[step], after_BH
            passes.gru(inputs_TBG[step], product_BG, gain_G, candidate_bias_H, *states)
            noise.zone_out(step, 0, before_BH, after_BH)
        ctx.kept = passes, product, noise, recurrence, gates_TBG, hiddens, candidates_TBH
        ctx.save_for_backward(gain_G)
        return hiddens[1:]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        (d_output_TBH,) = gradients
        passes, product, noise, recurrence, gates_TBG, hiddens, candidates_TBH = ctx.kept
        (gain_G,) = ctx.saved_tensors
        size = hiddens.shape[2]
        d_gates_TBG, d_scaled_TBG = torch.empty_like(gates_TBG), torch.empty_like(gates_TBG)
        d_products_TBG = d_scaled_TBG if product is None else torch.empty_like(gates_TBG)
        d_hidden_BH = torch.zeros_like(hiddens[0])
        through_BH = torch.empty_like(d_hidden_BH)
        for step in reversed(range(len(gates_TBG))):
            d_hidden_BH += d_output_TBH[step]
            past_BH = noise.zone_out_backward(step, 0, d_hidden_BH)
            kept = gates_TBG[step], candidates_TBH[step], hiddens[step], noise.written(step)
            passes.gru_backward(*kept, d_hidden_BH, d_gates_TBG[step], d_scaled_TBG[step])
            if product is not None:
                product.backward(step, d_scaled_TBG[step], gain_G, d_products_TBG[step])
            recurrence.backward(d_products_TBG[step], through_BH)
            d_hidden_BH += through_BH
            if past_BH is not None:
                d_hidden_BH += past_BH
        d_weight_GH = recurrence.weight_gradient(d_products_TBG, hiddens[:-1])
        d_candidate_bias_H = d_scaled_TBG[:, :, 2 * size :].sum((0, 1))
        d_gain_G = None if product is None else product.gain_gradient(d_scaled_TBG)
        return None, None, None, d_gates_TBG, d_hidden_BH, d_weight_GH, d_candidate_bias_H, d_gain_G
