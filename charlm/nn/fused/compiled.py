"""Kernels as machine code: `kernels.c`, compiled once for this machine and kept in the cache.

    run(threads, rows, columns, the kernel's arguments: addresses of tensors, floats, truth values as 0 and 1)

No compiler, no cache or another dtype than fp32 on a CPU: the kernels in torch do the same, more slowly.
"""

import ctypes
import functools
import hashlib
import inspect
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charlm import storage
from charlm.errors import StorageError
from charlm.nn.fused.kernels import Kernel, Kernels, P, insert_strides, is_matrix, rows_and_columns
from charlm.nn.fused.norm_kernels import STRIDED_KERNELS
from charlm.storage import cache_directory

_SOURCE = Path(__file__).with_name("kernels.c")
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
_COMPILE_TIMEOUT_S = 20.0
_MIN_ELEMENTS_FOR_THREADS = 1 << 14
"""Rows times columns."""
_C_TYPES: dict[Any, Any] = {bool: ctypes.c_long, float: ctypes.c_float}


@functools.cache
def load_compiled_library() -> ctypes.CDLL | None:
    """The compiled passes, or None where they cannot be had. CHARLM_COMPILE=0 does without."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None or os.environ.get("CHARLM_COMPILE", "1") == "0" or sys.platform == "win32":
        return None
    try:
        return _load(_compile_or_reuse(compiler))
    except (OSError, StorageError, subprocess.SubprocessError):
        return None  # a convenience that failed is no error: `--dry-run` tells which passes run


def _compile_or_reuse(compiler: str) -> Path:
    """The library, compiled unless that was done before: for this source, these flags and this machine."""
    cache_key = (
        _SOURCE.read_text(encoding="utf-8"),
        compiler,
        " ".join(_FLAGS),
        platform.machine(),
        _cpu_description(),
    )
    digest = hashlib.sha256("\n".join(cache_key).encode()).hexdigest()[:20]
    library = cache_directory() / "kernels" / f"{digest}.so"
    if not library.exists():
        storage.make_directory(library.parent)
        with tempfile.TemporaryDirectory() as folder:
            compiled_path = Path(folder) / library.name
            for openmp in (("-fopenmp",), ()):  # without it: one thread
                command = [compiler, *_FLAGS, *openmp, "-o", str(compiled_path), str(_SOURCE), "-lm"]
                if (
                    subprocess.run(command, capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=False).returncode
                    == 0
                ):
                    break
            storage.write_bytes(library, compiled_path.read_bytes())
    return library


def _load(path: Path) -> ctypes.CDLL:
    """Torch has loaded its OpenMP by now, and a library that asks for one of that name gets the same."""
    return ctypes.CDLL(str(path))


def _cpu_description() -> str:
    """What -march=native means: a cache may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


class CompiledKernels(Kernels):
    """The functions of `kernels.c`."""

    name = "compiled"

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def bind(self, kernel: Callable[P, None], *arguments: P.args, **_: P.kwargs) -> Callable[[], object]:
        function = _find_function(self._library, kernel)
        if function is None:
            return super().bind(kernel, *arguments, **_)
        rows, columns = rows_and_columns(kernel, arguments)
        # To wake another thread takes longer than a small pass.
        threads = torch.get_num_threads() if rows * columns >= _MIN_ELEMENTS_FOR_THREADS else 1
        values = insert_strides(arguments) if kernel in STRIDED_KERNELS else arguments
        addresses = (value.data_ptr() if isinstance(value, Tensor) else value for value in values)
        run = partial(function, threads, rows, columns, *addresses)
        run.arguments = arguments  # type: ignore[attr-defined]  # the addresses are those of these tensors
        return run


@functools.cache
def _find_function(library: ctypes.CDLL, kernel: Kernel) -> Callable[..., object] | None:
    """The function of a kernel's name, with the types of its arguments: a call that has to convert them costs more."""
    if f"\nvoid {kernel.__name__}(" not in _SOURCE.read_text(encoding="utf-8"):  # libc may have a function of that name
        return None
    function = getattr(library, kernel.__name__)
    types = [ctypes.c_long] * 3
    for name, parameter in inspect.signature(kernel).parameters.items():
        types.append(_C_TYPES.get(parameter.annotation, ctypes.c_void_p))
        if kernel in STRIDED_KERNELS and is_matrix(name):
            types.append(ctypes.c_long)
    function.argtypes, function.restype = types, None
    return function
