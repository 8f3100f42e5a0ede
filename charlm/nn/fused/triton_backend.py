"""Kernels on a GPU: those of `triton_kernels.py`, a launch for each.

No Triton, or no C compiler for its launchers: the kernels in torch do the same, with several launches for each.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch

from charlm.nn.fused.kernels import Kernels, P, insert_strides, rows_and_columns
from charlm.nn.fused.norm_kernels import STRIDED_KERNELS, layer_norm, layer_norm_backward

_BLOCK = 256
"""Columns of an element-wise program."""
_TILE = {"ROWS": 64, "COLUMNS": 16}
"""Of a batch norm's program."""


@functools.cache
def load_triton_kernels(device: torch.device) -> ModuleType | None:
    """The kernels, or None where they cannot be had: tried once on each device, on one small pass."""
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return None
    try:
        module = importlib.import_module("charlm.nn.fused.triton_kernels")
        TritonKernels(module).run(layer_norm, torch.zeros(1, 2, device=device), 1.0, torch.zeros(1, device=device))
    except Exception:  # noqa: BLE001 - a convenience that failed is no error: `--dry-run` tells which passes run
        return None
    return module


class TritonKernels(Kernels):
    """Those of every step are Triton's; those of a whole chunk are torch's."""

    name = "triton"

    def __init__(self, module: Any) -> None:
        self._module = module

    def bind(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> Callable[[], object]:
        own = getattr(self._module, kernel.__name__, None)
        rows, columns = rows_and_columns(kernel, arguments)
        if own is None or rows == 0:
            return super().bind(kernel, *arguments, **_)
        if kernel not in STRIDED_KERNELS:  # a program for each row and block of columns
            return partial(own[(rows, -(-columns // _BLOCK))], *arguments, columns, BLOCK=_BLOCK)
        if kernel in (layer_norm, layer_norm_backward):
            return partial(own[(rows,)], *insert_strides(arguments), columns, **_row_launch(columns))
        return partial(own[(-(-columns // _TILE["COLUMNS"]),)], *insert_strides(arguments), rows, columns, **_TILE)


def _row_launch(size: int) -> dict[str, int]:
    """A block that holds a whole row, and the warps that share it."""
    block = 1 << (size - 1).bit_length()
    return {"BLOCK": block, "num_warps": min(16, max(1, block // 512))}
