"""The state that a network carries from one chunk of text to the next.

A state is a tuple of tensors whose axis 0 is the batch: floats in fp32, tokens and counts in int64. Its content is
opaque to all but the module that made it. The functions here work on any state.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

State = tuple[Tensor, ...]
ForwardFn = Callable[[Tensor, State], tuple[Tensor, State]]
"""(inputs, state) -> (outputs, state)."""


def detach(state: State) -> State:
    """Return the state without its history, as truncated back-propagation through time needs it."""
    return tuple(tensor.detach() for tensor in state)


def reset_rows(state: State, fresh: State, reset_B: Tensor) -> State:
    """Return `fresh` in the rows where `reset_B` is true, and `state` in all others."""
    return tuple(
        torch.where(reset_B.view(-1, *[1] * (old.ndim - 1)), new, old) for old, new in zip(state, fresh, strict=True)
    )


def select_rows(state: State, rows_N: Tensor) -> State:
    """Return a copy of some rows of a state."""
    return tuple(tensor.index_select(0, rows_N) for tensor in state)


def concatenate_rows(states: Sequence[State]) -> State:
    """Return the rows of several states of one model, one after the other."""
    return tuple(torch.cat(tensors) for tensors in zip(*states, strict=True))
