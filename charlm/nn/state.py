"""The state a network carries from one chunk of text to the next.

A tuple of tensors with the batch as axis 0 of each; floats in fp32, tokens and counts in int64. What it means is the
business of the module that made it; what can be done to any of them stands here.
"""

from collections.abc import Callable

import torch
from torch import Tensor

State = tuple[Tensor, ...]
ForwardFn = Callable[[Tensor, State], tuple[Tensor, State]]
"""(inputs, state) -> (outputs, state)."""


def detach(state: State) -> State:
    """Cut the gradient: truncated back-propagation through time carries the values on, not their history."""
    return tuple(tensor.detach() for tensor in state)


def reset_rows(state: State, fresh: State, reset_B: Tensor) -> State:
    """`fresh` in the rows where `reset_B` is true, `state` elsewhere."""
    return tuple(
        torch.where(reset_B.view(-1, *[1] * (old.ndim - 1)), new, old) for old, new in zip(state, fresh, strict=True)
    )
