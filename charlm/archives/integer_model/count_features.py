"""The features of a candidate, their numbers, and the weights and rates with which every text starts.

n: index of the length of the context; c: how often the candidate followed it; o: how often other symbols did

n * COUNT_FEATURES + bin(c) * 5 + bin(o)                                 for each context that knows the candidate
N * COUNT_FEATURES + n * LONGEST_FEATURES + is_longest * 8 + level       for the longest context that knows it
"""

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.description import CountsDescription
from charlm.archives.integer_model.fixed_point import GATE_BITS

SLOT_SYMBOLS = 7
MAX_FOLLOWERS = 16
"""A context of the tables that more symbols followed is left to the network."""
MAX_COUNT = 255
COUNT_STEPS = (2, 3, 4, 6, 10, 20)
"""A count from 1 on falls into the bin of so many steps that it reaches."""
OTHER_STEPS = (1, 2, 3, 6)
COUNT_FEATURES = (len(COUNT_STEPS) + 1) * (len(OTHER_STEPS) + 1)
NETWORK_SHIFTS = (14, 11, 8, 6, 4, 2, 1)
"""The level of a candidate is the number of these for which the network finds it at least 2**-shift probable."""
_SURPRISES = (16.0, 12.5, 9.5, 7.0, 5.0, 3.0, 1.5, 0.65)
"""The bits that a candidate of each level costs by the network alone, about."""
_TYPICAL_SURPRISE = 2.5
LONGEST_FEATURES = 2 * len(_SURPRISES)
LOWEST_BONUS, HIGHEST_BONUS = -10 << GATE_BITS, 14 << GATE_BITS
LOWEST_RATE, FIRST_RATE, RATE_DECAY = 1000, 16384, 128
"""A weight that was changed n times moves by LOWEST_RATE + FIRST_RATE RATE_DECAY / (RATE_DECAY + n), in 2**-16 bits."""
MAX_UPDATES = (1 << 16) - 1


def num_features(description: CountsDescription) -> int:
    lengths = len(description.orders) + len(description.table_orders)
    return lengths * (COUNT_FEATURES + LONGEST_FEATURES)


def count_feature(n: int, count: int, others: int) -> int:
    """Return the feature of a context, from how often the candidate followed it, and how often other symbols did."""
    return (
        n * COUNT_FEATURES
        + bisect_right(COUNT_STEPS, count) * (len(OTHER_STEPS) + 1)
        + bisect_right(OTHER_STEPS, others)
    )


def longest_feature(num_orders: int, n: int, level: int, *, is_longest: bool) -> int:
    """Return the feature of the longest context that knows the candidate.

    Args:
        is_longest: whether no longer context knows any symbol.
    """
    return num_orders * COUNT_FEATURES + n * LONGEST_FEATURES + is_longest * len(_SURPRISES) + level


def first_weights(description: CountsDescription) -> npt.NDArray[np.int32]:
    """Return the weights with which every text starts, 16 bits after the point.

    A longer context, a higher count and no other symbols speak for a candidate, the more so the less the network
    expects it. The numbers are close to those that a Ukrainian text had taught after 40,000 symbols.
    """
    return np.concatenate([_family_weights(description.orders), _family_weights(description.table_orders)])


def _family_weights(orders: tuple[int, ...]) -> npt.NDArray[np.int32]:
    bits = np.zeros(len(orders) * (COUNT_FEATURES + LONGEST_FEATURES))
    for n in range(len(orders)):
        for k, count in enumerate((1, *COUNT_STEPS)):
            for others in (0, *OTHER_STEPS):
                size = 0.35 if others else 0.6 + 0.2 * min(n, 8)
                bits[count_feature(n, count, others)] = size * (0.6 + 0.13 * k)
        for level, surprise in enumerate(_SURPRISES):
            for is_longest in (False, True):
                share = 0.45 * min(1, (n + 1) / 4) if is_longest else 0.15
                bonus = min(max(share * (surprise - _TYPICAL_SURPRISE), -1.5), 4.0)
                bits[longest_feature(len(orders), n, level, is_longest=is_longest)] = bonus
    return np.rint(bits * (1 << GATE_BITS)).astype(np.int32)
