"""Powers of two -> frequencies of a range coder, which sum to 2**24 exactly, in numpy.

    f_v = 1 + floor(p_v (2**24 - V))          what is left over goes to the first of the largest

L lanes, V vocabulary.
"""

import numpy as np

from charlm.archives.integer_model.fixed_point import Int64Array
from charlm.archives.predictor import TOTAL, UInt32Array

SCALE_BITS = 12
"""Bits that a power is shifted left by, so that small factors of it keep their precision."""


def divide(scaled_LV: Int64Array, amount: int) -> Int64Array:
    """Divide an amount below 2**24 among the symbols of each lane, in proportion, floored.

    Args:
        scaled_LV: from 0 to 2**56 each, with a sum of 2**32 to 2**63 in each lane; a shift brings the sum to 32 bits.
    """
    sums_L1 = scaled_LV.sum(axis=1, keepdims=True)
    shift_L1 = np.zeros_like(sums_L1)
    for step in (16, 8, 4, 2, 1):
        shift_L1 += np.where(sums_L1 >> (shift_L1 + step) >= 1 << 31, step, 0)
    ratio_L1 = (amount << 32) // ((sums_L1 >> shift_L1) + 1)
    return ((scaled_LV >> shift_L1) * ratio_L1) >> 32


def to_frequencies(shares_LV: Int64Array) -> UInt32Array:
    """Return frequencies of at least 1 and of sum 2**24, from shares whose sum is at most 2**24 - V."""
    frequencies_LV = shares_LV + 1
    missing_L = TOTAL - frequencies_LV.sum(axis=1)
    frequencies_LV[np.arange(len(shares_LV)), shares_LV.argmax(axis=1)] += missing_L
    return frequencies_LV.astype(np.uint32)
