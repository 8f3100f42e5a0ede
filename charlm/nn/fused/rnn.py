"""The fused unroll of the simple cell: kernels step by step, and large products for everything else.

B batch, T time, D inputs, H hidden.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.rnn import RNNCell, RNNWeights
from charlm.nn.fused.saving import save_objects, saved_objects
from charlm.nn.fused.steps import Chunk, RecurrentProduct, start_chunk
from charlm.nn.state import State


def rnn(relu: bool, inputs_BH: Tensor, recurrent_BH: Tensor, gain_H: Tensor | None, hidden_BH: Tensor) -> None:
    """Compute hidden = f(inputs + recurrent gain), where f is relu or tanh. A gain of None is 1."""
    torch.add(inputs_BH, recurrent_BH if gain_H is None else recurrent_BH * gain_H, out=hidden_BH)
    _ = hidden_BH.relu_() if relu else hidden_BH.tanh_()


def rnn_backward(relu: bool, d_hidden_BH: Tensor, hidden_BH: Tensor, d_gates_BH: Tensor) -> None:
    """Compute the gradient of inputs + recurrent gain."""
    slope_BH = (hidden_BH > 0).to(hidden_BH.dtype) if relu else 1 - hidden_BH.square()
    torch.mul(d_hidden_BH, slope_BH, out=d_gates_BH)


def unroll_rnn(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk of a simple cell without recurrent dropout, with all rows at the same step."""
    assert isinstance(cell, RNNCell)
    assert isinstance(weights, RNNWeights)
    norms = [cell.input_norm], [cell.recurrent_norm]
    input_weights = weights.input_HD, weights.bias_H
    chunk, inputs_TBH = start_chunk(cell, x_BTD, state, input_weights, *norms, weights.generator)
    output_TBH = _RNN.apply(chunk, cell.is_relu, inputs_TBH, state[0], weights.recurrent_HH, chunk.gain_G)
    return chunk.finish(cast("Tensor", output_TBH))


class _RNN(torch.autograd.Function):
    """Inputs, first state, recurrent matrix, gains -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        chunk: Chunk,
        relu: bool,
        inputs_TBH: Tensor,
        hidden_BH: Tensor,
        weight_HH: Tensor,
        gain_H: Tensor | None,
    ) -> Tensor:
        num_steps, noise = len(inputs_TBH), chunk.noise
        product = RecurrentProduct(chunk, weight_HH, gain_H, inputs_TBH[0])
        hiddens = inputs_TBH.new_empty(num_steps + 1, *hidden_BH.shape)
        hiddens[0] = hidden_BH
        activations_TBH = torch.empty_like(inputs_TBH) if noise.zoneout_weights else hiddens[1:]  # before zoneout
        for step in range(num_steps):
            product_BH = product.forward(step, hiddens[step])
            chunk.kernels.run(rnn, relu, inputs_TBH[step], product_BH, gain_H, activations_TBH[step])
            if noise.zoneout_weights:
                hiddens[step + 1] = activations_TBH[step]
                noise.apply_zoneout(step, 0, hiddens[step], hiddens[step + 1])
        save_objects(ctx, chunk, relu, product, hiddens, activations_TBH)
        return hiddens[1:]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        (d_output_TBH,) = gradients
        chunk, relu, product, hiddens, activations_TBH = saved_objects(ctx)
        d_gates_TBH = torch.empty_like(activations_TBH)
        d_product_TBH = product.gradient_buffer(d_gates_TBH)
        d_hidden_BH = torch.zeros_like(hiddens[0])
        for step in reversed(range(len(activations_TBH))):
            d_hidden_BH += d_output_TBH[step]
            d_before_BH = chunk.noise.apply_zoneout_backward(step, 0, d_hidden_BH)
            chunk.kernels.run(rnn_backward, relu, d_hidden_BH, activations_TBH[step], d_gates_TBH[step])
            product.backward(step, d_gates_TBH[step], d_product_TBH[step], d_hidden_BH)
            if d_before_BH is not None:
                d_hidden_BH += d_before_BH
        d_parameters = product.parameter_gradients(d_gates_TBH, d_product_TBH, hiddens[:-1])
        return None, None, d_gates_TBH, d_hidden_BH, *d_parameters
