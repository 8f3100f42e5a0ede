"""Filters of texts that draw side by side: texts whose filters differ in the temperature alone share their operations.

    filters of each text ──group_of──> groups ──merge_filters──> filters of a group, with a temperature for each row

B texts, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor

from charlm.sampling.filters import LEAST_TEMPERATURE, NO_CONTEXT, DrawContext, Filter, Temperature, scale_logits

_SOME_TEMPERATURE = Temperature(0.5)


@dataclass(frozen=True, slots=True, eq=False)
class RowTemperatures:
    """A temperature for each row; a row is what its `Temperature` alone would make of it."""

    value_B1: Tensor

    def __call__(self, logits_BV: Tensor, context: DrawContext = NO_CONTEXT) -> Tensor:
        del context
        return scale_logits(logits_BV, self.value_B1)


def group_of(filters: Sequence[Filter]) -> tuple[Filter, ...]:
    """Return the same for all filters that can be merged."""
    return tuple(_SOME_TEMPERATURE if _scales(each) else each for each in filters)


def merge_filters(filters_of_rows: Sequence[Sequence[Filter]]) -> tuple[Filter, ...]:
    """Return the filters of a group; row i is filtered as its own filters would do."""
    return tuple(_merge(column) for column in zip(*filters_of_rows, strict=True))


def _merge(filters: Sequence[Filter]) -> Filter:
    values = [each.value for each in filters if _scales(each)]
    if len(set(values)) <= 1:
        return filters[0]
    return RowTemperatures(torch.tensor(values)[:, None])


def _scales(each: Filter) -> TypeGuard[Temperature]:
    """Whether a filter divides all logits by one temperature."""
    if not isinstance(each, Temperature) or each.end is not None:
        return False
    return each.value != 1 and each.value >= LEAST_TEMPERATURE
