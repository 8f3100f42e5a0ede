"""The fused unroll of the minGRU: one large product, then one kernel for all time steps.

T time, B batch, D inputs, H hidden, G = 2 H gates in the order z, n, S = B sequences, N = T S tokens in order of time.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.mingru import MinGRUCell, MinGRUWeights
from charlm.nn.fused.kernels import Kernels
from charlm.nn.fused.scan import scan, scan_backward
from charlm.nn.fused.steps import start_chunk
from charlm.nn.state import State


def mingru(
    num_steps: int,
    is_identity: bool,
    gates_NG: Tensor,
    start_SH: Tensor,
    dropout_mask_NH: Tensor | None,
    old_weight_NH: Tensor | None,
    outputs_NH: Tensor,
) -> None:
    """Compute h = (1 - u) h + u n at all steps, with u = sigmoid(z) times the share that zoneout leaves.

    A dropout mask of None keeps everything. The weight of the old value in zoneout is 0 if it is None.
    """
    z_TSH, n_TSH = _activate(num_steps, is_identity, gates_NG)
    n_TSH = n_TSH if dropout_mask_NH is None else n_TSH * dropout_mask_NH.view_as(n_TSH)
    u_TSH = z_TSH if old_weight_NH is None else z_TSH * (1 - old_weight_NH.view_as(n_TSH))
    outputs_NH.view_as(n_TSH).copy_(scan(1 - u_TSH, u_TSH * n_TSH, start_SH))


def mingru_backward(
    num_steps: int,
    is_identity: bool,
    gates_NG: Tensor,
    start_SH: Tensor,
    outputs_NH: Tensor,
    dropout_mask_NH: Tensor | None,
    old_weight_NH: Tensor | None,
    d_outputs_NH: Tensor,
    d_gates_NG: Tensor,
    d_start_SH: Tensor,
) -> None:
    """Compute the gradients of the gates and of the first state."""
    z_TSH, n_TSH = _activate(num_steps, is_identity, gates_NG)
    ones_TSH = torch.ones_like(z_TSH)
    mask_TSH = ones_TSH if dropout_mask_NH is None else dropout_mask_NH.view_as(z_TSH)
    u_TSH = z_TSH if old_weight_NH is None else z_TSH * (1 - old_weight_NH.view_as(z_TSH))
    d_hidden_TSH, d_start = scan_backward(1 - u_TSH, d_outputs_NH.view_as(z_TSH))
    d_start_SH.copy_(d_start)
    before_TSH = torch.cat([start_SH[None], outputs_NH.view_as(z_TSH)[:-1]])
    d_z_TSH, d_n_TSH = d_gates_NG.view(*z_TSH.shape[:2], -1).chunk(2, dim=2)
    d_z_TSH.copy_(d_hidden_TSH * (n_TSH * mask_TSH - before_TSH) * u_TSH * (1 - z_TSH))
    slope_TSH = ones_TSH if is_identity else 1 - n_TSH.square()
    d_n_TSH.copy_(d_hidden_TSH * u_TSH * mask_TSH * slope_TSH)


def _activate(num_steps: int, is_identity: bool, gates_NG: Tensor) -> tuple[Tensor, Tensor]:
    z_TSH, n_TSH = gates_NG.view(num_steps, -1, gates_NG.shape[1]).chunk(2, dim=2)
    return z_TSH.sigmoid(), n_TSH if is_identity else n_TSH.tanh()


def unroll_mingru(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk of a minGRU, with all rows at the same step."""
    assert isinstance(cell, MinGRUCell)
    assert isinstance(weights, MinGRUWeights)
    input_weights = weights.input_GD, weights.bias_G
    chunk, gates_TBG = start_chunk(cell, x_BTD, state, input_weights, [cell.input_norm], [], weights.generator)
    old_weight = chunk.noise.zoneout_weights.get(0)
    if isinstance(old_weight, float):
        old_weight = gates_TBG.new_full((*gates_TBG.shape[:2], cell.hidden_size), old_weight)
    noise = chunk.noise.dropout_masks_TBH, old_weight
    output_TBH = _MinGRU.apply(chunk.kernels, cell.is_identity, gates_TBG, state[0], *noise)
    return chunk.finish(cast("Tensor", output_TBH))


class _MinGRU(torch.autograd.Function):
    """Gates and first state -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        is_identity: bool,
        gates_TBG: Tensor,
        start_BH: Tensor,
        dropout_mask_TBH: Tensor | None,
        old_weight_TBH: Tensor | None,
    ) -> Tensor:
        num_steps, start_BH = len(gates_TBG), start_BH.contiguous()
        output_TBH = gates_TBG.new_empty(num_steps, *start_BH.shape)
        noise = dropout_mask_TBH, old_weight_TBH
        gates_NG, dropout_mask_NH, old_weight_NH, output_NH = _flatten(gates_TBG, *noise, output_TBH)
        kernels.run(mingru, num_steps, is_identity, gates_NG, start_BH, dropout_mask_NH, old_weight_NH, output_NH)
        ctx.save_for_backward(gates_TBG, start_BH, output_TBH, *noise)
        ctx.kernels, ctx.is_identity = kernels, is_identity
        return output_TBH

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        gates_TBG, start_BH, *saved_TBH = ctx.saved_tensors
        d_gates_TBG, d_start_BH = torch.empty_like(gates_TBG), torch.empty_like(start_BH)
        gates_NG, *saved, d_output_NH, d_gates_NG = _flatten(gates_TBG, *saved_TBH, *gradients, d_gates_TBG)
        made = d_output_NH, d_gates_NG, d_start_BH
        ctx.kernels.run(mingru_backward, len(gates_TBG), ctx.is_identity, gates_NG, start_BH, *saved, *made)
        return None, None, d_gates_TBG, d_start_BH, None, None


def _flatten(*tensors: Any) -> list[Any]:
    """Return matrices whose rows are the tokens in order of time, for tensors whose axes begin with time and batch."""
    return [None if tensor is None else tensor.contiguous().flatten(0, 1) for tensor in tensors]
