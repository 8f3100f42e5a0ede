"""Normalisation in the fused unrolls: of all steps at once, or of one step, with its gradient.

T time, B batch, G gates, L steps with statistics of their own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from charlm.nn.fused.kernels import Kernels
from charlm.nn.fused.norm_kernels import (
    batch_norm,
    batch_norm_backward,
    gain_gradient,
    layer_norm,
    layer_norm_backward,
)
from charlm.nn.fused.saving import HoldsTensors
from charlm.nn.norm import EPS, BatchNorm, LayerNorm, NoNorm


def project_and_normalise(
    x_BTD: Tensor, weight_GD: Tensor, bias_G: Tensor, norms: Sequence[nn.Module], start: int
) -> Tensor:
    """Return norm(U x_t) + b of all steps, shape T, B, G. The first step is step `start` since the reset.

    Each norm applies to as many columns of G as its size; the norms follow one another.
    """
    x_TBD = x_BTD.transpose(0, 1)
    if isinstance(norms[0], NoNorm):
        return nn.functional.linear(x_TBD, weight_GD, bias_G)
    product_TBG = nn.functional.linear(x_TBD, weight_GD)
    sizes = [len(_shared_gain(norm)) for norm in norms]
    parts = zip(norms, product_TBG.split(sizes, dim=2), bias_G.split(sizes), strict=True)
    return torch.cat([_normalise_steps(norm, x_TBG, bias, start) for norm, x_TBG, bias in parts], dim=2)


def _normalise_steps(norm: nn.Module, x_TBG: Tensor, bias_G: Tensor, start: int) -> Tensor:
    if isinstance(norm, BatchNorm):
        return norm.forward_steps(x_TBG, start, bias_G)
    assert isinstance(norm, LayerNorm)
    return nn.functional.layer_norm(x_TBG.to(bias_G.dtype), bias_G.shape, norm.gain_G, bias_G, EPS)


def _shared_gain(norm: nn.Module) -> Tensor:
    """Return the gain of a norm in which all steps share one."""
    assert isinstance(norm, LayerNorm | BatchNorm)
    return norm.gain_LG[0] if isinstance(norm, BatchNorm) else norm.gain_G


class StepNorms(HoldsTensors):
    """One or more norms over column ranges of a product, step by step. The cell's kernels apply gain and bias.

    It keeps what the gradient needs: the normalised products x_hat_TBG, and the inverse standard deviations.
    """

    def __init__(self, kernels: Kernels, norms: Sequence[nn.Module], like_TBG: Tensor) -> None:
        self._kernels = kernels
        self._norms = [norm for norm in norms if isinstance(norm, LayerNorm | BatchNorm)]
        assert len(self._norms) == len(norms)
        sizes = [len(_shared_gain(norm)) for norm in norms]
        self._columns = [slice(sum(sizes[:k]), sum(sizes[: k + 1])) for k in range(len(sizes))]
        self._is_layer_norm = isinstance(norms[0], LayerNorm)
        self.x_hat_TBG = torch.empty_like(like_TBG)
        num_steps, batch_size, _ = like_TBG.shape
        lengths = [batch_size if self._is_layer_norm else size for size in sizes]
        self._rstd = [like_TBG.new_empty(num_steps, length) for length in lengths]
        self._mean = [like_TBG.new_empty(num_steps, length) for length in lengths]
        self._variance = [like_TBG.new_empty(num_steps, length) for length in lengths]

    @property
    def gain_G(self) -> Tensor:
        """The gains of all norms side by side, as part of the autograd graph."""
        gains = [_shared_gain(norm) for norm in self._norms]
        return gains[0] if len(gains) == 1 else torch.cat(gains)

    @property
    def bias_G(self) -> Tensor:
        """The bias of a single norm that has one."""
        (norm,) = self._norms
        bias = norm.bias_LG if isinstance(norm, BatchNorm) else norm.bias_G
        assert bias is not None
        return bias[0] if isinstance(norm, BatchNorm) else bias

    def forward(self, step: int) -> None:
        """Normalise x_hat_TBG[step], in place."""
        x_BG = self.x_hat_TBG[step]
        for k, columns in enumerate(self._columns):
            if self._is_layer_norm:
                self._kernels.run(layer_norm, x_BG[:, columns], EPS, self._rstd[k][step])
            else:
                statistics = (self._rstd[k][step], self._mean[k][step], self._variance[k][step])
                self._kernels.run(batch_norm, x_BG[:, columns], EPS, *statistics)

    def backward(self, step: int, dy_BG: Tensor, gain_G: Tensor, dx_BG: Tensor) -> None:
        """Compute the gradient of the product from that of x_hat * gain."""
        x_hat_BG = self.x_hat_TBG[step]
        kernel = layer_norm_backward if self._is_layer_norm else batch_norm_backward
        for k, columns in enumerate(self._columns):
            parts = (dy_BG[:, columns], gain_G[columns], x_hat_BG[:, columns], self._rstd[k][step], dx_BG[:, columns])
            self._kernels.run(kernel, *parts)

    def gain_gradient(self, dy_TBG: Tensor) -> Tensor:
        """Return the gradient of the gains, from that of x_hat * gain at all steps."""
        d_gain_G = dy_TBG.new_empty(dy_TBG.shape[2])
        self._kernels.run(gain_gradient, dy_TBG.flatten(0, 1), self.x_hat_TBG.flatten(0, 1), d_gain_G)
        return d_gain_G

    def update_running_stats(self, start: int) -> None:
        """Move the running averages of batch norms."""
        for norm, mean_TG, variance_TG in zip(self._norms, self._mean, self._variance, strict=True):
            if isinstance(norm, BatchNorm):
                norm.update_running_stats_of_steps(start, mean_TG, variance_TG)


def build_step_norms(kernels: Kernels, norms: Sequence[nn.Module], like_TBG: Tensor) -> StepNorms | None:
    """Return the norms of the steps, or None if nothing is normalised."""
    return None if not norms or isinstance(norms[0], NoNorm) else StepNorms(kernels, norms, like_TBG)
