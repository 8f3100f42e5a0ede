"""Normalisation within a step: in place, over fixed buffers.

    norms of a layer ──StepNorms.bind──> operations; StepNorms.set_step moves batch norms to a step's statistics

B streams, G gates, L steps that a batch norm has statistics of.
"""

from functools import partial

import torch
from torch import Tensor, nn

from charlm.nn.fused.norm_kernels import layer_norm
from charlm.nn.norm import EPS, BatchNorm, LayerNorm
from charlm.sampling.fast.kernels import Operation, StepKernels


class StepNorms:
    """The norms of one layer."""

    def __init__(self, kernels: StepKernels) -> None:
        self._kernels = kernels
        self._batch_norms: list[_BatchNormStep] = []

    def bind(self, norms: list[nn.Module], buffer_BG: Tensor, bias_G: Tensor | None = None) -> list[Operation]:
        """Operations that normalise in place.

        Args:
            norms: each normalises its own columns, side by side.
            bias_G: added after the norms. Without it, the gain of layer norms is left to the cell's kernel.
        """
        operations: list[Operation] = []
        start = 0
        for norm in norms:
            if isinstance(norm, LayerNorm):
                columns = buffer_BG[:, start : start + len(norm.gain_G)]
                operations.append(self._kernels.bind(layer_norm, columns, EPS, buffer_BG.new_empty(len(buffer_BG))))
                start += len(norm.gain_G)
            elif isinstance(norm, BatchNorm):
                columns = buffer_BG[:, start : start + norm.gain_LG.shape[1]]
                bias_part_G = None if bias_G is None else bias_G[start : start + columns.shape[1]]
                step = _BatchNormStep(norm, bias_part_G)
                self._batch_norms.append(step)
                operations.append(partial(torch.addcmul, step.shift_G, columns, step.scale_G, out=columns))
                start += columns.shape[1]
        gain_G = layer_norm_gain(norms)
        if gain_G is not None and bias_G is not None:
            operations.append(partial(torch.addcmul, bias_G, buffer_BG, gain_G, out=buffer_BG))
        return operations

    def set_step(self, step: int) -> None:
        """Use the statistics of this step since the last reset."""
        for norm in self._batch_norms:
            norm.set_step(step)


def layer_norm_gain(norms: list[nn.Module]) -> Tensor | None:
    """The gains of layer norms side by side, (G,), which the kernels multiply by; batch norms apply their own."""
    gains = [norm.gain_G.detach() for norm in norms if isinstance(norm, LayerNorm)]
    return torch.cat(gains) if gains else None


class _BatchNormStep:
    """A batch norm in evaluation: y = x scale + shift, which are different at each step since the reset."""

    def __init__(self, norm: BatchNorm, bias_G: Tensor | None) -> None:
        scale_LG = torch.rsqrt(norm.variance_LG + EPS) * norm.gain_LG.detach()
        shift_LG = -norm.mean_LG * scale_LG
        if norm.bias_LG is not None:
            shift_LG = shift_LG + norm.bias_LG.detach()
        self._scale_LG, self._shift_LG = scale_LG, shift_LG if bias_G is None else shift_LG + bias_G
        num_seen = int((norm.seen_L > 0).sum())
        self._last_step = max(0, min(len(scale_LG), num_seen) - 1)
        self._current_step = -1
        self.scale_G, self.shift_G = torch.empty_like(scale_LG[0]), torch.empty_like(scale_LG[0])

    def set_step(self, step: int) -> None:
        step = min(step, self._last_step)
        if step != self._current_step:
            self.scale_G.copy_(self._scale_LG[step])
            self.shift_G.copy_(self._shift_LG[step])
            self._current_step = step
