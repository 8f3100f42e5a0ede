"""Dilation: h_t comes from h_{t-d} (Chang et al., 2017), so a layer is d interleaved layers with shared weights.

    tokens   a b c d e f g        d = 3:   slot 0: a d g        the state holds d slots, the next one first
                                           slot 1: b e
                                           slot 2: c f

The slots run as rows of one batch: a chunk of T steps becomes T / d steps with d times the rows.

B batch, T time, D inputs, H hidden, d slots, n steps of each slot.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from charlm.nn.state import ForwardFn, State


def initial_dilated_state(make_state: Callable[[int], State], batch_size: int, dilation: int) -> State:
    """Return the state of `make_state`; with dilation, it has an axis of slots after the batch."""
    if dilation == 1:
        return make_state(batch_size)
    return tuple(tensor.unflatten(0, (batch_size, dilation)) for tensor in make_state(batch_size * dilation))


def run_dilated(run: ForwardFn, dilation: int, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    """Run each of the interleaved sequences. Their lengths in a chunk may differ by one step."""
    if dilation == 1:
        return run(x_BTD, state)
    num_full_rounds, num_remaining = divmod(x_BTD.shape[1], dilation)
    pieces: list[Tensor] = []
    if num_full_rounds:
        output, state = _run_slots(run, x_BTD[:, : num_full_rounds * dilation], dilation, state)
        pieces.append(output)
    if num_remaining:
        stepped_state, state = (
            tuple(tensor[:, :num_remaining] for tensor in state),
            tuple(tensor[:, num_remaining:] for tensor in state),
        )
        output, stepped_state = _run_slots(run, x_BTD[:, num_full_rounds * dilation :], num_remaining, stepped_state)
        state = tuple(
            torch.cat([unstepped, stepped], dim=1) for unstepped, stepped in zip(state, stepped_state, strict=True)
        )
        pieces.append(output)
    if not pieces:
        output, _ = run(x_BTD, tuple(tensor[:, 0] for tensor in state))
        pieces.append(output)
    return torch.cat(pieces, dim=1), state


def _run_slots(run: ForwardFn, x_BTD: Tensor, num_slots: int, state: State) -> tuple[Tensor, State]:
    """Run s slots: steps 0, s, 2 s, ... belong to slot 0, and so on. T is a multiple of s."""
    batch_size = len(x_BTD)
    rows = x_BTD.unflatten(1, (-1, num_slots)).transpose(1, 2).flatten(0, 1)  # row b s + k: slot k of row b
    output, next_state = run(rows, tuple(tensor.flatten(0, 1) for tensor in state))
    output_BTH = output.unflatten(0, (batch_size, num_slots)).transpose(1, 2).flatten(1, 2)
    return output_BTH, tuple(tensor.unflatten(0, (batch_size, num_slots)) for tensor in next_state)
