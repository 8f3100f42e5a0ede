"""Whether the numbers of a row depend on its place in a batch, on the other rows, or on their number.

They should not, but which order a library adds products in is its own business. It is tried out with the model itself.

B rows, T time, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from charlm.nn.state import State, concatenate_rows, select_rows
from charlm.sampling.fast.stepper import StepperBuilder, count_tensors
from charlm.serving.batching.prompt_queue import CHUNK
from charlm.serving.text_starts import TextStart

GROUP_SIZE = 16
"""Rows of a group. More would make a text that is asked for alone slower; fewer, many texts."""
_NUM_STEPS = 8
_SIZES = (*range(1, 34), 48, 64, 96, 128)
"""Numbers of rows that are stepped, to see whether they matter; `Limits.rows` is the last."""
_NUM_STEPS_OF_A_SIZE = 2


@dataclass(frozen=True, slots=True)
class Grouping:
    """The sizes of groups in which a row has the same numbers, bit for bit, at each place and beside any others."""

    chunk_rows: int | None
    """Of prompts that are read in chunks. None: any number."""
    step_rows: int | None
    """Of rows that are stepped. None: any number."""


NO_GROUPS = Grouping(None, None)


@torch.inference_mode()
def reliable_grouping(start: TextStart, device: torch.device) -> Grouping:
    """Return groups that are reliable: of 16 rows, or of 1, which always are; for steps on a CPU groups of any size, if
    their number of rows does not matter.

    Args:
        start: of any text of the model.
    """
    if (
        start.model.stride_period > 1
    ):  # rows of different phases step apart, so that others change the shape of products
        return Grouping(1, 1)
    trial = _Trial(start, device)
    if device.type == "cpu" and trial.any_number_steps_alike():
        return Grouping(trial.chunk_rows(), None)
    return Grouping(trial.chunk_rows(), GROUP_SIZE if trial.groups_step_alike() else 1)


class _Trial:
    """Random texts of a model, which are read in other orders, beside copies of one, and in other numbers."""

    def __init__(self, start: TextStart, device: torch.device) -> None:
        self._model = start.model
        self._device = device
        self._start_states = [start.state]
        self._generator = torch.Generator().manual_seed(0)
        self._builder = StepperBuilder(start.model, streams_change=True)
        self._prompts_BT = self._random_ids(_SIZES[-1], CHUNK)
        self._ids_BT = self._random_ids(_SIZES[-1], _NUM_STEPS)
        self._state: State = self._read(self._prompts_BT)[1:]

    def chunk_rows(self) -> int:
        """Return the size of groups in which a chunk of a prompt is read alike.

        Some networks count the tokens that a row has read. Rows of different counts may be computed in another way.
        """
        if count_tensors(self._model, self._state):
            return 1
        return GROUP_SIZE if self._is_alike(lambda rows_B: self._read(self._prompts_BT[rows_B])) else 1

    def groups_step_alike(self) -> bool:
        """Whether rows have the same logits in a group, at any place and beside any others."""
        return self._is_alike(lambda rows_B: (self._step(rows_B, _NUM_STEPS),))

    def any_number_steps_alike(self) -> bool:
        """Whether rows have the same logits in batches of each of some sizes, at any place."""
        expected_BTV = self._step(torch.arange(_SIZES[-1]), _NUM_STEPS_OF_A_SIZE)
        batches = (torch.randperm(_SIZES[-1], generator=self._generator)[:size] for size in _SIZES)
        return all(torch.equal(self._step(rows_B, _NUM_STEPS_OF_A_SIZE), expected_BTV[rows_B]) for rows_B in batches)

    def _is_alike(self, run: Callable[[Tensor], tuple[Tensor, ...]]) -> bool:
        """Whether a group has the same numbers in another order, and its first row beside copies of itself."""
        order_B = torch.randperm(GROUP_SIZE, generator=self._generator)
        expected, permuted = run(torch.arange(GROUP_SIZE)), run(order_B)
        copies = run(torch.zeros(GROUP_SIZE, dtype=torch.int64))
        return all(
            torch.equal(other, tensor[order_B]) and torch.equal(copy[0], tensor[0])
            for tensor, other, copy in zip(expected, permuted, copies, strict=True)
        )

    def _random_ids(self, rows: int, length: int) -> Tensor:
        ids_BT = torch.randint(self._model.head.vocab_size, (rows, length), generator=self._generator)
        return ids_BT.to(self._device)

    def _read(self, ids_BT: Tensor) -> tuple[Tensor, ...]:
        """Return the logits after a chunk, and the state."""
        features_BTH, state = self._model(ids_BT, concatenate_rows(self._start_states * len(ids_BT)))
        return self._model.head.logits(features_BTH[:, -1]), *state

    def _step(self, rows_B: Tensor, num_steps: int) -> Tensor:
        """Return [B, T, V] the logits of rows after each step."""
        rows_B = rows_B.to(self._device)
        stepper = self._builder.build(select_rows(self._state, rows_B))
        ids_TB = self._ids_BT[rows_B, :num_steps].t()
        return torch.stack([stepper.step(tokens_B).clone() for tokens_B in ids_TB], dim=1)
