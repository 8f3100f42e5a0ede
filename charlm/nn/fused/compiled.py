"""Kernels in C, compiled once for this machine into one library, which is kept in the user's cache.

    the C function's arguments: threads, rows, columns, and those of the kernel in torch: addresses of tensors (a null
    pointer for None), numbers, and 0 or 1 for truth values

Without a compiler or a cache, and for any dtype but fp32 on a CPU, the kernels in torch run, which are slower.
"""

import ctypes
import functools
import inspect
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from charlm.c_library import load_c_library
from charlm.nn.fused.kernels import Kernel, Kernels, P, is_matrix, shape_position
from charlm.nn.fused.norm_kernels import STRIDED_KERNELS

_FOLDER = Path(__file__).parent
_UNROLLS = tuple(
    f"{name}_{way}.c" for name in ("lstm", "lstm_batch", "gru", "gru_batch") for way in ("forward", "backward")
)
_KERNELS = ("kernels.c", "linear_recurrences.c", "products.c", "step_products.c")
_SOURCES = tuple(_FOLDER / name for name in (*_KERNELS, *_UNROLLS))
_HEADERS = tuple(
    _FOLDER / name
    for name in (
        "activations.h",
        "products.h",
        "row_norms.h",
        "chunk.h",
        "recurrent_heads.h",
        "columns.h",
        "mogrifier.h",
    )
)
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
_MIN_ELEMENTS_FOR_THREADS = 1 << 14
"""Rows times columns from which a kernel runs on several threads: waking a thread takes longer than a small kernel."""
_C_TYPES: dict[Any, Any] = {bool: ctypes.c_long, int: ctypes.c_long, float: ctypes.c_float}


@functools.cache
def load_compiled_library() -> ctypes.CDLL | None:
    """Return the compiled library, or None if it cannot be compiled or CHARLM_COMPILE is 0.

    It uses the OpenMP library that torch has already loaded. Without it torch's kernels run, and `charlm train
    --dry-run` shows that.
    """
    return load_c_library(_SOURCES, _FLAGS, headers=_HEADERS, openmp=True)


class CompiledKernels(Kernels):
    """The functions in C; all other kernels in torch."""

    name = "compiled"

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def bind(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> Callable[[], object]:
        function = _find_function(self._library, kernel)
        if function is None:
            return super().bind(kernel, *arguments, **_)
        run = partial(function.run, *function.c_arguments(arguments))
        run.arguments = arguments  # type: ignore[attr-defined]  # keeps the tensors of these addresses alive
        return run

    def run(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> None:
        function = _find_function(self._library, kernel)
        if function is None:
            super().run(kernel, *arguments, **_)
        else:
            function.run(*function.c_arguments(arguments))


class _Function(NamedTuple):
    """A C function and how to call it. It is called at every time step, so all that can be is computed once."""

    run: Callable[..., object]
    shape_position: int
    is_strided: bool

    def c_arguments(self, arguments: tuple[Any, ...]) -> list[Any]:
        rows, columns = arguments[self.shape_position].shape
        threads = torch.get_num_threads() if rows * columns >= _MIN_ELEMENTS_FOR_THREADS else 1
        flat = [threads, rows, columns]
        for argument in arguments:
            if isinstance(argument, Tensor):
                flat.append(argument.data_ptr())
                if self.is_strided and argument.dim() == 2:
                    flat.append(argument.stride(0))
            else:
                flat.append(argument)
        return flat


@functools.cache
def _function_names() -> frozenset[str]:
    """Return the names of the kernels in C."""
    texts = (path.read_text(encoding="utf-8") for path in _SOURCES)
    return frozenset(name for text in texts for name in re.findall(r"^void (\w+)\(", text, re.MULTILINE))


@functools.cache
def _find_function(library: ctypes.CDLL, kernel: Kernel) -> _Function | None:
    """Return the C function of a kernel, with its argument types, without which a call would be slower; or None."""
    if kernel.__name__ not in _function_names():  # libc may have a function of that name
        return None
    function = getattr(library, kernel.__name__)
    types = [ctypes.c_long] * 3
    for name, parameter in inspect.signature(kernel).parameters.items():
        types.append(_C_TYPES.get(parameter.annotation, ctypes.c_void_p))
        if kernel in STRIDED_KERNELS and is_matrix(name):
            types.append(ctypes.c_long)
    function.argtypes, function.restype = types, None
    return _Function(function, shape_position(kernel), kernel in STRIDED_KERNELS)
