"""The LSTM over a whole chunk as one call of C forward and one backward, on a CPU: `lstm_forward.c`,
`lstm_backward.c`.

    x_BTD, state, parameters ──lstm_unroll_forward──> states of all steps, and what the backward pass needs
    gradient of the outputs ──lstm_unroll_backward──> gradients of inputs, first state and parameters

It multiplies matrices itself, with fewer waits between threads than a product at a time, and no passes over memory
between products. Its results do not depend on the number of threads. Under autocast to bf16, it rounds the factors of
products, and nothing else. It knows no batch normalisation.

B batch, T time, D inputs, H hidden, G gates: 4 H, or 3 H if coupled.
"""

import ctypes
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlm.device import cpu_has_amx
from charlm.nn.cells.base import Cell, Weights
from charlm.nn.cells.lstm import LSTMCell, LSTMWeights
from charlm.nn.fused.compiled import load_compiled_library
from charlm.nn.fused.noise import draw_noise_masks
from charlm.nn.fused.saving import save_objects, saved_objects
from charlm.nn.norm import EPS, LayerNorm
from charlm.nn.state import State

MIN_ROWS = 8
"""With fewer rows than a tile of the product has, most of it would be computed in vain."""
MIN_HIDDEN_SIZE = 64
"""Smaller networks keep the sums of earlier versions to the last bit; they have little to win."""

_PARAMETERS = ("x_TBD", "input_GD", "recurrent_GH", "bias_G")
_GAINS = ("input_gain_G", "recurrent_gain_G", "memory_gain_H", "memory_bias_H")
_NOISE = ("dropout_mask_TBH", "zoneout_hidden_TBH", "zoneout_cell_TBH")
_STATES = ("input_TBG", "hiddens_TBH", "cells_TBH", "new_cells_TBH")
_KEPT = ("gates_TBG", "x_hat_TBG", "tanh_TBH", "statistics_TB6")
_GRADIENTS = ("d_hidden_BH", "d_cell_BH", "d_input_TBG", "d_product_TBG", "d_x_TBD", "d_input_GD", "d_recurrent_GH")


class _Unroll(ctypes.Structure):
    """`lstm_unroll` of lstm_unroll.h."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("threads", "T", "B", "D", "H", "coupled", "keeps_steps", "bf16")),
        *((name, ctypes.c_float) for name in ("eps", "zoneout_hidden", "zoneout_cell")),
        *((name, ctypes.c_void_p) for name in (*_PARAMETERS, *_GAINS, *_NOISE, *_STATES, *_KEPT, "d_output_TBH")),
        *((name, ctypes.c_long) for name in ("d_output_stride_T", "d_output_stride_B")),
        *((name, ctypes.c_void_p) for name in (*_GRADIENTS, "d_vectors")),
    )


def supports_lstm_in_c(cell: Cell) -> bool:
    """Whether the functions in C know this cell, and are faster than step by step."""
    is_known = isinstance(cell, LSTMCell) and cell.time_batched and cell.options.norms.kind != "batch"
    return is_known and cell.hidden_size >= MIN_HIDDEN_SIZE


def runs_lstm_in_c(device: torch.device) -> bool:
    """Whether the functions in C run here: on a CPU with a compiler. Under autocast to bf16, torch is faster where it
    multiplies by AMX."""
    if device.type != "cpu" or load_compiled_library() is None:
        return False
    return not torch.is_autocast_enabled("cpu") or (_multiplies_bf16() and not cpu_has_amx())


def _multiplies_bf16() -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def lstm_chunk_fits(cell: Cell, x_BTD: Tensor) -> bool:
    """Whether one call of C can run this chunk of a supported cell, and faster than step by step."""
    batch_size, num_steps, _ = x_BTD.shape
    has_fp32 = all(parameter.dtype == torch.float32 for parameter in cell.parameters())
    is_known = has_fp32 and (x_BTD.dtype == torch.float32 or (x_BTD.dtype == torch.bfloat16 and _multiplies_bf16()))
    return batch_size >= MIN_ROWS and num_steps > 1 and is_known and runs_lstm_in_c(x_BTD.device)


def unroll_lstm_in_c(cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a chunk that fits.

    Raises:
        MemoryError: there is no memory for the packed weights.
    """
    assert isinstance(cell, LSTMCell)
    assert isinstance(weights, LSTMWeights)
    hidden_BH, cell_BH = state
    noise = draw_noise_masks(cell, state, x_BTD.shape[1], weights.generator)
    zoneout = {("zoneout_hidden", "zoneout_cell")[index]: weight for index, weight in noise.zoneout_weights.items()}
    numbers = {name: weight for name, weight in zoneout.items() if isinstance(weight, float)}
    masks = {f"{name}_TBH": weight for name, weight in zoneout.items() if isinstance(weight, Tensor)}
    if noise.dropout_masks_TBH is not None:
        masks["dropout_mask_TBH"] = noise.dropout_masks_TBH
    settings = {
        "coupled": cell.coupled,
        "keeps_steps": torch.is_grad_enabled(),
        "bf16": _multiplies_bf16(),
        "eps": EPS,
        **numbers,
    }
    parameters = x_BTD.transpose(0, 1).float(), weights.input_GD, weights.recurrent_GH, weights.bias_G
    output_TBH, last_BH = cast(
        "tuple[Tensor, Tensor]", _LSTM.apply(settings, masks, hidden_BH, cell_BH, *parameters, *_gains(cell))
    )
    return output_TBH.transpose(0, 1), (output_TBH[-1].clone(), last_BH)


def _gains(cell: LSTMCell) -> list[Tensor | None]:
    norms = cell.input_norm, cell.recurrent_norm, cell.memory_norm
    layer_norms = [norm for norm in norms if isinstance(norm, LayerNorm)]
    return [*(norm.gain_G for norm in layer_norms), layer_norms[-1].bias_G] if layer_norms else [None] * len(_GAINS)


def _call(name: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Call a function in C. All tensors are contiguous, but for the rows of d_output_TBH."""
    (num_steps, batch_size, input_size), hidden_size = tensors["x_TBD"].shape, tensors["recurrent_GH"].shape[1]
    sizes = {"threads": torch.get_num_threads(), "T": num_steps, "B": batch_size, "D": input_size, "H": hidden_size}
    addresses = {name: tensor.data_ptr() for name, tensor in tensors.items()}
    function = getattr(load_compiled_library(), name)
    function.argtypes = (ctypes.c_void_p,)
    unroll = _Unroll(**sizes, **settings, **addresses)
    if not function(ctypes.addressof(unroll)):
        raise MemoryError


class _LSTM(torch.autograd.Function):
    """First state, inputs, parameters, gains -> outputs of all steps, last memory."""

    @staticmethod
    def forward(
        ctx: Any,
        settings: dict[str, Any],
        masks: dict[str, Tensor],
        hidden_BH: Tensor,
        cell_BH: Tensor,
        *parameters: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        named = zip((*_PARAMETERS, *_GAINS), parameters, strict=True)
        tensors = masks | {name: tensor.contiguous() for name, tensor in named if tensor is not None}
        num_steps, batch_size, _ = tensors["x_TBD"].shape
        gates_size, hidden_size = tensors["recurrent_GH"].shape
        num_kept = num_steps if settings["keeps_steps"] else 1

        def new(steps: int, size: int) -> Tensor:
            return hidden_BH.new_empty(steps, batch_size, size)

        tensors["input_TBG"] = new(num_steps, gates_size)
        tensors["hiddens_TBH"], tensors["cells_TBH"] = (new(num_steps + 1, hidden_size) for _ in range(2))
        tensors["hiddens_TBH"][0], tensors["cells_TBH"][0] = hidden_BH, cell_BH
        mixes_cells = "zoneout_cell_TBH" in tensors or "zoneout_cell" in settings
        tensors["new_cells_TBH"] = new(num_steps, hidden_size) if mixes_cells else tensors["cells_TBH"][1:]
        tensors["gates_TBG"], tensors["tanh_TBH"] = new(num_kept, gates_size), new(num_kept, hidden_size)
        tensors["statistics_TB6"] = new(num_kept, 6)
        if "recurrent_gain_G" in tensors:
            tensors["x_hat_TBG"] = new(num_kept, gates_size)
        _call("lstm_unroll_forward", settings, tensors)
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
        if d_output_TBH.stride(2) != 1:
            d_output_TBH = d_output_TBH.contiguous()
        strides = {"d_output_stride_T": d_output_TBH.stride(0), "d_output_stride_B": d_output_TBH.stride(1)}
        has_norms = "recurrent_gain_G" in tensors
        found = {
            "d_output_TBH": d_output_TBH,
            "d_hidden_BH": torch.zeros_like(d_last_BH),
            "d_cell_BH": d_last_BH.clone(memory_format=torch.contiguous_format),
            "d_input_TBG": torch.empty_like(tensors["input_TBG"]),
        }
        found["d_product_TBG"] = torch.empty_like(tensors["input_TBG"]) if has_norms else found["d_input_TBG"]
        for name, is_needed in zip(_PARAMETERS[:3], ctx.needs_input_grad[4:7], strict=True):
            if is_needed:
                found[f"d_{name}"] = torch.empty_like(tensors[name])
        gates_size, hidden_size = tensors["recurrent_GH"].shape
        sizes = [gates_size] * 3 + [hidden_size] * 2
        found["d_vectors"] = d_last_BH.new_empty(sum(sizes))
        _call("lstm_unroll_backward", settings | strides, tensors | found)
        d_bias_G, *d_gains = found["d_vectors"].split(sizes)
        matrices = (found.get(f"d_{name}") for name in _PARAMETERS[:3])
        return (
            None,
            None,
            found["d_hidden_BH"],
            found["d_cell_BH"],
            *matrices,
            d_bias_G,
            *(d_gains if has_norms else [None] * len(_GAINS)),
        )
