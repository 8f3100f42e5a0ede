"""What a fused unroll keeps for its backward pass, with all tensors as saved tensors, also those inside objects.

    objects ──take out──> the objects without tensors, and a list of tensors ──save_for_backward──> ... ──put back

Tensors in attributes of `ctx` would stay in memory where activations are recomputed: torch.utils.checkpoint drops and
recomputes saved tensors only.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


class HoldsTensors:
    """Base of classes whose attributes hold tensors that a backward pass needs."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a tensor that was taken out: its index among the saved tensors."""

    index: int


def save_objects(ctx: Any, *objects: Any) -> None:
    """Save objects, of any depth of tuples, lists, dicts and HoldsTensors, for the backward pass of `ctx`."""
    tensors: list[Tensor] = []

    def take_out(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        tensors.append(value)
        return _Place(len(tensors) - 1)

    memo: dict[int, Any] = {}
    ctx.objects = [_convert(each, take_out, memo) for each in objects]
    ctx.save_for_backward(*tensors)


def saved_objects(ctx: Any) -> list[Any]:
    """Return the objects of `save_objects`, with their tensors."""
    tensors: Sequence[Tensor] = ctx.saved_tensors
    memo: dict[int, Any] = {}
    return [
        _convert(each, lambda value: tensors[value.index] if isinstance(value, _Place) else value, memo)
        for each in ctx.objects
    ]


def _convert(value: Any, convert_leaf: Callable[[Any], Any], memo: dict[int, Any]) -> Any:
    """Return a copy with other leaves. What is one object in several places stays one object."""
    if id(value) not in memo:
        memo[id(value)] = _convert_new(value, convert_leaf, memo)
    return memo[id(value)]


def _convert_new(value: Any, convert_leaf: Callable[[Any], Any], memo: dict[int, Any]) -> Any:
    match value:
        case list():
            return [_convert(each, convert_leaf, memo) for each in value]
        case tuple():
            return tuple(_convert(each, convert_leaf, memo) for each in value)
        case dict():
            return {key: _convert(each, convert_leaf, memo) for key, each in value.items()}
        case HoldsTensors():
            new = copy.copy(value)
            vars(new).update({name: _convert(each, convert_leaf, memo) for name, each in vars(value).items()})
            return new
        case _:
            return convert_leaf(value)
