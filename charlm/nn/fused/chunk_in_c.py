"""A cell over a whole chunk as one call of C forward and one backward, on a CPU: what `lstm_unroll.py` and
`gru_unroll.py` share.

    x_BTD, state, parameters ──CELL_unroll_forward──> states of all steps, and what the backward pass needs
    gradient of the outputs ──CELL_unroll_backward──> gradients of inputs, first state and parameters

The functions multiply matrices themselves, with fewer waits between threads than a product at a time, and no passes
over memory between products. Their results do not depend on the number of threads. Under autocast to bf16, they round
the factors of products, and nothing else.

B batch, T time, D inputs, H hidden, G gates, S statistics of norms.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from charlm.device import cpu_has_amx
from charlm.nn.cells.base import Cell
from charlm.nn.fused.compiled import load_compiled_library
from charlm.nn.fused.noise import draw_noise_masks
from charlm.nn.norm import EPS, BatchNorm
from charlm.nn.state import State

MIN_ROWS = 8
"""With fewer rows than a tile of the product has, most of it would be computed in vain."""
MIN_HIDDEN_SIZE = 64
"""Smaller networks keep the sums of earlier versions to the last bit; they have little to win."""
_HEAD_MULTIPLE = 8
"""Heads of other widths are multiplied as one matrix, with zeros outside of its blocks."""

PARAMETERS = ("x_TBD", "input_GD", "recurrent_GH", "bias_G")
_VECTORS = ("input_gain_G", "recurrent_gain_G", "memory_gain_H", "memory_bias_H", "candidate_bias_H", "rounds_RM")
_NOISE = ("dropout_mask_TBH", "zoneout_hidden_TBH", "zoneout_cell_TBH")
_STATES = ("input_TBG", "hiddens_TBH", "cells_TBH", "new_cells_TBH")
_KEPT = ("gates_TBG", "x_hat_TBG", "statistics_TBS", "means_TS", "variances_TS", "tanh_TBH", "reset_TBH")
_ROUNDS = ("factors", "results")
_INPUTS = (*PARAMETERS, *_VECTORS, *_NOISE, *_STATES, *_KEPT, *_ROUNDS, "d_output_TBH")
_GRADIENTS = ("d_hidden_BH", "d_cell_BH", "d_input_TBG", "d_product_TBG", "d_x_TBD", "d_input_GD", "d_recurrent_GH")


class _Chunk(ctypes.Structure):
    """`chunk` of chunk.h."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("threads", "T", "B", "D", "H")),
        *(
            (name, ctypes.c_long)
            for name in ("coupled", "heads", "resets_before", "keeps_steps", "bf16", "rounds", "scales")
        ),
        *((name, ctypes.c_float) for name in ("eps", "zoneout_hidden", "zoneout_cell")),
        *((name, ctypes.c_void_p) for name in _INPUTS),
        *((name, ctypes.c_long) for name in ("d_output_stride_T", "d_output_stride_B")),
        *((name, ctypes.c_void_p) for name in (*_GRADIENTS, "d_gates", "d_rounds_RM", "d_vectors")),
    )


def runs_in_c(device: torch.device) -> bool:
    """Whether the functions in C run here: on a CPU with a compiler. Under autocast to bf16, torch is faster where it
    multiplies by AMX."""
    if device.type != "cpu" or load_compiled_library() is None:
        return False
    return not torch.is_autocast_enabled("cpu") or (_multiplies_bf16() and not cpu_has_amx())


def _multiplies_bf16() -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def chunk_fits(cell: Cell, x_BTD: Tensor) -> bool:
    """Whether one call of C can run this chunk of a supported cell, and faster than step by step."""
    batch_size, num_steps, _ = x_BTD.shape
    has_fp32 = all(parameter.dtype == torch.float32 for parameter in cell.parameters())
    is_known = has_fp32 and (x_BTD.dtype == torch.float32 or (x_BTD.dtype == torch.bfloat16 and _multiplies_bf16()))
    return batch_size >= MIN_ROWS and num_steps > 1 and is_known and runs_in_c(x_BTD.device)


def chunk_settings(
    cell: Cell, state: State, num_steps: int, generator: torch.Generator | None, zoneout_names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the numbers that a function in C needs beside the sizes, and the masks of the noise.

    Args:
        zoneout_names: `zoneout_hidden` or `zoneout_cell` for each tensor of the state.
    """
    noise = draw_noise_masks(cell, state, num_steps, generator)
    zoneout = {zoneout_names[index]: weight for index, weight in noise.zoneout_weights.items()}
    numbers = {name: weight for name, weight in zoneout.items() if isinstance(weight, float)}
    masks = {f"{name}_TBH": weight for name, weight in zoneout.items() if isinstance(weight, Tensor)}
    if noise.dropout_masks_TBH is not None:
        masks["dropout_mask_TBH"] = noise.dropout_masks_TBH
    heads = cell.options.num_heads if cell.hidden_size // cell.options.num_heads % _HEAD_MULTIPLE == 0 else 1
    settings = {"heads": heads, "keeps_steps": torch.is_grad_enabled(), "bf16": _multiplies_bf16(), "eps": EPS}
    return settings | numbers, masks


def evaluation_fits(cell: Cell, state: State) -> bool:
    """Whether batch normalisation in evaluation scales and shifts all rows alike at each step, without gradients."""
    if cell.training or torch.is_grad_enabled():
        return False
    steps_B = next(tensor for tensor in state if not tensor.is_floating_point())
    steps_B = steps_B.clamp(max=cell.options.norms.num_steps - 1)  # later steps have the statistics of the last one
    return bool((steps_B == steps_B[0]).all())


def scale_of_steps(norm: nn.Module, steps_B: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Return a_TG and b_TG with norm(x) = a x + b for `num_steps` steps of all rows, in evaluation."""
    assert isinstance(norm, BatchNorm)
    return norm.scale_and_shift(steps_B[0] + torch.arange(num_steps))


def run_in_c(name: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Call a function in C. All tensors are contiguous, but for the rows of d_output_TBH.

    Raises:
        MemoryError: there is no memory for the packed weights.
    """
    (num_steps, batch_size, input_size), hidden_size = tensors["x_TBD"].shape, tensors["recurrent_GH"].shape[1]
    sizes = {"threads": torch.get_num_threads(), "T": num_steps, "B": batch_size, "D": input_size, "H": hidden_size}
    addresses = {name: tensor.data_ptr() for name, tensor in tensors.items()}
    function = getattr(load_compiled_library(), name)
    function.argtypes = (ctypes.c_void_p,)
    chunk = _Chunk(**sizes, **settings, **addresses)
    if not function(ctypes.addressof(chunk)):
        raise MemoryError


def gradient_tensors(
    tensors: dict[str, Tensor], d_output_TBH: Tensor, needs_gradient: Sequence[bool]
) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Return the strides of the outputs' gradient, and the tensors of all gradients that both cells have.

    Args:
        needs_gradient: of x_TBD, input_GD and recurrent_GH.
    """
    if d_output_TBH.stride(2) != 1:
        d_output_TBH = d_output_TBH.contiguous()
    found = {"d_output_TBH": d_output_TBH, "d_input_TBG": torch.empty_like(tensors["input_TBG"])}
    for name, is_needed in zip(PARAMETERS[:3], needs_gradient, strict=True):
        if is_needed:
            found[f"d_{name}"] = torch.empty_like(tensors[name])
    return {"d_output_stride_T": d_output_TBH.stride(0), "d_output_stride_B": d_output_TBH.stride(1)}, found
