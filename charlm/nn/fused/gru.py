"""The fused unroll of the GRU with the reset gate after the product: kernels step by step, and large products.

B batch, T time, D inputs, H hidden, G = 3 H gates in the order r, z, n.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.gru import GRUCell, GRUWeights
from charlm.nn.fused.saving import save_objects, saved_objects
from charlm.nn.fused.steps import Chunk, RecurrentProduct, start_chunk
from charlm.nn.state import State


def gru(
    inputs_BG: Tensor,
    recurrent_BG: Tensor,
    gain_G: Tensor | None,
    candidate_bias_H: Tensor,
    hidden_BH: Tensor,
    dropout_mask_BH: Tensor | None,
    gates_BG: Tensor,
    recurrent_candidate_BH: Tensor,
    next_hidden_BH: Tensor,
) -> None:
    """Compute the gates r, z, n with their activations, the recurrent candidate that r multiplies, and the next hidden
    state (1 - z) n + z h.

    A gain of None is 1, and a dropout mask of None keeps everything.
    """
    size = hidden_BH.shape[1]
    product_BG = recurrent_BG if gain_G is None else recurrent_BG * gain_G
    rz, n = gates_BG[:, : 2 * size], gates_BG[:, 2 * size :]
    torch.add(inputs_BG[:, : 2 * size], product_BG[:, : 2 * size], out=rz)
    rz.sigmoid_()
    r, z = rz.chunk(2, dim=1)
    torch.add(product_BG[:, 2 * size :], candidate_bias_H, out=recurrent_candidate_BH)
    torch.addcmul(inputs_BG[:, 2 * size :], r, recurrent_candidate_BH, out=n)
    n.tanh_()
    torch.lerp(n if dropout_mask_BH is None else n * dropout_mask_BH, hidden_BH, z, out=next_hidden_BH)


def gru_backward(
    gates_BG: Tensor,
    recurrent_candidate_BH: Tensor,
    hidden_BH: Tensor,
    dropout_mask_BH: Tensor | None,
    d_hidden_BH: Tensor,
    d_gates_BG: Tensor,
    d_recurrent_BG: Tensor,
) -> None:
    """Compute the gradients of the gates' inputs and of the recurrent product times its gain, which differ only in n.

    d_hidden comes in as the gradient of the next hidden state, and becomes the part of the gradient of the hidden state
    that does not go through the products.
    """
    r, z, n = gates_BG.chunk(3, dim=1)
    mask_or_ones_BH = torch.ones_like(n) if dropout_mask_BH is None else dropout_mask_BH
    d_n = d_hidden_BH * (1 - z) * mask_or_ones_BH * (1 - n.square())
    d_r = d_n * recurrent_candidate_BH * r * (1 - r)
    d_z = d_hidden_BH * (hidden_BH - n * mask_or_ones_BH) * z * (1 - z)
    torch.cat([d_r, d_z, d_n], dim=1, out=d_gates_BG)
    torch.cat([d_r, d_z, d_n * r], dim=1, out=d_recurrent_BG)
    d_hidden_BH *= z


def unroll_gru(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk of a GRU with the reset gate after the product, with all rows at the same step."""
    assert isinstance(cell, GRUCell)
    assert isinstance(weights, GRUWeights)
    norms = [cell.input_norm, cell.candidate_input_norm], [cell.recurrent_norm, cell.candidate_norm]
    input_weights = weights.input_GD, weights.bias_G
    chunk, inputs_TBG = start_chunk(cell, x_BTD, state, input_weights, *norms, weights.generator)
    parameters = weights.recurrent_GH, weights.candidate_bias_H, chunk.gain_G
    return chunk.finish(cast("Tensor", _GRU.apply(chunk, inputs_TBG, state[0], *parameters)))


class _GRU(torch.autograd.Function):
    """Gates' inputs, first state, recurrent matrix, candidate's bias, gains -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        chunk: Chunk,
        inputs_TBG: Tensor,
        hidden_BH: Tensor,
        weight_GH: Tensor,
        candidate_bias_H: Tensor,
        gain_G: Tensor | None,
    ) -> Tensor:
        num_steps = len(inputs_TBG)
        product = RecurrentProduct(chunk, weight_GH, gain_G, inputs_TBG[0])
        gates_TBG = torch.empty_like(inputs_TBG)
        hiddens = inputs_TBG.new_empty(num_steps + 1, *hidden_BH.shape)
        candidates_TBH = torch.empty_like(hiddens[1:])
        hiddens[0] = hidden_BH
        for step in range(num_steps):
            before_BH, after_BH = hiddens[step], hiddens[step + 1]
            inputs = inputs_TBG[step], product.forward(step, before_BH), gain_G, candidate_bias_H, before_BH
            outputs = gates_TBG[step], candidates_TBH[step], after_BH
            chunk.kernels.run(gru, *inputs, chunk.noise.dropout_mask(step), *outputs)
            chunk.noise.apply_zoneout(step, 0, before_BH, after_BH)
        save_objects(ctx, chunk, product, gates_TBG, hiddens, candidates_TBH)
        return hiddens[1:]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        (d_output_TBH,) = gradients
        chunk, product, gates_TBG, hiddens, candidates_TBH = saved_objects(ctx)
        size = hiddens.shape[2]
        d_gates_TBG, d_recurrent_TBG = torch.empty_like(gates_TBG), torch.empty_like(gates_TBG)
        d_product_TBG = product.gradient_buffer(d_recurrent_TBG)
        d_hidden_BH = torch.zeros_like(hiddens[0])
        d_hidden_from_product_BH = torch.empty_like(d_hidden_BH)
        for step in reversed(range(len(gates_TBG))):
            d_hidden_BH += d_output_TBH[step]
            d_before_BH = chunk.noise.apply_zoneout_backward(step, 0, d_hidden_BH)
            saved = gates_TBG[step], candidates_TBH[step], hiddens[step], chunk.noise.dropout_mask(step)
            chunk.kernels.run(gru_backward, *saved, d_hidden_BH, d_gates_TBG[step], d_recurrent_TBG[step])
            product.backward(step, d_recurrent_TBG[step], d_product_TBG[step], d_hidden_from_product_BH)
            d_hidden_BH += d_hidden_from_product_BH
            if d_before_BH is not None:
                d_hidden_BH += d_before_BH
        d_weight_GH, d_gain_G = product.parameter_gradients(d_recurrent_TBG, d_product_TBG, hiddens[:-1])
        d_candidate_bias_H = d_recurrent_TBG[:, :, 2 * size :].sum((0, 1))
        return None, d_gates_TBG, d_hidden_BH, d_weight_GH, d_candidate_bias_H, d_gain_G
