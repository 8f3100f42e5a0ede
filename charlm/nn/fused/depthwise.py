"""A causal convolution of each column alone, in one pass over the tokens.

T time, S sequences, N = T S tokens in order of time, R columns, K taps, L = T + K - 1 time steps with those carried
before, M = L S tokens.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.nn.fused.kernels import Kernels
from charlm.nn.fused.steps import kernels_for


def depthwise_convolution(
    num_taps: int, step: int, x_MR: Tensor, weight_KR: Tensor, bias_R: Tensor, y_NR: Tensor
) -> None:
    """Compute y[n] = bias + sum_k weight[k] x[n + k step], each column alone."""
    y_NR.copy_(bias_R)
    for tap in range(num_taps):
        y_NR.addcmul_(x_MR[tap * step : tap * step + len(y_NR)], weight_KR[tap])


def depthwise_convolution_backward(
    num_taps: int,
    step: int,
    d_y_NR: Tensor,
    x_MR: Tensor,
    weight_KR: Tensor,
    d_x_MR: Tensor,
    d_weight_KR: Tensor,
    d_bias_R: Tensor,
) -> None:
    """Compute the gradients of everything that `depthwise_convolution` reads."""
    d_x_MR.zero_()
    torch.sum(d_y_NR, 0, out=d_bias_R)
    for tap in range(num_taps):
        rows = slice(tap * step, tap * step + len(d_y_NR))
        d_x_MR[rows].addcmul_(d_y_NR, weight_KR[tap])
        torch.sum(d_y_NR * x_MR[rows], 0, out=d_weight_KR[tap])


def convolve_columns(x_LSR: Tensor, weight_KR: Tensor, bias_R: Tensor) -> Tensor:
    """Return y_t = bias + sum_k weight_k x_{t+k}, T, S, R, for L = T + K - 1 time steps of x."""
    return cast("Tensor", _DepthwiseConvolution.apply(kernels_for(x_LSR), x_LSR.contiguous(), weight_KR, bias_R))


class _DepthwiseConvolution(torch.autograd.Function):
    """Inputs, weight and bias -> sums."""

    @staticmethod
    def forward(ctx: Any, kernels: Kernels, x_LSR: Tensor, weight_KR: Tensor, bias_R: Tensor) -> Tensor:
        num_taps, (length, num_sequences, size) = len(weight_KR), x_LSR.shape
        y_TSR = x_LSR.new_empty(length - num_taps + 1, num_sequences, size)
        x_MR, y_NR = x_LSR.flatten(0, 1), y_TSR.flatten(0, 1)
        kernels.run(depthwise_convolution, num_taps, num_sequences, x_MR, weight_KR, bias_R, y_NR)
        ctx.save_for_backward(x_LSR, weight_KR)
        ctx.kernels = kernels
        return y_TSR

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        x_LSR, weight_KR = ctx.saved_tensors
        d_y_NR = gradients[0].contiguous().flatten(0, 1)
        made = torch.empty_like(x_LSR), torch.empty_like(weight_KR), torch.empty_like(weight_KR[0])
        sizes = len(weight_KR), x_LSR.shape[1]
        into = made[0].flatten(0, 1), made[1], made[2]
        ctx.kernels.run(depthwise_convolution_backward, *sizes, d_y_NR, x_LSR.flatten(0, 1), weight_KR, *into)
        return None, *made
