"""Kernels on a GPU: those of `triton_kernels.py`, one launch each.

Without Triton, or without the C compiler that its launchers need, the kernels in torch run, with several launches each.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from charlm.nn.fused.kernels import Kernels, P, shape_position
from charlm.nn.fused.norm_kernels import STRIDED_KERNELS, layer_norm, layer_norm_backward

_BLOCK = 256
"""Columns of a program of an element-wise kernel."""
_TILE = {"ROWS": 64, "COLUMNS": 16}
"""Rows and columns that a program of a batch norm loads at a time."""


@functools.cache
def load_triton_kernels(device: torch.device) -> ModuleType | None:
    """Return the module of the kernels, or None if they do not run, which is tried once on each device."""
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return None
    try:
        module = importlib.import_module("charlm.nn.fused.triton_kernels")
        TritonKernels(module).run(layer_norm, torch.zeros(1, 2, device=device), 1.0, torch.zeros(1, device=device))
    except Exception:  # noqa: BLE001 - torch's kernels run instead, and `charlm train --dry-run` shows it
        return None
    return module


class TritonKernels(Kernels):
    """The kernels of `triton_kernels.py`; all others in torch."""

    name = "triton"

    def __init__(self, module: Any) -> None:
        self._module = module

    def bind(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> Callable[[], object]:
        own = getattr(self._module, kernel.__name__, None)
        rows, columns = cast("Tensor", arguments[shape_position(kernel)]).shape
        if own is None or rows == 0:
            return super().bind(kernel, *arguments, **_)
        if kernel not in STRIDED_KERNELS:  # one program for each row and block of columns
            return partial(own[(rows, -(-columns // _BLOCK))], *arguments, columns, BLOCK=_BLOCK)
        if kernel in (layer_norm, layer_norm_backward):
            return partial(own[(rows,)], *_insert_strides(arguments), columns, **_row_launch(columns))
        return partial(own[(-(-columns // _TILE["COLUMNS"]),)], *_insert_strides(arguments), rows, columns, **_TILE)


def _row_launch(size: int) -> dict[str, int]:
    """Return a block size that holds a whole row, and a number of warps for it."""
    block = 1 << (size - 1).bit_length()
    return {"BLOCK": block, "num_warps": min(16, max(1, block // 512))}


def _insert_strides(arguments: tuple[Any, ...]) -> list[Any]:
    """Return the arguments, each matrix followed by the stride of its rows."""
    flat: list[Any] = []
    for argument in arguments:
        flat.append(argument)
        if isinstance(argument, Tensor) and argument.ndim == 2:
            flat.append(argument.stride(0))
    return flat
