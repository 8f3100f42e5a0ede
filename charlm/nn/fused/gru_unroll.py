"""The GRU over a whole chunk as one call of C forward and one backward: `gru_forward.c`, `gru_backward.c`.

B batch, T time, D inputs, H hidden, G = 3 H gates in the order r, z, n.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.gru import GRUCell, GRUWeights
from charlm.nn.fused.chunk_in_c import PARAMETERS, chunk_settings, gradient_tensors, run_in_c, scale_of_steps
from charlm.nn.fused.saving import save_objects, saved_objects
from charlm.nn.norm import LayerNorm, increment_step_counts
from charlm.nn.state import State

_VECTORS = ("candidate_bias_H", "input_gain_G", "recurrent_gain_G")
_NUM_STATISTICS = 8


def unroll_gru_in_c(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk that fits.

    Raises:
        MemoryError: there is no memory for the packed weights.
    """
    assert isinstance(cell, GRUCell)
    assert isinstance(weights, GRUWeights)
    gains = (tuple(norm.gain_G for norm in pair if isinstance(norm, LayerNorm)) for pair in _norms(cell))
    vectors = [weights.bias_G, weights.candidate_bias_H, *(torch.cat(parts) if parts else None for parts in gains)]
    return _run(cell, x_BTD, state, weights, vectors, {})


def unroll_batch_gru_in_c(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk of evaluation with batch normalisation, with all rows at the same step, and without gradients.

    Raises:
        MemoryError: there is no memory for the packed weights.
    """
    assert isinstance(cell, GRUCell)
    assert isinstance(weights, GRUWeights)
    pairs = ([scale_of_steps(norm, state[1], x_BTD.shape[1]) for norm in pair] for pair in _norms(cell))
    (x_scales, x_shifts), (scales, (shift_T2H, candidate_shift_TH)) = (zip(*pair, strict=True) for pair in pairs)
    candidate_bias_TH = None
    if weights.candidate_bias_H is not None:  # r multiplies the shift of the candidate's product too
        candidate_bias_TH = weights.candidate_bias_H + candidate_shift_TH
        candidate_shift_TH = torch.zeros_like(candidate_shift_TH)
    shift_TG = torch.cat(x_shifts, 1) + torch.cat([shift_T2H, candidate_shift_TH], 1)
    vectors = [weights.bias_G + shift_TG, candidate_bias_TH, torch.cat(x_scales, 1), torch.cat(scales, 1)]
    return _run(cell, x_BTD, state, weights, vectors, {"scales": True})


def _norms(cell: GRUCell) -> tuple[tuple[nn.Module, nn.Module], ...]:
    """Return the norms of the inputs and of the recurrent products: of r and z, and of n."""
    return (cell.input_norm, cell.candidate_input_norm), (cell.recurrent_norm, cell.candidate_norm)


def _run(
    cell: GRUCell,
    x_BTD: Tensor,
    state: State,
    weights: GRUWeights,
    vectors: Sequence[Tensor | None],
    settings: dict[str, Any],
) -> tuple[Tensor, State]:
    """Run a chunk with these biases and gains, and settings."""
    hidden_BH, *step_counts = state
    numbers, masks = chunk_settings(cell, state, x_BTD.shape[1], weights.generator, ("zoneout_hidden",))
    settings = numbers | settings | {"resets_before": cell.reset == "before"}
    matrices = x_BTD.transpose(0, 1).float(), weights.input_GD, weights.recurrent_GH
    output_TBH = cast("Tensor", _GRU.apply(settings, masks, hidden_BH, *matrices, *vectors))
    counts = increment_step_counts(step_counts, x_BTD.shape[1])
    return output_TBH.transpose(0, 1), (output_TBH[-1].clone(), *counts)


class _GRU(torch.autograd.Function):
    """First state, inputs, parameters, vectors -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        settings: dict[str, Any],
        masks: dict[str, Tensor],
        hidden_BH: Tensor,
        *parameters: Tensor | None,
    ) -> Tensor:
        named = zip((*PARAMETERS, *_VECTORS), parameters, strict=True)
        tensors = masks | {name: tensor.contiguous() for name, tensor in named if tensor is not None}
        num_steps, batch_size, _ = tensors["x_TBD"].shape
        gates_size, hidden_size = tensors["recurrent_GH"].shape
        num_kept = num_steps if settings["keeps_steps"] else 1

        def new(steps: int, size: int) -> Tensor:
            return hidden_BH.new_empty(steps, batch_size, size)

        tensors["input_TBG"], tensors["gates_TBG"] = new(num_steps, gates_size), new(num_kept, gates_size)
        tensors["hiddens_TBH"], tensors["reset_TBH"] = new(num_steps + 1, hidden_size), new(num_kept, hidden_size)
        tensors["hiddens_TBH"][0] = hidden_BH
        tensors["statistics_TBS"] = new(num_kept, _NUM_STATISTICS)
        if "recurrent_gain_G" in tensors and "scales" not in settings:
            tensors["x_hat_TBG"] = new(num_kept, gates_size)
        run_in_c("gru_unroll_forward", settings, tensors)
        save_objects(ctx, settings, tensors)
        return tensors["hiddens_TBH"][1:]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        (d_output_TBH,) = gradients
        settings, tensors = saved_objects(ctx)
        strides, found = gradient_tensors(tensors, d_output_TBH, ctx.needs_input_grad[3:6])
        gates_size, hidden_size = tensors["recurrent_GH"].shape
        found["d_hidden_BH"] = torch.zeros_like(tensors["hiddens_TBH"][0])
        found["d_product_TBG"] = torch.empty_like(tensors["input_TBG"])
        sizes = [gates_size] * 3 + [hidden_size]
        found["d_vectors"] = found["d_hidden_BH"].new_empty(sum(sizes))
        run_in_c("gru_unroll_backward", settings | strides, tensors | found)
        d_bias_G, *d_gains, d_candidate_bias_H = found["d_vectors"].split(sizes)
        matrices = (found.get(f"d_{name}") for name in PARAMETERS[:3])
        vectors = zip(_VECTORS, (d_candidate_bias_H, *d_gains), strict=True)
        d_vectors = (gradient if name in tensors else None for name, gradient in vectors)
        return None, None, found["d_hidden_BH"], *matrices, d_bias_G, *d_vectors
