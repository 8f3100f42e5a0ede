"""The device to compute on, its precision and its memory: fixed rules, so that a run can report what it chose."""

import contextlib
import ctypes
import functools
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

import torch

from charlm.errors import OptionError, OutOfMemoryError, UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")
_ALIASES = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps"}
Precision = Literal["fp32", "bf16"]

_OUT_OF_MEMORY_MESSAGES = (
    "not enough memory",
    "can't allocate memory",
    "MPS backend out of memory",
    "CUDA error: out of memory",
)
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` prefers CUDA, then MPS, then the CPU.

    Raises:
        UsageError: there is no device of that name on this machine, or none for this build of torch.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_present in available.items() if is_present)
    if name not in available:
        base = name.lower().partition(":")[0]
        suggestion = _ALIASES.get(base, base)
        which = f"; did you mean {suggestion}?" if suggestion in DEVICES else ""
        raise UsageError(f"there is no device {name!r}", f"choose one of {', '.join(DEVICES)}{which}")
    if not available[name]:
        cure = "use {device} cpu, or install a build of torch for it"
        raise OptionError(f"torch finds no {name} device here", cure)
    return torch.device(name)


def retain_freed_memory(device: torch.device) -> None:
    """Let the process keep the memory that it frees, since each training step needs as much as the one before.

    By default glibc maps large blocks newly each time, and the kernel clears all their pages: training on a CPU took
    up to 1.3 times as long (a layer-normalised LSTM of 2 x 512, batch 128 x 64: 1,577 instead of 1,219 ms per step).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if device.type == "cpu" and os.name == "posix" else None
    if mallopt is not None:  # only glibc has it
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def available_memory(device: torch.device) -> int | None:
    """Return the bytes that a program can still allocate there; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None  # not Linux
    available = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}["MemAvailable"]
    return min(available * 1024, *_cgroup_headroom())


def _cgroup_headroom() -> list[int]:
    """Return the bytes that the limit of this process's control group leaves, as in a container."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return [1 << 62]
    return [1 << 62 if limit == "max" else max(0, int(limit) - int(used))]


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the memory of the machine or a device is used up. Python, NumPy and torch on CUDA have
    exceptions for this; torch's allocator on CPUs, its MPS backend and the CUDA runtime have only messages."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY_MESSAGES)


@contextlib.contextmanager
def memory_errors(what: str, cure: str) -> Generator[None, None, None]:
    """Turn an error that says that memory is used up into an OutOfMemoryError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(what, cure) from error


@functools.cache
def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 matrices in hardware; without it, bf16 is 400 times slower than fp32."""
    return cpu_has_amx() or getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()  # False for a torch without it


@functools.cache
def cpu_has_amx() -> bool:
    """Whether the CPU multiplies tiles of bf16 matrices, several times as fast as vectors of them."""
    return getattr(torch.cpu, "_is_amx_tile_supported", bool)()  # private: False for a torch without it


def has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and cpu_has_bf16()


def resolve_precision(precision: Precision | Literal["auto"], device: torch.device) -> Precision:
    """Return the precision; `auto` is bf16 where the hardware is fast at it, and fp32 elsewhere."""
    if precision == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    return precision


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which matrix products run in bf16; for fp32 it does nothing."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
