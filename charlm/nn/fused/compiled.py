"""The passes of a recurrent step as machine code: `kernels.c`, compiled once for this machine and kept in the cache.

No compiler, no cache or another dtype than fp32 on a CPU: `eager.py` does the same in torch, more slowly.
"""

import ctypes
import functools
import hashlib
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
from charlm.storage import cache_directory

_SOURCE = Path(__file__).with_name("kernels.c")
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
_COMPILE_TIMEOUT_S = 20.0
_MIN_ELEMENTS_FOR_THREADS = 1 << 14
"""Rows times columns."""

_ARGUMENT_TYPES = {"n": ctypes.c_long, "f": ctypes.c_float, "t": ctypes.c_void_p}
_SIGNATURES = {
    "layer_norm": "nn" + "tnft",
    "layer_norm_backward": "nn" + "tnttnttn",
    "batch_norm": "nn" + "tnfttt",
    "batch_norm_backward": "nn" + "tnttnttn",
    "gain_gradient": "nn" + "ttt",
    "lstm_gates": "nnn" + "ttttttt",
    "lstm_output": "nnn" + "tttttt",
    "lstm_output_backward": "nnn" + "ttttt",
    "lstm_gates_backward": "nnn" + "ttttt",
    "gru": "nn" + "ttttttttt",
    "gru_backward": "nn" + "ttttttt",
    "rnn": "nnn" + "tttt",
    "rnn_backward": "nnn" + "ttt",
    "matvec_int8": "nn" + "ttttt",
    "sample_ids": "nn" + "tttt",
}
"""After the number of threads: whole numbers, floats and tensors."""


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


class CompiledKernels:
    """The functions of `kernels.c` over tensors, with the names and arguments of `EagerKernels`."""

    name = "compiled"

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    @functools.cached_property
    def _functions(self) -> dict[str, Any]:
        """With the types of their arguments, so that a call converts nothing: it costs as much as a small pass."""
        functions: dict[str, Any] = {}
        for name, signature in _SIGNATURES.items():
            functions[name] = getattr(self._library, name)
            functions[name].argtypes = [ctypes.c_long, *(_ARGUMENT_TYPES[letter] for letter in signature)]
            functions[name].restype = None
        return functions

    def layer_norm(self, x_BG: Tensor, eps: float, rstd_B: Tensor) -> None:
        self._call("layer_norm", *x_BG.shape, x_BG, x_BG.stride(0), eps, rstd_B)

    def batch_norm(self, x_BG: Tensor, eps: float, rstd_G: Tensor, mean_G: Tensor, variance_G: Tensor) -> None:
        self._call("batch_norm", *x_BG.shape, x_BG, x_BG.stride(0), eps, rstd_G, mean_G, variance_G)

    def layer_norm_backward(
        self, dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd_B: Tensor, dx_BG: Tensor
    ) -> None:
        arguments = (dy_BG, dy_BG.stride(0), gain_G, x_hat_BG, x_hat_BG.stride(0), rstd_B, dx_BG, dx_BG.stride(0))
        self._call("layer_norm_backward", *dy_BG.shape, *arguments)

    def batch_norm_backward(
        self, dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd_G: Tensor, dx_BG: Tensor
    ) -> None:
        arguments = (dy_BG, dy_BG.stride(0), gain_G, x_hat_BG, x_hat_BG.stride(0), rstd_G, dx_BG, dx_BG.stride(0))
        self._call("batch_norm_backward", *dy_BG.shape, *arguments)

    def gain_gradient(self, dy_NG: Tensor, x_hat_NG: Tensor, d_gain_G: Tensor) -> None:
        self._call("gain_gradient", *dy_NG.shape, dy_NG, x_hat_NG, d_gain_G)

    def lstm_gates(
        self,
        inputs_BG: Tensor,
        recurrent_BG: Tensor,
        gain_G: Tensor | None,
        cell_BH: Tensor,
        dropout_mask_BH: Tensor | None,
        gates_BG: Tensor,
        next_cell_BH: Tensor,
    ) -> None:
        coupled = int(gates_BG.shape[1] == 3 * cell_BH.shape[1])
        self._call(
            "lstm_gates",
            *cell_BH.shape,
            coupled,
            inputs_BG,
            recurrent_BG,
            gain_G,
            cell_BH,
            dropout_mask_BH,
            gates_BG,
            next_cell_BH,
        )

    def lstm_output(
        self,
        memory_BH: Tensor,
        gain_H: Tensor | None,
        bias_H: Tensor | None,
        gates_BG: Tensor,
        tanh_BH: Tensor,
        hidden_BH: Tensor,
    ) -> None:
        size = gates_BG.shape[1]
        self._call("lstm_output", *memory_BH.shape, size, memory_BH, gain_H, bias_H, gates_BG, tanh_BH, hidden_BH)

    def lstm_output_backward(
        self, d_hidden_BH: Tensor, gates_BG: Tensor, tanh_BH: Tensor, d_memory_BH: Tensor, d_gates_BG: Tensor
    ) -> None:
        size = gates_BG.shape[1]
        tensors = (d_hidden_BH, gates_BG, tanh_BH, d_memory_BH, d_gates_BG)
        self._call("lstm_output_backward", *tanh_BH.shape, size, *tensors)

    def lstm_gates_backward(
        self, gates_BG: Tensor, cell_BH: Tensor, dropout_mask_BH: Tensor | None, d_cell_BH: Tensor, d_gates_BG: Tensor
    ) -> None:
        coupled = int(gates_BG.shape[1] == 3 * cell_BH.shape[1])
        self._call(
            "lstm_gates_backward", *cell_BH.shape, coupled, gates_BG, cell_BH, dropout_mask_BH, d_cell_BH, d_gates_BG
        )

    def gru(
        self,
        inputs_BG: Tensor,
        recurrent_BG: Tensor,
        gain_G: Tensor | None,
        candidate_bias_H: Tensor,
        hidden_BH: Tensor,
        dropout_mask_BH: Tensor | None,
        gates_BG: Tensor,
        recurrent_candidate_BH: Tensor,
        next_hidden_BH: Tensor,
    ) -> None:
        tensors = (inputs_BG, recurrent_BG, gain_G, candidate_bias_H, hidden_BH, dropout_mask_BH)
        self._call("gru", *hidden_BH.shape, *tensors, gates_BG, recurrent_candidate_BH, next_hidden_BH)

    def gru_backward(
        self,
        gates_BG: Tensor,
        recurrent_candidate_BH: Tensor,
        hidden_BH: Tensor,
        dropout_mask_BH: Tensor | None,
        d_hidden_BH: Tensor,
        d_gates_BG: Tensor,
        d_recurrent_BG: Tensor,
    ) -> None:
        tensors = (
            gates_BG,
            recurrent_candidate_BH,
            hidden_BH,
            dropout_mask_BH,
            d_hidden_BH,
            d_gates_BG,
            d_recurrent_BG,
        )
        self._call("gru_backward", *hidden_BH.shape, *tensors)

    def rnn(
        self, relu: bool, inputs_BH: Tensor, recurrent_BH: Tensor, gain_H: Tensor | None, hidden_BH: Tensor
    ) -> None:
        self._call("rnn", *hidden_BH.shape, int(relu), inputs_BH, recurrent_BH, gain_H, hidden_BH)

    def rnn_backward(self, relu: bool, d_hidden_BH: Tensor, hidden_BH: Tensor, d_gates_BH: Tensor) -> None:
        self._call("rnn_backward", *hidden_BH.shape, int(relu), d_hidden_BH, hidden_BH, d_gates_BH)

    def matvec_int8(self, weight_GK: Tensor, scale_G: Tensor, x_K: Tensor, rounded_K: Tensor, y_G: Tensor) -> None:
        self._call("matvec_int8", *weight_GK.shape, weight_GK, scale_G, x_K, rounded_K, y_G)

    def sample_ids(self, logits_BV: Tensor, uniform_B: Tensor, cumulative_V: Tensor, ids_B: Tensor) -> None:
        self._call("sample_ids", *logits_BV.shape, logits_BV, uniform_B, cumulative_V, ids_B)

    def _call(self, name: str, *arguments: Any) -> None:
        self._functions[name](*_to_c_arguments(arguments))


class BoundKernels(CompiledKernels):
    """Passes that are run again and again over the same tensors: their arguments are made ready once."""

    def __init__(self, library: ctypes.CDLL) -> None:
        super().__init__(library)
        self._last_call: Callable[[], object] | None = None

    def bind(self, run: Callable[..., None], *arguments: Any) -> Callable[[], object]:
        """What runs a method of this object over these arguments. The tensors must stay where they are."""
        run(*arguments)
        assert self._last_call is not None, "one of the passes"
        last, self._last_call = self._last_call, None
        last.saved = arguments  # type: ignore[attr-defined]  # the addresses are those of these tensors
        return last

    def _call(self, name: str, *arguments: Any) -> None:
        self._last_call = partial(self._functions[name], *_to_c_arguments(arguments))


def _to_c_arguments(arguments: tuple[Any, ...]) -> list[Any]:
    """The number of threads, tensors as addresses, None as a null pointer.

    To wake another thread takes longer than a small pass.
    """
    threads = torch.get_num_threads() if arguments[0] * arguments[1] >= _MIN_ELEMENTS_FOR_THREADS else 1
    return [threads, *(argument.data_ptr() if isinstance(argument, Tensor) else argument for argument in arguments)]
