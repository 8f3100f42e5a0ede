"""Powers of two -> frequencies of a range coder, which sum to 2**24 exactly, in numpy.

    f_v = 1 + floor(p_v (2**24 - V))          what is left over goes to the first of the largest

L lanes, V vocabulary.
"""

import numpy as np

from charlm.compression.integer_model.fixed_point import Int64Array
from charlm.compression.predictor import TOTAL, UInt32Array

RATIO_BITS = 36
"""Bits after the point of the ratio between a frequency and a power of two."""


def share(powers_LV: Int64Array, amount_L: Int64Array) -> Int64Array:
    """Divide an amount below 2**24 among the symbols of each lane, in proportion to powers of at most 2**30, floored.

    The largest power is at least 2**30, so the ratio is below 2**30, and the product below 2**60.
    """
    ratio_L1 = (amount_L[:, None] << RATIO_BITS) // powers_LV.sum(axis=1, keepdims=True)
    return (powers_LV * ratio_L1) >> RATIO_BITS


def to_frequencies(shares_LV: Int64Array) -> UInt32Array:
    """Return frequencies of at least 1 and of sum 2**24, from shares whose sum is at most 2**24 - V."""
    frequencies_LV = shares_LV + 1
    missing_L = TOTAL - frequencies_LV.sum(axis=1)
    frequencies_LV[np.arange(len(shares_LV)), shares_LV.argmax(axis=1)] += missing_L
    return frequencies_LV.astype(np.uint32)
