"""Which unroll runs a cell: torch's kernels, the fused passes, or the plain steps. All give the same, faster or slower.

torch    cells that torch has kernels for: oneDNN's LSTM on CPUs, cuDNN on GPUs
fused    these and normalised, coupled, zoned-out ones: our own passes between torch's matrix products
plain    every cell; single steps; and what the others refuse
"""

import torch
from torch import Tensor

from charlm.errors import SettingsError
from charlm.nn.cells.base import Cell, Unroll, Weights, unroll
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.fused.gru import unroll_gru
from charlm.nn.fused.lstm import unroll_lstm
from charlm.nn.fused.rnn import unroll_rnn
from charlm.nn.fused.torch_unrolls import torch_fits, torch_unroll
from charlm.nn.state import State


class Backend:
    """The unrolls of one cell, and the choice between them for each chunk."""

    def __init__(self, cell: Cell, requested: str) -> None:
        """
        Args:
            requested: "auto", "torch", "fused" or "plain".

        Raises:
            SettingsError: that backend cannot run this cell.
        """
        self._unrolls: dict[str, Unroll] = {"plain": unroll}
        for name, found in (("torch", torch_unroll(cell)), ("fused", fused_unroll(cell))):
            if found is not None:
                self._unrolls[name] = found
        if requested not in ("auto", *self._unrolls):
            raise SettingsError(
                f'model.body.backend = "{requested}" cannot run this cell with these norms and dropouts',
                'set model.body.backend to "auto"',
            )
        cpu = ("torch", "fused") if isinstance(cell, LSTMCell) else ("fused", "torch")
        self._cpu_order, self._accelerator_order = (
            tuple(name for name in (order if requested == "auto" else (requested,)) if name in self._unrolls)
            for order in ((*cpu, "plain"), ("torch", "fused", "plain"))
        )

    def name_for(self, device: torch.device) -> str:
        """What runs chunks of training."""
        return self._order(device)[0]

    def run(self, cell: Cell, x_BTD: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
        for name in self._order(x_BTD.device):
            if _FITS[name](cell, x_BTD, state):
                return self._unrolls[name](cell, x_BTD, state, weights)
        return unroll(cell, x_BTD, state, weights)

    def _order(self, device: torch.device) -> tuple[str, ...]:
        """The fastest first."""
        return self._cpu_order if device.type in ("cpu", "meta") else self._accelerator_order


def fused_unroll(cell: Cell) -> Unroll | None:
    """Our fast unroll for this cell, or None where there is none."""
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
        case _:
            return None


def fused_fits(cell: Cell, x_BTD: Tensor, state: State) -> bool:
    """Whether the fused passes take this chunk and are faster than the plain step.

    Batch normalisation: in training alone, and where all rows are at the same step.
    """
    batch_size, num_steps, _ = x_BTD.shape
    if batch_size == 0 or num_steps < 2:
        return False
    if not cell.options.norms.has_step_statistics:
        return True
    steps_B = state[-1]
    return cell.training and bool((steps_B == steps_B[0]).all())


def _always(cell: Cell, x_BTD: Tensor, state: State) -> bool:
    del cell, x_BTD, state
    return True


_FITS = {"torch": torch_fits, "fused": fused_fits, "plain": _always}
