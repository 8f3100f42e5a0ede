"""What candidates have, and powers of two -> frequencies of a range coder, which sum to 2**24 exactly, in numpy.

    f_v = 1 + floor(p_v (2**24 - V))          what is left over goes to the first of the largest

V vocabulary.
"""

from collections.abc import Mapping

import numpy as np

from charlm.archives.integer_model.fixed_point import Int64Array
from charlm.archives.predictor import TOTAL, UInt32Array


def share_out(powers_V: Int64Array, power: int, remaining: int, shares: Mapping[int, int]) -> UInt32Array:
    """Return the frequencies (V,) of a lane.

    Args:
        powers_V: the network's, from 1 to 2**30 + 1.
        power: the sum of those that have no share.
        remaining: the probability of all symbols that have no share, 32 bits after the point.
        shares: the probability of each of the others.
    """
    amount = TOTAL - len(powers_V)
    shift = max(0, power.bit_length() - 32)
    ratio = remaining * amount // max(1, power >> shift)
    frequencies_V = 1 + (((powers_V >> shift) * ratio) >> 32)
    for symbol, share in shares.items():
        frequencies_V[symbol] = 1 + (share * amount >> 32)
    frequencies_V[frequencies_V.argmax()] += TOTAL - int(frequencies_V.sum())
    return frequencies_V.astype(np.uint32)
