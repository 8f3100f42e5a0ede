"""The kernels of layer and batch normalisation, in torch.

B rows, G columns, N rows of all steps.
"""

import torch
from torch import Tensor


def layer_norm(x_BG: Tensor, eps: float, rstd_B: Tensor) -> None:
    """Replace x by (x - mean) * rstd, over each row."""
    x_BG -= x_BG.mean(1, keepdim=True)
    torch.rsqrt(x_BG.square().mean(1) + eps, out=rstd_B)
    x_BG *= rstd_B[:, None]


def batch_norm(x_BG: Tensor, eps: float, rstd_G: Tensor, mean_G: Tensor, variance_G: Tensor) -> None:
    """Replace x by (x - mean) * rstd, over each column."""
    torch.mean(x_BG, 0, out=mean_G)
    x_BG -= mean_G
    torch.mean(x_BG.square(), 0, out=variance_G)
    torch.rsqrt(variance_G + eps, out=rstd_G)
    x_BG *= rstd_G


def layer_norm_backward(dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd: Tensor, dx_BG: Tensor) -> None:
    """Compute dx = rstd * (g - mean(g) - x_hat * mean(g * x_hat)) with g = dy * gain, over each row."""
    _norm_backward(1, dy_BG, gain_G, x_hat_BG, rstd, dx_BG)


def batch_norm_backward(dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd: Tensor, dx_BG: Tensor) -> None:
    """Compute the dx of `layer_norm_backward` over each column."""
    _norm_backward(0, dy_BG, gain_G, x_hat_BG, rstd, dx_BG)


def _norm_backward(axis: int, dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd: Tensor, dx_BG: Tensor) -> None:
    g_BG = dy_BG * gain_G
    inner_BG = g_BG - g_BG.mean(axis, keepdim=True) - x_hat_BG * (g_BG * x_hat_BG).mean(axis, keepdim=True)
    torch.mul(inner_BG, rstd.unsqueeze(axis), out=dx_BG)


def gain_gradient(dy_NG: Tensor, x_hat_NG: Tensor, d_gain_G: Tensor) -> None:
    """Sum dy * x_hat over the rows."""
    torch.sum(dy_NG * x_hat_NG, 0, out=d_gain_G)


STRIDED_KERNELS = frozenset({layer_norm, layer_norm_backward, batch_norm, batch_norm_backward})
"""Kernels whose matrices may be columns of wider matrices: in C and Triton, the stride of its rows follows each matrix.
The matrices of all other kernels are contiguous."""
