"""Which unroll runs a cell. All unrolls give the same result.

torch    torch's own kernels, for cells that they know: oneDNN's LSTM on CPUs, cuDNN on GPUs
fused    charlm's kernels between torch's matrix products; also for normalised, coupled and zoned-out cells.
         On a CPU, a chunk of an LSTM or a GRU runs as one call of C, which is faster than both; `fits_in_c` has
         the exceptions
plain    the steps of the cell one by one, for every cell
"""

import torch
from torch import Tensor

from charlm.errors import SettingsError
from charlm.nn.cells.base import Cell, Unroll, Weights, unroll
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.mingru import MinGRUCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.fused.chunk_in_c import MIN_HIDDEN_SIZE, chunk_fits, evaluation_fits, runs_in_c
from charlm.nn.fused.gru import unroll_gru
from charlm.nn.fused.gru_unroll import unroll_batch_gru_in_c, unroll_gru_in_c
from charlm.nn.fused.lstm import unroll_lstm
from charlm.nn.fused.lstm_unroll import unroll_batch_lstm_in_c, unroll_lstm_in_c
from charlm.nn.fused.mingru import unroll_mingru
from charlm.nn.fused.rnn import unroll_rnn
from charlm.nn.fused.torch_unrolls import torch_fits, torch_unroll
from charlm.nn.norm import MIN_ROWS
from charlm.nn.state import State


class Backend:
    """The unrolls of one cell, of which each chunk gets the fastest that can run it."""

    def __init__(self, cell: Cell, requested: str) -> None:
        """
        Args:
            requested: "auto", "torch", "fused" or "plain".

        Raises:
            SettingsError: the requested backend cannot run this cell.
        """
        self._unrolls: dict[str, Unroll] = {"plain": unroll}
        for name, found in (("torch", torch_unroll(cell)), ("fused", fused_unroll(cell))):
            if found is not None:
                self._unrolls[name] = found
        if requested not in ("auto", *self._unrolls):
            raise SettingsError(
                f'model.body.backend = "{requested}" cannot run this cell with these norms and dropouts',
                "set model.body.backend=auto",
            )
        self._unroll_in_c = unroll_in_c(cell) if requested in ("auto", "fused") else None
        self._trains_in_c = self._unroll_in_c is not None and trains_in_c(cell)
        cpu = ("torch", "fused") if isinstance(cell, LSTMCell) else ("fused", "torch")
        self._cpu_order, self._accelerator_order = (
            tuple(name for name in (order if requested == "auto" else (requested,)) if name in self._unrolls)
            for order in ((*cpu, "plain"), ("torch", "fused", "plain"))
        )

    def name_for(self, device: torch.device) -> str:
        """The name of the unroll that runs training chunks on a device, under autocast if that is on."""
        if self._trains_in_c and runs_in_c(device):
            return "fused"
        return self._order(device)[0]

    def run(self, cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
        if self._unroll_in_c is not None and fits_in_c(cell, x_BTD, state):
            return self._unroll_in_c(cell, x_BTD, state, weights)
        for name in self._order(x_BTD.device):
            if _FITS[name](cell, x_BTD, state):
                return self._unrolls[name](cell, x_BTD, state, weights)
        return unroll(cell, x_BTD, state, weights)

    def _order(self, device: torch.device) -> tuple[str, ...]:
        """The unrolls, the fastest first."""
        return self._cpu_order if device.type in ("cpu", "meta") else self._accelerator_order


def unroll_in_c(cell: Cell) -> Unroll | None:
    """Return the unroll of this cell that is one call of C, or None if there is none, or it is not faster."""
    has_batch_norm = cell.options.norms.has_step_statistics
    if cell.hidden_size < MIN_HIDDEN_SIZE or (has_batch_norm and not cell.time_batched):
        return None
    match cell:
        case LSTMCell():
            return unroll_batch_lstm_in_c if has_batch_norm else unroll_lstm_in_c
        case GRUCell():
            return unroll_batch_gru_in_c if has_batch_norm else unroll_gru_in_c
        case _:
            return None


def trains_in_c(cell: Cell) -> bool:
    """Whether the unroll in C of this cell has a backward pass."""
    norms = cell.options.norms
    return not norms.has_step_statistics or not norms.per_step


def fits_in_c(cell: Cell, x_BTD: Tensor, state: State) -> bool:
    """Whether the unroll in C can run this chunk of its cell, and faster than the others."""
    if not chunk_fits(cell, x_BTD):
        return False
    if not cell.options.norms.has_step_statistics:
        return True
    if cell.training:
        return trains_in_c(cell) and fused_fits(cell, x_BTD, state)
    return evaluation_fits(cell, state)


def fused_unroll(cell: Cell) -> Unroll | None:
    """Return the fused unroll for this cell, or None if there is none."""
    norms = cell.options.norms
    if not cell.time_batched or (norms.has_step_statistics and norms.per_step):
        return None
    match cell:
        case LSTMCell():
            return unroll_lstm
        case GRUCell(reset="after"):
            return unroll_gru
        case RNNCell() if not cell.options.recurrent_dropout:
            return unroll_rnn
        case MinGRUCell():
            return unroll_mingru
        case _:
            return None


def fused_fits(cell: Cell, x_BTD: Tensor, state: State) -> bool:
    """Whether a fused unroll can run this chunk, and faster than the plain steps.

    With batch normalisation, it runs only in training, and only if all rows are at the same step and none ends before
    the chunk does.
    """
    batch_size, num_steps, _ = x_BTD.shape
    if batch_size == 0 or num_steps < 2:
        return False
    if not cell.options.norms.has_step_statistics:
        return True
    steps_B, *steps_after_end = (tensor for tensor in state if not tensor.is_floating_point())
    if steps_after_end and (batch_size < MIN_ROWS or bool((steps_after_end[0] + num_steps > 0).any())):
        return False
    return cell.training and bool((steps_B == steps_B[0]).all())


def _always(cell: Cell, x_BTD: Tensor, state: State) -> bool:
    del cell, x_BTD, state
    return True


_FITS = {"torch": torch_fits, "fused": fused_fits, "plain": _always}
