"""The features of a candidate, their numbers, and the weights and rates with which every text starts.

n: index of the length of the context; c: how often the candidate followed it; o: how often other symbols did

n * COUNT_FEATURES + bin(c) * 5 + bin(o)                                 for each context that knows the candidate
N * COUNT_FEATURES + n * LONGEST_FEATURES + is_longest * 4 + level       for the longest context that knows it
"""

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from charlm.compression.integer_model.description import CountsDescription
from charlm.compression.integer_model.fixed_point import GATE_BITS

SLOT_SYMBOLS = 7
MAX_FOLLOWERS = 16
"""A context of the tables that more symbols followed is left to the network."""
MAX_COUNT = 255
COUNT_STEPS = (2, 3, 4, 6, 10, 20)
"""A count from 1 on falls into the bin of so many steps that it reaches."""
OTHER_STEPS = (1, 2, 3, 6)
COUNT_FEATURES = (len(COUNT_STEPS) + 1) * (len(OTHER_STEPS) + 1)
NETWORK_SHIFTS = (6, 3, 1)
"""The level of a candidate is the number of these for which the network finds it at least 2**-shift probable."""
LONGEST_FEATURES = 2 * (len(NETWORK_SHIFTS) + 1)
LOWEST_BONUS, HIGHEST_BONUS = -10 << GATE_BITS, 14 << GATE_BITS
LOWEST_RATE, FIRST_RATE, RATE_DECAY = 655, 16384, 8
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
    return num_orders * COUNT_FEATURES + n * LONGEST_FEATURES + is_longest * (len(NETWORK_SHIFTS) + 1) + level


def first_weights(description: CountsDescription) -> npt.NDArray[np.int32]:
    """Return the weights with which every text starts, 16 bits after the point: a longer context, a higher count and
    fewer other symbols speak for a candidate."""
    return np.concatenate([_family_weights(description.orders), _family_weights(description.table_orders)])


def _family_weights(orders: tuple[int, ...]) -> npt.NDArray[np.int32]:
    weights = np.zeros(len(orders) * (COUNT_FEATURES + LONGEST_FEATURES), dtype=np.int32)
    for n, order in enumerate(orders):
        for k, count in enumerate((1, *COUNT_STEPS)):
            for j, others in enumerate((0, *OTHER_STEPS)):
                weights[count_feature(n, count, others)] = min(order, 8) * (2 + k) * (5 - j) << 7
    return weights
