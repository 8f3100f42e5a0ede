"""The GRU's fast unroll (reset gate after the product): fused passes step by step, all else in large products.

B batch, T time, D inputs, H hidden, G gates.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.gru import GRUCell, GRUWeights
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


def unroll_gru(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """`unroll` for a GRU with its reset gate after the product, whose rows are all at the same step."""
    assert isinstance(cell, GRUCell)
    assert isinstance(weights, GRUWeights)
    assert weights.candidate_bias_H is not None
    hidden_BH, *step_counts = state
    start = int(step_counts[0][0]) if step_counts else 0
    size = cell.hidden_size
    norms = [cell.input_norm, cell.candidate_input_norm]
    inputs_TBG = project_and_normalise(x_BTD, weights.input_GD, weights.bias_G, norms, start)
    inputs_TBG = inputs_TBG.to(hidden_BH.dtype).contiguous()
    kernels = kernels_for(inputs_TBG)
    num_steps = len(inputs_TBG)
    product_norms = build_step_norms(kernels, [cell.recurrent_norm, cell.candidate_norm], [2 * size, size], inputs_TBG)
    noise = draw_noise_masks(cell, state, num_steps, weights.generator)
    output_TBH = cast(
        "Tensor",
        _GRU.apply(
            kernels,
            product_norms,
            noise,
            inputs_TBG,
            hidden_BH,
            weights.recurrent_GH,
            weights.candidate_bias_H,
            product_norms and product_norms.gain_G,
        ),
    )
    if product_norms is not None:
        product_norms.update_running_stats(start)
    return output_TBH.transpose(0, 1), (
        output_TBH[-1].clone(),
        *increment_step_counts([steps_B + num_steps - 1 for steps_B in step_counts]),
    )


class _GRU(torch.autograd.Function):
    """Gates' inputs, first state, recurrent matrix, candidate's bias, gains -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        product_norms: StepNorms | None,
        noise: NoiseMasks,
        inputs_TBG: Tensor,
        hidden_BH: Tensor,
        weight_GH: Tensor,
        candidate_bias_H: Tensor,
        gain_G: Tensor | None,
    ) -> Tensor:
        num_steps = len(inputs_TBG)
        recurrent_matmul = RecurrentMatmul(weight_GH)
        gates_TBG = torch.empty_like(inputs_TBG)
        hiddens = inputs_TBG.new_empty(num_steps + 1, *hidden_BH.shape)
        recurrent_candidates_TBH = torch.empty_like(hiddens[1:])
        hiddens[0] = hidden_BH
        product_BG = torch.empty_like(inputs_TBG[0])
        for step in range(num_steps):
            before_BH, after_BH = hiddens[step], hiddens[step + 1]
            if product_norms is not None:
                product_BG = product_norms.x_hat_TBG[step]
            recurrent_matmul.forward(before_BH, product_BG)
            if product_norms is not None:
                product_norms.forward(step)
            states = before_BH, noise.dropout_mask(step), gates_TBG[step], recurrent_candidates_TBH[step], after_BH
            kernels.gru(inputs_TBG[step], product_BG, gain_G, candidate_bias_H, *states)
            noise.apply_zoneout(step, 0, before_BH, after_BH)
        ctx.saved = kernels, product_norms, noise, recurrent_matmul, gates_TBG, hiddens, recurrent_candidates_TBH
        ctx.save_for_backward(gain_G)
        return hiddens[1:]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        (d_output_TBH,) = gradients
        kernels, product_norms, noise, recurrent_matmul, gates_TBG, hiddens, recurrent_candidates_TBH = ctx.saved
        (gain_G,) = ctx.saved_tensors
        size = hiddens.shape[2]
        d_gates_TBG, d_recurrent_TBG = torch.empty_like(gates_TBG), torch.empty_like(gates_TBG)
        d_products_TBG = d_recurrent_TBG if product_norms is None else torch.empty_like(gates_TBG)
        d_hidden_BH = torch.zeros_like(hiddens[0])
        d_hidden_from_product_BH = torch.empty_like(d_hidden_BH)
        for step in reversed(range(len(gates_TBG))):
            d_hidden_BH += d_output_TBH[step]
            d_before_BH = noise.apply_zoneout_backward(step, 0, d_hidden_BH)
            saved = gates_TBG[step], recurrent_candidates_TBH[step], hiddens[step], noise.dropout_mask(step)
            kernels.gru_backward(*saved, d_hidden_BH, d_gates_TBG[step], d_recurrent_TBG[step])
            if product_norms is not None:
                product_norms.backward(step, d_recurrent_TBG[step], gain_G, d_products_TBG[step])
            recurrent_matmul.backward(d_products_TBG[step], d_hidden_from_product_BH)
            d_hidden_BH += d_hidden_from_product_BH
            if d_before_BH is not None:
                d_hidden_BH += d_before_BH
        d_weight_GH = recurrent_matmul.weight_gradient(d_products_TBG, hiddens[:-1])
        d_candidate_bias_H = d_recurrent_TBG[:, :, 2 * size :].sum((0, 1))
        d_gain_G = None if product_norms is None else product_norms.gain_gradient(d_recurrent_TBG)
        return None, None, None, d_gates_TBG, d_hidden_BH, d_weight_GH, d_candidate_bias_H, d_gain_G
