"""The GRU over a whole chunk as one call of C forward and one backward: `gru_forward.c`, `gru_backward.c`, and with
batch normalisation in training `gru_batch_forward.c`, `gru_batch_backward.c`.

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
from charlm.nn.norm import BatchNorm, LayerNorm, increment_step_counts
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
    return _run(cell, x_BTD, state, weights, vectors, {}, {})


def unroll_batch_gru_in_c(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk with batch normalisation, with all rows at the same step: one of training, or one of evaluation
    without gradients.

    Raises:
        MemoryError: there is no memory for the packed weights.
    """
    assert isinstance(cell, GRUCell)
    assert isinstance(weights, GRUWeights)
    if cell.training:
        return _train_batch(cell, x_BTD, state, weights)
    pairs = ([scale_of_steps(norm, state[1], x_BTD.shape[1]) for norm in pair] for pair in _norms(cell))
    (x_scales, x_shifts), (scales, (shift_T2H, candidate_shift_TH)) = (zip(*pair, strict=True) for pair in pairs)
    candidate_bias_TH = None
    if weights.candidate_bias_H is not None:  # r multiplies the shift of the candidate's product too
        candidate_bias_TH = weights.candidate_bias_H + candidate_shift_TH
        candidate_shift_TH = torch.zeros_like(candidate_shift_TH)
    shift_TG = torch.cat(x_shifts, 1) + torch.cat([shift_T2H, candidate_shift_TH], 1)
    vectors = [weights.bias_G + shift_TG, candidate_bias_TH, torch.cat(x_scales, 1), torch.cat(scales, 1)]
    return _run(cell, x_BTD, state, weights, vectors, {"scales": True}, {})


def _train_batch(cell: GRUCell, x_BTD: Tensor, state: State, weights: GRUWeights) -> tuple[Tensor, State]:
    pairs = [[norm for norm in pair if isinstance(norm, BatchNorm)] for pair in _norms(cell)]
    gains = (torch.cat([norm.gain_LG[0] for norm in pair]) for pair in pairs)
    norms = [norm for pair in pairs for norm in pair]
    sizes = [norm.mean_LG.shape[1] for norm in norms]
    means_TS, variances_TS = torch.empty(2, x_BTD.shape[1], sum(sizes))
    vectors = [weights.bias_G, weights.candidate_bias_H, *gains]
    found = _run(cell, x_BTD, state, weights, vectors, {}, {"means_TS": means_TS, "variances_TS": variances_TS})
    for norm, *statistics in zip(norms, means_TS.split(sizes, 1), variances_TS.split(sizes, 1), strict=True):
        norm.update_running_stats_of_steps(int(state[1][0]), *statistics)
    return found


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
    buffers: dict[str, Tensor],
) -> tuple[Tensor, State]:
    """Run a chunk with these biases and gains, settings and buffers."""
    hidden_BH, *step_counts = state
    numbers, masks = chunk_settings(cell, state, x_BTD.shape[1], weights.generator, ("zoneout_hidden",))
    settings = numbers | settings | {"resets_before": cell.reset == "before"}
    matrices = x_BTD.transpose(0, 1).float(), weights.input_GD, weights.recurrent_GH
    output_TBH = cast("Tensor", _GRU.apply(settings, masks | buffers, hidden_BH, *matrices, *vectors))
    counts = increment_step_counts(step_counts, x_BTD.shape[1])
    return output_TBH.transpose(0, 1), (output_TBH[-1].clone(), *counts)


def _function(tensors: dict[str, Tensor], direction: str) -> str:
    return f"gru_{'batch' if 'means_TS' in tensors else 'unroll'}_{direction}"


class _GRU(torch.autograd.Function):
    """First state, inputs, parameters, vectors -> outputs of all steps."""

    @staticmethod
    def forward(
        ctx: Any,
        settings: dict[str, Any],
        buffers: dict[str, Tensor],
        hidden_BH: Tensor,
        *parameters: Tensor | None,
    ) -> Tensor:
        named = zip((*PARAMETERS, *_VECTORS), parameters, strict=True)
        tensors = buffers | {name: tensor.contiguous() for name, tensor in named if tensor is not None}
        num_steps, batch_size, _ = tensors["x_TBD"].shape
        gates_size, hidden_size = tensors["recurrent_GH"].shape
        num_kept = num_steps if settings["keeps_steps"] or "means_TS" in buffers else 1

        def new(steps: int, size: int) -> Tensor:
            return hidden_BH.new_empty(steps, batch_size, size)

        tensors["input_TBG"], tensors["gates_TBG"] = new(num_steps, gates_size), new(num_kept, gates_size)
        tensors["hiddens_TBH"], tensors["reset_TBH"] = new(num_steps + 1, hidden_size), new(num_kept, hidden_size)
        tensors["hiddens_TBH"][0] = hidden_BH
        tensors["statistics_TBS"] = new(num_kept, _NUM_STATISTICS)
        if "recurrent_gain_G" in tensors and "scales" not in settings:
            tensors["x_hat_TBG"] = new(num_kept, gates_size)
        run_in_c(_function(tensors, "forward"), settings, tensors)
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
        run_in_c(_function(tensors, "backward"), settings | strides, tensors | found)
        d_bias_G, *d_gains, d_candidate_bias_H = found["d_vectors"].split(sizes)
        matrices = (found.get(f"d_{name}") for name in PARAMETERS[:3])
        vectors = zip(_VECTORS, (d_candidate_bias_H, *d_gains), strict=True)
        d_vectors = (gradient if name in tensors else None for name, gradient in vectors)
        return None, None, found["d_hidden_BH"], *matrices, d_bias_G, *d_vectors
