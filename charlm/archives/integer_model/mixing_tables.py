"""What mixes counts with the network: its sizes, its tables, and the numbers with which every text starts.

All of it is computed in whole numbers, the same on every machine, and belongs to the format of the integer model.
Logits are in bits, 8 bits after the point.
"""

import math
from bisect import bisect_right
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.description import CountsDescription

LOGIT_BITS, MANTISSA_BITS, STATE_BITS, P_BITS = 8, 12, 22, 16
LARGEST_LOGIT = 15 << LOGIT_BITS
NUM_LOGITS = 2 * LARGEST_LOGIT + 1
ONE_WEIGHT = 1 << 16
LARGEST_WEIGHT = 16 * ONE_WEIGHT
COUNT_STEPS = (1, 2, 3, 4, 6, 10, 20, 40, 100)
"""The bin of a count is the number of these that it reaches."""
_TYPICAL_COUNTS = (0, 20, 40, 60, 90, 140, 280, 560, 1300, 4000)
"""Of each bin, in twentieths."""
COUNT_BINS = len(_TYPICAL_COUNTS)
MAX_ORDERS = 16
NUM_STATES = 2 * COUNT_BINS**2
NUM_CHOICES = 3
"""Mixtures of a candidate, whose weights are chosen by different contexts; a last mixture joins them."""
NUM_CONTEXTS = 512
NUM_RANKS = 4
NUM_CORRECTIONS, CORRECTION_BITS, NUM_KNOTS = 2, 16, 33
NUM_OTHER_INPUTS = 2
"""What a mixture reads beside the sources: the network's logit, and a constant."""
_NETWORK_WEIGHT, _SLOT_WEIGHT, _TABLE_WEIGHT = 26_214, 9_830, 3_277
"""0.4, 0.15 and 0.05."""
_SPREADS = (40, 40, 40, 14, 14, 14)
"""How many further counts a context of the text so far expects of other symbols, in twentieths; in longer ones
`_LONG_SPREAD`."""
_LONG_SPREAD, _TABLE_SPREAD = 6, 20
_LARGEST_FIRST_P = (1 << STATE_BITS) - (1 << STATE_BITS - 9)
_ROOT_BITS = 60


class Lookups(NamedTuple):
    """Functions as tables of whole numbers."""

    logarithms: npt.NDArray[np.int32]
    """log2(1 + m / 2**12), of m below 2**12."""
    logits: npt.NDArray[np.int32]
    """log2(p / (1 - p)), of p in steps of 2**-12."""
    squashed: npt.NDArray[np.int32]
    """1 / (1 + 2**-x), of all logits x from -15 to 15, 16 bits after the point."""


def count_bin(count: int) -> int:
    return bisect_right(COUNT_STEPS, count)


def state_of(count: int, others: int, *, is_last: bool) -> int:
    """Return the state of a candidate in a context.

    Args:
        count: how often the candidate followed.
        others: how often those followed that are neither the candidate nor before it.
        is_last: whether the candidate was the last to follow.
    """
    return (count_bin(count) * COUNT_BINS + count_bin(others)) * 2 + is_last


def num_sources(description: CountsDescription) -> int:
    return len(description.orders) + len(description.table_orders)


@cache
def make_lookups() -> Lookups:
    """Return the tables, which are the same for all models."""
    unit = 1 << LOGIT_BITS
    roots = [1 << _ROOT_BITS]  # 2**(-k / unit)
    step = _half_roots(LOGIT_BITS)
    while len(roots) < unit:
        roots.append(roots[-1] * step >> _ROOT_BITS)
    squashed: list[int] = []
    for logit in range(LARGEST_LOGIT + 1):
        power = roots[logit % unit] >> (logit // unit)
        squashed.append(min((((2 << _ROOT_BITS + P_BITS) // ((1 << _ROOT_BITS) + power)) + 1) >> 1, (1 << P_BITS) - 1))
    below = [max(1, (1 << P_BITS) - p) for p in squashed[:0:-1]]
    whole = 1 << MANTISSA_BITS
    return Lookups(
        np.array([_logarithm(whole + k) - _logarithm(whole) for k in range(whole)], dtype=np.int32),
        np.array([_logarithm(2 * k + 1) - _logarithm(2 * whole - 2 * k - 1) for k in range(whole)], dtype=np.int32),
        np.array([*below, *squashed], dtype=np.int32),
    )


def _half_roots(number: int) -> int:
    """Return 1/2, of which the square root was taken so many times, as a fraction with `_ROOT_BITS`."""
    value = 1 << (_ROOT_BITS - 1)
    for _ in range(number):
        value = math.isqrt(value << _ROOT_BITS)
    return value


def _logarithm(value: int) -> int:
    """Return log2 of a whole number above 0, rounded, with `LOGIT_BITS`; one bit of it for each squaring."""
    found = value.bit_length() - 1
    rest = value << _ROOT_BITS >> found
    for _ in range(LOGIT_BITS + 1):
        rest = rest * rest >> _ROOT_BITS
        bit = rest >> (_ROOT_BITS + 1)
        rest >>= bit
        found = 2 * found + bit
    return (found + 1) >> 1


def first_weights(description: CountsDescription) -> npt.NDArray[np.int32]:
    """Return the weights of the inputs of a mixture with which every text starts."""
    slots, tables = (len(orders) for orders in (description.orders, description.table_orders))
    return np.array([_NETWORK_WEIGHT, 0, *[_SLOT_WEIGHT] * slots, *[_TABLE_WEIGHT] * tables], dtype=np.int32)


def first_states(description: CountsDescription) -> npt.NDArray[np.int32]:
    """Return the probability of each state of each source with which every text starts."""
    slots, tables = (len(orders) for orders in (description.orders, description.table_orders))
    spreads = [*_SPREADS, *[_LONG_SPREAD] * slots][:slots] + [_TABLE_SPREAD] * tables
    return np.array([_states_of_source(spread) for spread in spreads], dtype=np.int32).reshape(-1, NUM_STATES)


def first_final_weights() -> list[list[int]]:
    """Return the weights of the last mixture for each rank and longest context, (NUM_CHOICES,) each.

    Where the text so far knows nothing, the first mixture counts alone, and it begins with what the network says.
    """
    known = [ONE_WEIGHT // NUM_CHOICES] * NUM_CHOICES
    unknown = [ONE_WEIGHT, *[0] * (NUM_CHOICES - 1)]
    return [[*known] if longest else [*unknown] for _ in range(NUM_RANKS) for longest in range(MAX_ORDERS + 1)]


def _states_of_source(spread: int) -> list[int]:
    """Return the probability of each state: a candidate's part of the counts, with some more for other symbols."""
    found: list[int] = []
    for count in _TYPICAL_COUNTS:
        for others in _TYPICAL_COUNTS:
            for is_last in (0, 1):
                p = ((count + 1 + 4 * is_last) << STATE_BITS) // (count + others + spread + 6)
                found.append(min(p, _LARGEST_FIRST_P))
    return found
