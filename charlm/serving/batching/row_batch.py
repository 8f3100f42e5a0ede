"""Rows of one model that step side by side, joining and leaving at every step.

    rows, token of each ──groups──> state of a group ──stepper──> logits of each row

A row's state is in the stepper of its group as long as it stays; when a row joins or leaves, its group gets a new
stepper, which shares the model's matrices. By default all rows are one group. With a group size, each group has always
this size, filled up with copies of a row, so that products have one shape whoever else asks (`--deterministic`).

B rows, V vocabulary.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from charlm.nn.model import LanguageModel
from charlm.nn.state import State, concatenate_rows, select_rows
from charlm.sampling.fast.base import Stepper
from charlm.sampling.fast.stepper import StepperBuilder
from charlm.serving.batching.rows import Row


class RowBatch:
    """The rows of one model."""

    def __init__(self, model: LanguageModel, device: torch.device, group_size: int | None) -> None:
        self._builder = StepperBuilder(model, streams_change=True)
        self._device = device
        self._group_size = group_size
        self._groups: list[_Group] = []

    @torch.inference_mode()
    def step(self, rows: Sequence[Row], tokens: Sequence[int]) -> None:
        """Let each row read a token, and give it the logits after it. Rows that are not named are given back."""
        token_of = dict(zip(rows, tokens, strict=True))
        for group in self._assign(rows):
            group.step([token_of[row] for row in group.rows])

    @torch.inference_mode()
    def copy_states(self, rows: Sequence[Row]) -> None:
        """Give rows that have read their last token a copy of their state."""
        wanted = set(rows)
        for group in self._groups:
            if not wanted.isdisjoint(group.rows):
                group.copy_states(wanted)

    def clear(self) -> None:
        """Forget all rows, after an error."""
        self._groups = []

    def _assign(self, rows: Sequence[Row]) -> "list[_Group]":
        """Return the groups of exactly these rows; a row stays where it is."""
        chosen = set(rows)
        kept = [[row for row in group.rows if row in chosen] for group in self._groups]
        placed = {row for group in kept for row in group}
        joining = [row for row in rows if row not in placed]
        size = self._group_size or len(rows)
        while joining:
            free = next((number for number, group in enumerate(kept) if len(group) < size), None)
            if free is None:
                self._groups.append(_Group(self._builder, self._device, self._group_size))
                kept.append([])
                free = len(kept) - 1
            room = size - len(kept[free])
            kept[free] += joining[:room]
            joining = joining[room:]
        for group, members in zip(self._groups, kept, strict=True):
            group.set_rows(members)
        self._groups = [group for group in self._groups if group.rows]
        return self._groups


class _Group:
    """Rows that one stepper holds."""

    def __init__(self, builder: StepperBuilder, device: torch.device, size: int | None) -> None:
        self._builder = builder
        self._device = device
        self._size = size
        self._stepper: Stepper | None = None
        self.rows: list[Row] = []

    def set_rows(self, rows: list[Row]) -> None:
        """Hold exactly these rows; the others get their states back, if they need them."""
        if rows == self.rows:
            return
        places = {row: place for place, row in enumerate(self.rows)}
        states: list[State] = []
        if self._stepper is not None:
            staying = set(rows)
            self.copy_states({row for row in self.rows if row not in staying and row.is_open})
            states.append(self._stepper.state())
        first_new = self._padded(len(self.rows)) if states else 0
        for row in rows:
            if row not in places:
                assert row.state is not None, "no group holds it"
                places[row] = first_new + len(states) - (self._stepper is not None)
                states.append(row.state)
                row.state = None
        self.rows, self._stepper = rows, None
        if rows:
            chosen = [places[row] for row in rows]
            state = select_rows(concatenate_rows(states), self._index(self._fill_up(chosen)))
            self._stepper = self._builder.build(state)

    def copy_states(self, rows: Collection[Row]) -> None:
        """Give some rows their states and logits, in memory of their own."""
        if not rows:
            return
        assert self._stepper is not None, "a group has rows"
        state = self._stepper.state()
        for place, row in enumerate(self.rows):
            if row in rows:
                row.state = select_rows(state, self._index([place]))
                row.logits_V = None if row.logits_V is None else row.logits_V.clone()

    def step(self, tokens: list[int]) -> None:
        assert self._stepper is not None, "a group has rows"
        logits_BV = self._stepper.step(self._index(self._fill_up(tokens))).cpu()
        for row, logits_V in zip(self.rows, logits_BV.unbind(0), strict=False):
            row.logits_V = logits_V

    def _fill_up(self, numbers: list[int]) -> list[int]:
        """Repeat the first number up to the size of the group."""
        return numbers + numbers[:1] * (self._padded(len(numbers)) - len(numbers))

    def _padded(self, num_rows: int) -> int:
        return num_rows if self._size is None else self._size

    def _index(self, numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, device=self._device)
