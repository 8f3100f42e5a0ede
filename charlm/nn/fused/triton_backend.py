"""The passes of a recurrent step on a GPU: the Triton kernels of `triton_kernels.py`, a launch for each pass.

No Triton, or no C compiler for its launchers: `eager.py` does the same in torch, with several launches for each pass.
"""

import functools
import importlib
import importlib.util
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from charlm.nn.fused.eager import EagerKernels

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
        kernels = importlib.import_module("charlm.nn.fused.triton_kernels")
        TritonKernels(kernels).layer_norm(torch.zeros(1, 2, device=device), 1.0, torch.zeros(1, device=device))
    except Exception:  # noqa: BLE001 - a convenience that failed is no error: `--dry-run` tells which passes run
        return None
    return kernels


class TritonKernels(EagerKernels):
    """Those of every step are kernels; those of a whole chunk, and the ones of sampling, are torch's."""

    name = "triton"

    def __init__(self, kernels: Any) -> None:
        self._kernels = kernels

    def layer_norm(self, x_BG: Tensor, eps: float, rstd_B: Tensor) -> None:
        batch_size, size = x_BG.shape
        if batch_size:
            self._kernels.layer_norm[(batch_size,)](x_BG, x_BG.stride(0), eps, rstd_B, size, **_row_launch(size))

    def batch_norm(self, x_BG: Tensor, eps: float, rstd_G: Tensor, mean_G: Tensor, variance_G: Tensor) -> None:
        batch_size, size = x_BG.shape
        statistics = rstd_G, mean_G, variance_G
        self._kernels.batch_norm[_column_grid(size)](x_BG, x_BG.stride(0), eps, *statistics, batch_size, size, **_TILE)

    def layer_norm_backward(
        self, dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd_B: Tensor, dx_BG: Tensor
    ) -> None:
        batch_size, size = dy_BG.shape
        arguments = (dy_BG, dy_BG.stride(0), gain_G, x_hat_BG, x_hat_BG.stride(0), rstd_B, dx_BG, dx_BG.stride(0))
        if batch_size:
            self._kernels.layer_norm_backward[(batch_size,)](*arguments, size, **_row_launch(size))

    def batch_norm_backward(
        self, dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd_G: Tensor, dx_BG: Tensor
    ) -> None:
        arguments = (dy_BG, dy_BG.stride(0), gain_G, x_hat_BG, x_hat_BG.stride(0), rstd_G, dx_BG, dx_BG.stride(0))
        self._kernels.batch_norm_backward[_column_grid(dy_BG.shape[1])](*arguments, *dy_BG.shape, **_TILE)

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
        tensors = (inputs_BG, recurrent_BG, gain_G, cell_BH, dropout_mask_BH, gates_BG, next_cell_BH)
        self._elementwise("lstm_gates", cell_BH, *tensors, COUPLED=_is_coupled(gates_BG, cell_BH))

    def lstm_output(
        self,
        memory_BH: Tensor,
        gain_H: Tensor | None,
        bias_H: Tensor | None,
        gates_BG: Tensor,
        tanh_BH: Tensor,
        hidden_BH: Tensor,
    ) -> None:
        num_gates = gates_BG.shape[1] // tanh_BH.shape[1]
        tensors = (memory_BH, gain_H, bias_H, gates_BG, tanh_BH, hidden_BH)
        self._elementwise("lstm_output", tanh_BH, *tensors, num_gates=num_gates)

    def lstm_output_backward(
        self, d_hidden_BH: Tensor, gates_BG: Tensor, tanh_BH: Tensor, d_memory_BH: Tensor, d_gates_BG: Tensor
    ) -> None:
        num_gates = gates_BG.shape[1] // tanh_BH.shape[1]
        tensors = (d_hidden_BH, gates_BG, tanh_BH, d_memory_BH, d_gates_BG)
        self._elementwise("lstm_output_backward", tanh_BH, *tensors, num_gates=num_gates)

    def lstm_gates_backward(
        self, gates_BG: Tensor, cell_BH: Tensor, dropout_mask_BH: Tensor | None, d_cell_BH: Tensor, d_gates_BG: Tensor
    ) -> None:
        tensors = (gates_BG, cell_BH, dropout_mask_BH, d_cell_BH, d_gates_BG)
        self._elementwise("lstm_gates_backward", cell_BH, *tensors, COUPLED=_is_coupled(gates_BG, cell_BH))

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
        self._elementwise("gru", hidden_BH, *tensors, gates_BG, recurrent_candidate_BH, next_hidden_BH)

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
        self._elementwise("gru_backward", hidden_BH, *tensors)

    def rnn(
        self, relu: bool, inputs_BH: Tensor, recurrent_BH: Tensor, gain_H: Tensor | None, hidden_BH: Tensor
    ) -> None:
        self._elementwise("rnn", hidden_BH, inputs_BH, recurrent_BH, gain_H, hidden_BH, RELU=relu)

    def rnn_backward(self, relu: bool, d_hidden_BH: Tensor, hidden_BH: Tensor, d_gates_BH: Tensor) -> None:
        self._elementwise("rnn_backward", hidden_BH, d_hidden_BH, hidden_BH, d_gates_BH, RELU=relu)

    def _elementwise(self, name: str, like_BH: Tensor, *tensors: Tensor | None, **constants: int) -> None:
        """A program for each row and block of columns; all tensors are contiguous but for the slices of norms."""
        batch_size, size = like_BH.shape
        if batch_size:
            getattr(self._kernels, name)[(batch_size, -(-size // _BLOCK))](
                *tensors, size=size, BLOCK=_BLOCK, **constants
            )


def _is_coupled(gates_BG: Tensor, cell_BH: Tensor) -> bool:
    return gates_BG.shape[1] == 3 * cell_BH.shape[1]


def _row_launch(size: int) -> dict[str, int]:
    """A block that holds a whole row, and the warps that share it."""
    block = 1 << (size - 1).bit_length()
    return {"BLOCK": block, "num_warps": min(16, max(1, block // 512))}


def _column_grid(size: int) -> tuple[int]:
    return (-(-size // _TILE["COLUMNS"]),)
