"""The parts that all fused unrolls share: the start and the end of a chunk, and the recurrent product of a step.

    x_BTD ──one GEMM──> inputs_TBG ──norm of all steps──┐
    hidden ──GEMM──> product ──norm of one step──> the cell's kernels ──> hidden

Backward goes the other way; the gradient of each weight matrix is one GEMM over all steps.

T time, B batch, D inputs, G gates, H hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from charlm.nn.cells.base import Cell
from charlm.nn.fused.compiled import CompiledKernels, load_compiled_library
from charlm.nn.fused.kernels import Kernels
from charlm.nn.fused.noise import NoiseMasks, draw_noise_masks
from charlm.nn.fused.saving import HoldsTensors
from charlm.nn.fused.step_norms import StepNorms, build_step_norms, project_and_normalise
from charlm.nn.fused.triton_backend import TritonKernels, load_triton_kernels
from charlm.nn.norm import increment_step_counts
from charlm.nn.state import State


def kernels_for(tensor: Tensor) -> Kernels:
    """Return the kernels for a tensor: for fp32, in C on a CPU or Triton on a GPU if available; else in torch."""
    if tensor.dtype != torch.float32:
        return Kernels()
    if tensor.device.type == "cpu" and (library := load_compiled_library()) is not None:
        return CompiledKernels(library)
    module = load_triton_kernels(tensor.device)
    return Kernels() if module is None else TritonKernels(module)


@dataclass(frozen=True)
class Chunk(HoldsTensors):
    """A chunk in a fused unroll. Its first step is step `start` since the reset of every row."""

    kernels: Kernels
    norms: StepNorms | None
    """The norms of the recurrent product."""
    noise: NoiseMasks
    start: int
    step_counts: list[Tensor]

    @property
    def gain_G(self) -> Tensor | None:
        return None if self.norms is None else self.norms.gain_G

    def finish(self, output_TBH: Tensor, *memory: Tensor) -> tuple[Tensor, State]:
        """Return the outputs of all steps, and the last state: the last output, `memory` and the step counts."""
        if self.norms is not None:
            self.norms.update_running_stats(self.start)
        step_counts = increment_step_counts(self.step_counts, len(output_TBH))
        return output_TBH.transpose(0, 1), (output_TBH[-1].clone(), *memory, *step_counts)


def start_chunk(
    cell: Cell,
    x_BTD: Tensor,
    state: State,
    input_weights: tuple[Tensor, Tensor],
    input_norms: Sequence[nn.Module],
    recurrent_norms: Sequence[nn.Module],
    generator: torch.Generator | None,
) -> tuple[Chunk, Tensor]:
    """Return the chunk, and norm(U x_t) + b of all its steps, inputs_TBG.

    Args:
        input_weights: U and b.
    """
    step_counts = [tensor for tensor in state if not tensor.is_floating_point()]
    start = int(step_counts[0][0]) if step_counts else 0
    inputs_TBG = project_and_normalise(x_BTD, *input_weights, input_norms, start).to(state[0].dtype).contiguous()
    kernels = kernels_for(inputs_TBG)
    norms = build_step_norms(kernels, recurrent_norms, inputs_TBG)
    noise = draw_noise_masks(cell, state, len(inputs_TBG), generator)
    return Chunk(kernels, norms, noise, start, step_counts), inputs_TBG


class RecurrentProduct(HoldsTensors):
    """norm(W h) without the gain, step by step, forward and backward. Under autocast, the products are in bf16."""

    def __init__(self, chunk: Chunk, weight_GH: Tensor, gain_G: Tensor | None, like_BG: Tensor) -> None:
        uses_autocast = weight_GH.dtype == torch.float32 and torch.is_autocast_enabled(weight_GH.device.type)
        self._dtype = torch.get_autocast_dtype(weight_GH.device.type) if uses_autocast else weight_GH.dtype
        self._weight_GH = weight_GH.to(self._dtype)
        self._weight_HG = self._weight_GH.t()
        self._norms = chunk.norms
        self._gain_G = gain_G
        self._product_BG = torch.empty_like(like_BG)

    def forward(self, step: int, hidden_BH: Tensor) -> Tensor:
        """Return the product, normalised but for the gain. It is valid until the next step."""
        if self._norms is None:
            self._multiply(hidden_BH, self._weight_HG, self._product_BG)
            return self._product_BG
        product_BG = self._norms.x_hat_TBG[step]
        self._multiply(hidden_BH, self._weight_HG, product_BG)
        self._norms.forward(step)
        return product_BG

    def gradient_buffer(self, d_normalised_TBG: Tensor) -> Tensor:
        """Return a tensor for the gradients of the products. Without norms, they are those of norm(W h)."""
        return d_normalised_TBG if self._norms is None else torch.empty_like(d_normalised_TBG)

    def backward(self, step: int, d_normalised_BG: Tensor, d_product_BG: Tensor, d_hidden_BH: Tensor) -> None:
        """Compute the gradients of the product and of h from that of norm(W h)."""
        if self._norms is not None and self._gain_G is not None:
            self._norms.backward(step, d_normalised_BG, self._gain_G, d_product_BG)
        self._multiply(d_product_BG, self._weight_GH, d_hidden_BH)

    def parameter_gradients(
        self, d_normalised_TBG: Tensor, d_product_TBG: Tensor, hidden_TBH: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradients of W and of the gain, summed over all steps."""
        left = d_product_TBG.flatten(0, 1).to(self._dtype).t()
        d_weight_GH = (left @ hidden_TBH.flatten(0, 1).to(self._dtype)).to(d_product_TBG.dtype)
        return d_weight_GH, None if self._norms is None else self._norms.gain_gradient(d_normalised_TBG)

    def _multiply(self, left: Tensor, right: Tensor, out: Tensor) -> None:
        if left.dtype == self._dtype:
            torch.mm(left, right, out=out)
        else:
            out.copy_(torch.mm(left.to(self._dtype), right))
