"""The recurrence of the RG-LRU: one kernel for all time steps of a chunk.

T time, S sequences, N = T S tokens in order of time, R units, J blocks of W units, G = 2 W products of a block.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.fused.kernels import Kernels
from charlm.nn.fused.scan import scan, scan_backward
from charlm.nn.fused.steps import kernels_for

MAX_SLOPE = 1000.0
"""The largest derivative of the square root, which has none at 0 (De et al., 2024)."""


def rglru(
    num_steps: int,
    width: int,
    gates_JNG: Tensor,
    x_NR: Tensor,
    decay_R: Tensor,
    is_fresh_S: Tensor,
    start_SR: Tensor,
    outputs_NR: Tensor,
) -> None:
    """Compute h = a h + sqrt(1 - a^2) sigmoid(i) x at all steps, with log a = -decay sigmoid(r) and the gates r, i.

    The root is 1 at the first step of a sequence that is fresh.
    """
    _, i_TSR, log_a_TSR, root_TSR, _ = _activate(num_steps, width, gates_JNG, decay_R, is_fresh_S)
    update_TSR = root_TSR * i_TSR * x_NR.view_as(i_TSR)
    outputs_NR.view_as(i_TSR).copy_(scan(log_a_TSR.exp(), update_TSR, start_SR))


def rglru_backward(
    num_steps: int,
    width: int,
    max_slope: float,
    gates_JNG: Tensor,
    x_NR: Tensor,
    decay_R: Tensor,
    is_fresh_S: Tensor,
    start_SR: Tensor,
    outputs_NR: Tensor,
    d_outputs_NR: Tensor,
    d_gates_JNG: Tensor,
    d_x_NR: Tensor,
    d_decay_SR: Tensor,
    d_start_SR: Tensor,
) -> None:
    """Compute the gradients of everything that `rglru` reads; that of the decay for each sequence.

    Args:
        max_slope: the largest derivative of the square root.
    """
    r_TSR, i_TSR, log_a_TSR, root_TSR, is_scaled_TSR = _activate(num_steps, width, gates_JNG, decay_R, is_fresh_S)
    x_TSR, a_TSR = x_NR.view_as(r_TSR), log_a_TSR.exp()
    d_TSR, d_start = scan_backward(a_TSR, d_outputs_NR.view_as(r_TSR))
    d_start_SR.copy_(d_start)
    before_TSR = torch.cat([start_SR[None], outputs_NR.view_as(r_TSR)[:-1]])
    slope_TSR = (0.5 / root_TSR).clamp(max=max_slope) * is_scaled_TSR
    d_log_a_TSR = a_TSR * d_TSR * (before_TSR - 2 * a_TSR * slope_TSR * i_TSR * x_TSR)
    d_x_NR.view_as(r_TSR).copy_(d_TSR * root_TSR * i_TSR)
    d_decay_SR.copy_(-(d_log_a_TSR * r_TSR).sum(0))
    d_r_TSR = -decay_R * d_log_a_TSR * r_TSR * (1 - r_TSR)
    d_i_TSR = d_TSR * root_TSR * x_TSR * i_TSR * (1 - i_TSR)
    d_gates_JNG.copy_(torch.cat([_split_blocks(d_r_TSR, width), _split_blocks(d_i_TSR, width)], dim=2))


def _activate(
    num_steps: int, width: int, gates_JNG: Tensor, decay_R: Tensor, is_fresh_S: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return sigmoid(r), sigmoid(i), log a, the root, and where it is the square root instead of 1."""
    r_TSR, i_TSR = (
        part_JNW.sigmoid().transpose(0, 1).reshape(num_steps, -1, len(decay_R))
        for part_JNW in gates_JNG.split(width, 2)
    )
    log_a_TSR = -decay_R * r_TSR
    is_scaled_TSR = torch.ones_like(r_TSR)
    is_scaled_TSR[0] -= is_fresh_S[:, None]
    root_TSR = torch.where(is_scaled_TSR > 0, (-torch.expm1(2 * log_a_TSR)).sqrt(), 1.0)
    return r_TSR, i_TSR, log_a_TSR, root_TSR, is_scaled_TSR


def _split_blocks(x_TSR: Tensor, width: int) -> Tensor:
    return x_TSR.flatten(0, 1).unflatten(1, (-1, width)).transpose(0, 1)


def run_rglru(gates_JNG: Tensor, x_TSR: Tensor, decay_R: Tensor, is_fresh_S: Tensor, start_SR: Tensor) -> Tensor:
    """Return the outputs of all steps, T, S, R; see `rglru`.

    Args:
        gates_JNG: for each block, the products of r and i, W columns each.
        is_fresh_S: whether a sequence starts afresh.
    """
    tensors = gates_JNG.contiguous(), x_TSR.contiguous(), decay_R, is_fresh_S.to(x_TSR.dtype), start_SR.contiguous()
    return cast("Tensor", _RGLRU.apply(kernels_for(x_TSR), *tensors))


class _RGLRU(torch.autograd.Function):
    """Gates, inputs, decay and first state -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        gates_JNG: Tensor,
        x_TSR: Tensor,
        decay_R: Tensor,
        is_fresh_S: Tensor,
        start_SR: Tensor,
    ) -> Tensor:
        output_TSR, sizes = torch.empty_like(x_TSR), (len(x_TSR), gates_JNG.shape[2] // 2)
        read = gates_JNG, x_TSR.flatten(0, 1), decay_R, is_fresh_S, start_SR
        kernels.run(rglru, *sizes, *read, output_TSR.flatten(0, 1))
        ctx.save_for_backward(gates_JNG, x_TSR, decay_R, is_fresh_S, start_SR, output_TSR)
        ctx.kernels, ctx.sizes = kernels, sizes
        return output_TSR

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        gates_JNG, x_TSR, decay_R, is_fresh_S, start_SR, output_TSR = ctx.saved_tensors
        d_gates_JNG, d_x_TSR, d_start_SR = (torch.empty_like(each) for each in (gates_JNG, x_TSR, start_SR))
        d_decay_SR = torch.empty_like(start_SR)
        read = gates_JNG, x_TSR.flatten(0, 1), decay_R, is_fresh_S, start_SR, output_TSR.flatten(0, 1)
        made = d_gates_JNG, d_x_TSR.flatten(0, 1), d_decay_SR, d_start_SR
        ctx.kernels.run(rglru_backward, *ctx.sizes, MAX_SLOPE, *read, gradients[0].contiguous().flatten(0, 1), *made)
        return None, d_gates_JNG, d_x_TSR, d_decay_SR.sum(0), None, d_start_SR
