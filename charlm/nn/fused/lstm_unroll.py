"""The LSTM over a whole chunk as one call of C forward and one backward: `lstm_forward.c`, `lstm_backward.c`, and with
batch normalisation in training `lstm_batch_forward.c`, `lstm_batch_backward.c`.

B batch, T time, D inputs, H hidden, G gates: 4 H, or 3 H if coupled.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.lstm import LSTMCell, LSTMWeights
from charlm.nn.fused.chunk_in_c import PARAMETERS, chunk_settings, gradient_tensors, run_in_c, scale_of_steps
from charlm.nn.fused.saving import save_objects, saved_objects
from charlm.nn.norm import BatchNorm, LayerNorm, increment_step_counts
from charlm.nn.state import State

_OTHERS = ("rounds_RM", "input_gain_G", "recurrent_gain_G", "memory_gain_H", "memory_bias_H")
_NUM_STATISTICS = 6


def unroll_lstm_in_c(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk that fits.

    Raises:
        MemoryError: there is no memory for the packed weights.
    """
    assert isinstance(cell, LSTMCell)
    assert isinstance(weights, LSTMWeights)
    norms = [norm for norm in _norms(cell) if isinstance(norm, LayerNorm)]
    gains = [*(norm.gain_G for norm in norms), norms[-1].bias_G] if norms else [None] * len(_OTHERS[1:])
    return _run(cell, x_BTD, state, weights, [weights.bias_G, *gains], {}, {})


def unroll_batch_lstm_in_c(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk with batch normalisation, with all rows at the same step: one of training, or one of evaluation
    without gradients.

    Raises:
        MemoryError: there is no memory for the packed weights.
    """
    assert isinstance(cell, LSTMCell)
    assert isinstance(weights, LSTMWeights)
    if not cell.training:
        scales, shifts = zip(*(scale_of_steps(norm, state[2], x_BTD.shape[1]) for norm in _norms(cell)), strict=True)
        vectors = [weights.bias_G + shifts[0] + shifts[1], *scales, shifts[2]]
        return _run(cell, x_BTD, state, weights, vectors, {"scales": True}, {})
    norms = [norm for norm in _norms(cell) if isinstance(norm, BatchNorm)]
    sizes = [norm.mean_LG.shape[1] for norm in norms]
    means_TS, variances_TS = torch.empty(2, x_BTD.shape[1], sum(sizes))
    bias_LH = norms[-1].bias_LG
    assert bias_LH is not None
    vectors = [weights.bias_G, *(norm.gain_LG[0] for norm in norms), bias_LH[0]]
    found = _run(cell, x_BTD, state, weights, vectors, {}, {"means_TS": means_TS, "variances_TS": variances_TS})
    for norm, *statistics in zip(norms, means_TS.split(sizes, 1), variances_TS.split(sizes, 1), strict=True):
        norm.update_running_stats_of_steps(int(state[2][0]), *statistics)
    return found


def _norms(cell: LSTMCell) -> tuple[nn.Module, ...]:
    return cell.input_norm, cell.recurrent_norm, cell.memory_norm


def _run(
    cell: LSTMCell,
    x_BTD: Tensor,
    state: State,
    weights: LSTMWeights,
    vectors: Sequence[Tensor | None],
    settings: dict[str, Any],
    buffers: dict[str, Tensor],
) -> tuple[Tensor, State]:
    """Run a chunk with these biases and gains, settings and buffers."""
    hidden_BH, cell_BH, *step_counts = state
    names = "zoneout_hidden", "zoneout_cell"
    numbers, masks = chunk_settings(cell, state, x_BTD.shape[1], weights.generator, names)
    settings = numbers | settings | {"coupled": cell.coupled}
    bias_G, *gains = vectors
    parameters = x_BTD.transpose(0, 1).float(), weights.input_GD, weights.recurrent_GH, bias_G, _rounds(cell)
    found = _LSTM.apply(settings, masks | buffers, hidden_BH, cell_BH, *parameters, *gains)
    output_TBH, last_BH = cast("tuple[Tensor, Tensor]", found)
    counts = increment_step_counts(step_counts, x_BTD.shape[1])
    return output_TBH.transpose(0, 1), (output_TBH[-1].clone(), last_BH, *counts)


def _rounds(cell: LSTMCell) -> Tensor | None:
    """Return the matrices of a Mogrifier, each a row."""
    if cell.mogrifier is None:
        return None
    pairs = zip(cell.mogrifier.scales, cell.mogrifier.matrices, strict=True)
    return torch.stack([scale(matrix).flatten() for scale, matrix in pairs])


def _new_rounds(tensors: dict[str, Tensor], num_kept: int) -> Tensor:
    """Return room for what the rounds of a Mogrifier gate, in all kept steps: x, h, x and so on."""
    num_rounds, (_, batch_size, input_size) = len(tensors["rounds_RM"]), tensors["x_TBD"].shape
    num_elements = (num_rounds + 1) // 2 * input_size + num_rounds // 2 * tensors["recurrent_GH"].shape[1]
    return tensors["rounds_RM"].new_empty(num_kept * batch_size * num_elements)


def _function(tensors: dict[str, Tensor], direction: str) -> str:
    return f"lstm_{'batch' if 'means_TS' in tensors else 'unroll'}_{direction}"


class _LSTM(torch.autograd.Function):
    """First state, inputs, parameters, matrices of a Mogrifier, gains -> outputs of all steps, last memory."""

    @staticmethod
    def forward(
        ctx: Any,
        settings: dict[str, Any],
        buffers: dict[str, Tensor],
        hidden_BH: Tensor,
        cell_BH: Tensor,
        *parameters: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        named = zip((*PARAMETERS, *_OTHERS), parameters, strict=True)
        tensors = buffers | {name: tensor.contiguous() for name, tensor in named if tensor is not None}
        num_steps, batch_size, _ = tensors["x_TBD"].shape
        gates_size, hidden_size = tensors["recurrent_GH"].shape
        num_kept = num_steps if settings["keeps_steps"] or "means_TS" in buffers else 1

        def new(steps: int, size: int) -> Tensor:
            return hidden_BH.new_empty(steps, batch_size, size)

        tensors["input_TBG"] = new(num_steps, gates_size)
        tensors["hiddens_TBH"], tensors["cells_TBH"] = (new(num_steps + 1, hidden_size) for _ in range(2))
        tensors["hiddens_TBH"][0], tensors["cells_TBH"][0] = hidden_BH, cell_BH
        mixes_cells = "zoneout_cell_TBH" in tensors or "zoneout_cell" in settings
        tensors["new_cells_TBH"] = new(num_steps, hidden_size) if mixes_cells else tensors["cells_TBH"][1:]
        tensors["gates_TBG"], tensors["tanh_TBH"] = new(num_kept, gates_size), new(num_kept, hidden_size)
        tensors["statistics_TBS"] = new(num_kept, _NUM_STATISTICS)
        if "rounds_RM" in tensors:
            settings["rounds"] = len(tensors["rounds_RM"])
            tensors |= {name: _new_rounds(tensors, num_kept) for name in ("factors", "results")}
        if "recurrent_gain_G" in tensors and "scales" not in settings:
            tensors["x_hat_TBG"] = new(num_kept, gates_size)
        run_in_c(_function(tensors, "forward"), settings, tensors)
        outputs = tensors["hiddens_TBH"][1:], tensors["cells_TBH"][-1].clone()
        save_objects(ctx, settings, tensors)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        d_output_TBH, d_last_BH = gradients
        settings, tensors = saved_objects(ctx)
        strides, found = gradient_tensors(tensors, d_output_TBH, ctx.needs_input_grad[4:7])
        has_norms = "recurrent_gain_G" in tensors
        found["d_hidden_BH"] = torch.zeros_like(d_last_BH)
        found["d_cell_BH"] = d_last_BH.clone(memory_format=torch.contiguous_format)
        found["d_product_TBG"] = torch.empty_like(tensors["input_TBG"]) if has_norms else found["d_input_TBG"]
        if "rounds_RM" in tensors:
            found["d_gates"] = torch.empty_like(tensors["factors"])
            found["d_rounds_RM"] = torch.empty_like(tensors["rounds_RM"])
        gates_size, hidden_size = tensors["recurrent_GH"].shape
        sizes = [gates_size] * 3 + [hidden_size] * 2
        found["d_vectors"] = d_last_BH.new_empty(sum(sizes))
        run_in_c(_function(tensors, "backward"), settings | strides, tensors | found)
        d_bias_G, *d_gains = found["d_vectors"].split(sizes)
        matrices = (found.get(f"d_{name}") for name in PARAMETERS[:3])
        d_gains = d_gains if has_norms else [None] * len(_OTHERS[1:])
        d_others = d_bias_G, found.get("d_rounds_RM"), *d_gains
        return None, None, found["d_hidden_BH"], found["d_cell_BH"], *matrices, *d_others
