"""Functions in C: source files, compiled once for this machine into one library, which is kept in the user's cache.

source.c, ... ──cc, flags──> CACHE/kernels/DIGEST.so ──ctypes──> functions

Without a compiler nothing fails: the caller has the same functions in Python.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from charlm import storage
from charlm.child_processes import run_program, run_programs
from charlm.cores import count_cores
from charlm.errors import StorageError

_COMPILE_TIMEOUT_S = 180.0


def load_c_library(
    sources: Sequence[Path], flags: Sequence[str], *, headers: Sequence[Path] = (), openmp: bool = False
) -> ctypes.CDLL | None:
    """Return the compiled library of source files, or None if it cannot be compiled or CHARLM_COMPILE is 0.

    Args:
        headers: files that the sources include.
        openmp: compile with OpenMP where the compiler has it.
    """
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None or os.environ.get("CHARLM_COMPILE", "1") == "0" or sys.platform == "win32":
        return None
    try:
        return ctypes.CDLL(str(compile_or_reuse(compiler, sources, flags, headers=headers, openmp=openmp)))
    except (OSError, StorageError, subprocess.SubprocessError):
        return None


def compile_or_reuse(
    compiler: str, sources: Sequence[Path], flags: Sequence[str], *, headers: Sequence[Path] = (), openmp: bool = False
) -> Path:
    """Return the library for these sources, these flags and this CPU; compile it if the cache does not have it.

    Raises:
        OSError, StorageError, subprocess.SubprocessError: it cannot be compiled or kept.
    """
    cache_key = (
        *(path.read_text(encoding="utf-8") for path in (*sources, *headers)),
        _describe_compiler(compiler),
        " ".join(flags),
        platform.machine(),
        _cpu_description(),
    )
    digest = hashlib.sha256("\n".join(cache_key).encode()).hexdigest()[:20]
    library = storage.cache_directory() / "kernels" / f"{digest}.so"
    if not library.exists():
        storage.make_directory(library.parent)
        with tempfile.TemporaryDirectory() as folder:
            compiled_path = Path(folder) / library.name
            for threads in (("-fopenmp",), ()) if openmp else ((),):  # without OpenMP: one thread
                if _compile([compiler, *flags, *threads], sources, compiled_path):
                    break
            storage.write_bytes(library, compiled_path.read_bytes())
    return library


def _compile(compiler: Sequence[str], sources: Sequence[Path], library: Path) -> bool:
    """Compile each source file by itself, as many at a time as there are cores, and link them.

    Args:
        compiler: the beginning of the command.

    Returns:
        Whether it worked.
    """
    objects = [str(library.with_name(f"{source.stem}.o")) for source in sources]
    pairs = zip(sources, objects, strict=True)
    commands = [[*compiler, "-c", "-o", compiled, str(source)] for source, compiled in pairs]
    if not run_programs(commands, _COMPILE_TIMEOUT_S, count_cores()):
        return False
    return run_program([*compiler, "-o", str(library), *objects, "-lm"], _COMPILE_TIMEOUT_S) == 0


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
