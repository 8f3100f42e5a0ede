"""Kernels in C: `kernels.c` and what it includes, compiled once for this machine and kept in the user's cache.

    the C function's arguments: threads, rows, columns, and those of the kernel in torch: addresses of tensors (a null
    pointer for None), numbers, and 0 or 1 for truth values

Without a compiler or a cache, and for any dtype but fp32 on a CPU, the kernels in torch run, which are slower.
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
from typing import Any, NamedTuple

import torch
from torch import Tensor

from charlm import storage
from charlm.child_processes import run_program
from charlm.errors import StorageError
from charlm.nn.fused.kernels import Kernel, Kernels, P, is_matrix, shape_position
from charlm.nn.fused.norm_kernels import STRIDED_KERNELS
from charlm.storage import cache_directory

_SOURCE = Path(__file__).with_name("kernels.c")
_SOURCES = sorted(_SOURCE.parent.glob("*.c"))
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
_COMPILE_TIMEOUT_S = 20.0
_MIN_ELEMENTS_FOR_THREADS = 1 << 14
"""Rows times columns from which a kernel runs on several threads: waking a thread takes longer than a small kernel."""
_C_TYPES: dict[Any, Any] = {bool: ctypes.c_long, int: ctypes.c_long, float: ctypes.c_float}


@functools.cache
def load_compiled_library() -> ctypes.CDLL | None:
    """Return the compiled library, or None if it cannot be compiled or CHARLM_COMPILE is 0."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None or os.environ.get("CHARLM_COMPILE", "1") == "0" or sys.platform == "win32":
        return None
    try:
        return _load(_compile_or_reuse(compiler))
    except (OSError, StorageError, subprocess.SubprocessError):
        return None  # torch's kernels run instead, and `charlm train --dry-run` shows it


def _compile_or_reuse(compiler: str) -> Path:
    """Return the library for this source, these flags and this CPU; compile it if the cache does not have it."""
    cache_key = (
        _source_text(),
        _describe_compiler(compiler),
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
            for openmp in (("-fopenmp",), ()):  # without OpenMP: one thread
                command = [compiler, *_FLAGS, *openmp, "-o", str(compiled_path), str(_SOURCE), "-lm"]
                if run_program(command, _COMPILE_TIMEOUT_S) == 0:
                    break
            storage.write_bytes(library, compiled_path.read_bytes())
    return library


def _source_text() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in _SOURCES)


def _load(path: Path) -> ctypes.CDLL:
    """Load the library. It uses the OpenMP library that torch has already loaded."""
    return ctypes.CDLL(str(path))


def _describe_compiler(compiler: str) -> str:
    """Describe a compiler so that an upgraded one differs, without the time of starting it."""
    path = Path(os.path.realpath(compiler))
    found = path.stat()
    return f"{compiler} {path} {found.st_size} {found.st_mtime_ns}"


def _cpu_description() -> str:
    """Describe the CPU that -march=native compiles for, since machines may share a cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


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
def _find_function(library: ctypes.CDLL, kernel: Kernel) -> _Function | None:
    """Return the C function of a kernel, with its argument types, without which a call would be slower; or None."""
    if f"\nvoid {kernel.__name__}(" not in _source_text():  # libc may have a function of that name
        return None
    function = getattr(library, kernel.__name__)
    types = [ctypes.c_long] * 3
    for name, parameter in inspect.signature(kernel).parameters.items():
        types.append(_C_TYPES.get(parameter.annotation, ctypes.c_void_p))
        if kernel in STRIDED_KERNELS and is_matrix(name):
            types.append(ctypes.c_long)
    function.argtypes, function.restype = types, None
    return _Function(function, shape_position(kernel), kernel in STRIDED_KERNELS)
