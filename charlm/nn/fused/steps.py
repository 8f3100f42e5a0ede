"""What the fast unrolls share: which passes run, and normalisation of all steps at once or of one with its gradient.

    inputs ──one GEMM──> gates_TBG ──norm of all steps──┐
    hidden ──GEMM──> recurrent ──norm of one step──> pass ──> hidden         backward: the other way;
                                                                             gradients of weights are one GEMM each

T time, B batch, G gates, L steps with statistics of their own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from charlm.nn.fused.compiled import CompiledKernels, load_compiled_library
from charlm.nn.fused.eager import EagerKernels
from charlm.nn.fused.triton_backend import TritonKernels, load_triton_kernels
from charlm.nn.norm import EPS, BatchNorm, LayerNorm, NoNorm

Kernels = CompiledKernels | EagerKernels


def kernels_for(tensor: Tensor) -> Kernels:
    """For fp32 machine code on a CPU and kernels on a GPU, where they could be had; torch's operators else."""
    if tensor.dtype != torch.float32:
        return EagerKernels()
    if tensor.device.type == "cpu" and (library := load_compiled_library()) is not None:
        return CompiledKernels(library)
    kernels = load_triton_kernels(tensor.device)
    return EagerKernels() if kernels is None else TritonKernels(kernels)


def project_and_normalise(
    x_BTD: Tensor, weight_GD: Tensor, bias_G: Tensor, norms: Sequence[nn.Module], start: int
) -> Tensor:
    """norm(U x_t) + b of all steps, T, B, G in memory, the first of which is number `start` since the reset.

    Several norms share the columns of G in the ratio of their sizes. The bias costs no pass of its own.
    """
    x_TBD = x_BTD.transpose(0, 1)
    if isinstance(norms[0], NoNorm):
        return nn.functional.linear(x_TBD, weight_GD, bias_G)
    product_TBG = nn.functional.linear(x_TBD, weight_GD)
    sizes = [shared_gain(norm).shape[-1] for norm in norms]
    parts = zip(norms, product_TBG.split(sizes, dim=2), bias_G.split(sizes), strict=True)
    return torch.cat([_normalise_steps(norm, x_TBG, bias, start) for norm, x_TBG, bias in parts], dim=2)


def _normalise_steps(norm: nn.Module, x_TBG: Tensor, bias_G: Tensor, start: int) -> Tensor:
    if isinstance(norm, BatchNorm):
        return norm.forward_steps(x_TBG, start, bias_G)
    assert isinstance(norm, LayerNorm)
    return nn.functional.layer_norm(x_TBG.to(bias_G.dtype), bias_G.shape, norm.gain_G, bias_G, EPS)


def shared_gain(norm: nn.Module) -> Tensor:
    """Of a norm whose steps share it."""
    assert isinstance(norm, LayerNorm | BatchNorm)
    return norm.gain_LG[0] if isinstance(norm, BatchNorm) else norm.gain_G


class StepNorms:
    """One or more norms side by side, over column ranges of a product, step by step; the gains are the passes'.

    Keeps what the gradient needs: the normalised products x_hat_TBG and what they were divided by.
    """

    def __init__(self, kernels: Kernels, norms: Sequence[nn.Module], sizes: list[int], like_TBG: Tensor) -> None:
        self._kernels = kernels
        self._norms = [norm for norm in norms if isinstance(norm, LayerNorm | BatchNorm)]
        assert len(self._norms) == len(norms)
        self._columns = [slice(sum(sizes[:k]), sum(sizes[: k + 1])) for k in range(len(sizes))]
        self._is_layer_norm = isinstance(norms[0], LayerNorm)
        self._backward = kernels.layer_norm_backward if self._is_layer_norm else kernels.batch_norm_backward
        self.x_hat_TBG = torch.empty_like(like_TBG)
        num_steps, batch_size, _ = like_TBG.shape
        lengths = [batch_size if self._is_layer_norm else size for size in sizes]
        self._rstd = [like_TBG.new_empty(num_steps, length) for length in lengths]
        self._mean = [like_TBG.new_empty(num_steps, length) for length in lengths]
        self._variance = [like_TBG.new_empty(num_steps, length) for length in lengths]

    @property
    def gain_G(self) -> Tensor:
        """Of all norms side by side, to be differentiated."""
        gains = [shared_gain(norm) for norm in self._norms]
        return gains[0] if len(gains) == 1 else torch.cat(gains)

    @property
    def bias_G(self) -> Tensor:
        """Of a single norm that has one."""
        (norm,) = self._norms
        bias = norm.bias_LG if isinstance(norm, BatchNorm) else norm.bias_G
        assert bias is not None
        return bias[0] if isinstance(norm, BatchNorm) else bias

    def forward(self, step: int) -> None:
        """Normalise x_hat_TBG[step], in place."""
        x_BG = self.x_hat_TBG[step]
        for k, columns in enumerate(self._columns):
            if self._is_layer_norm:
                self._kernels.layer_norm(x_BG[:, columns], EPS, self._rstd[k][step])
            else:
                statistics = (self._rstd[k][step], self._mean[k][step], self._variance[k][step])
                self._kernels.batch_norm(x_BG[:, columns], EPS, *statistics)

    def backward(self, step: int, dy_BG: Tensor, gain_G: Tensor, dx_BG: Tensor) -> None:
        """From the gradient of x_hat * gain to that of the product."""
        x_hat_BG = self.x_hat_TBG[step]
        for k, columns in enumerate(self._columns):
            parts = (dy_BG[:, columns], gain_G[columns], x_hat_BG[:, columns], self._rstd[k][step], dx_BG[:, columns])
            self._backward(*parts)

    def gain_gradient(self, dy_TBG: Tensor) -> Tensor:
        """Of the gains, from that of x_hat * gain at all steps."""
        d_gain_G = dy_TBG.new_empty(dy_TBG.shape[2])
        self._kernels.gain_gradient(dy_TBG.flatten(0, 1), self.x_hat_TBG.flatten(0, 1), d_gain_G)
        return d_gain_G

    def update_running_stats(self, start: int) -> None:
        """Move the running averages of batch norms."""
        for norm, mean_TG, variance_TG in zip(self._norms, self._mean, self._variance, strict=True):
            if isinstance(norm, BatchNorm):
                norm.update_running_stats_of_steps(start, mean_TG, variance_TG)


def build_step_norms(
    kernels: Kernels, norms: Sequence[nn.Module], sizes: list[int], like_TBG: Tensor
) -> StepNorms | None:
    """None where nothing is normalised."""
    return None if isinstance(norms[0], NoNorm) else StepNorms(kernels, norms, sizes, like_TBG)


class RecurrentMatmul:
    """The product of the state with the recurrent matrix, forward and backward, in bf16 where autocast asks for it."""

    def __init__(self, weight_GH: Tensor) -> None:
        uses_autocast = weight_GH.dtype == torch.float32 and torch.is_autocast_enabled(weight_GH.device.type)
        self._dtype = torch.get_autocast_dtype(weight_GH.device.type) if uses_autocast else weight_GH.dtype
        self._weight_GH = weight_GH.to(self._dtype)
        self._weight_HG = self._weight_GH.t()

    def forward(self, hidden_BH: Tensor, out_BG: Tensor) -> None:
        self._product(hidden_BH, self._weight_HG, out_BG)

    def backward(self, d_product_BG: Tensor, out_BH: Tensor) -> None:
        self._product(d_product_BG, self._weight_GH, out_BH)

    def weight_gradient(self, d_product_TBG: Tensor, hidden_TBH: Tensor) -> Tensor:
        """The sum over all steps, as one product."""
        left = d_product_TBG.flatten(0, 1).to(self._dtype).t()
        return (left @ hidden_TBH.flatten(0, 1).to(self._dtype)).to(d_product_TBG.dtype)

    def _product(self, left: Tensor, right: Tensor, out: Tensor) -> None:
        if left.dtype == self._dtype:
            torch.mm(left, right, out=out)
        else:
            out.copy_(torch.mm(left.to(self._dtype), right))
