"""The features of a candidate, their numbers, and the weights and rates with which every text starts.

n: index of the length of the context; c: how often the candidate followed it; o: how often other symbols did

n * COUNT_FEATURES + bin(c) * 5 + bin(o)                                 for each context that knows the candidate
N * COUNT_FEATURES + n * LONGEST_FEATURES + is_longest * 4 + level       for the longest context that knows it
"""

import numpy as np
import numpy.typing as npt

from charlm.compression.integer_model.description import CountsDescription
from charlm.compression.integer_model.fixed_point import GATE_BITS

SLOT_SYMBOLS = 7
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
    return len(description.orders) * (COUNT_FEATURES + LONGEST_FEATURES)


def first_weights(description: CountsDescription) -> npt.NDArray[np.int32]:
    """Return the weights with which every text starts, 16 bits after the point: a longer context, a higher count and
    fewer other symbols speak for a candidate."""
    weights = np.zeros(num_features(description), dtype=np.int32)
    for n, order in enumerate(description.orders):
        for count in range(len(COUNT_STEPS) + 1):
            for others in range(len(OTHER_STEPS) + 1):
                bonus = min(order, 8) * (2 + count) * (5 - others)
                weights[n * COUNT_FEATURES + count * (len(OTHER_STEPS) + 1) + others] = bonus << 7
    return weights
