"""Sigmoid, tanh and powers of two as tables of whole numbers, between whose entries a line is drawn.

    x, 16 bits ──clamp to [-16, 16)──> entry i, remainder r of 1024 ──> t_i (1024 - r) + t_(i+1) r, rounded
    t, 16 bits, at least 0 ──> whole part n, fraction ──> 2**-fraction from the table, shifted right by n

Floats make the tables once, when a model is prepared. They are stored with it, so that no other machine computes them.
The error of the lines is below 2e-4 for sigmoid and tanh, and below one part in a million for 2**-t.
"""

import numpy as np

from charlm.archives.integer_model.fixed_point import (
    GATE_BITS,
    ONE,
    POWER_BITS,
    Int64Array,
    shift_rounded,
)

STEP_BITS = 10
"""Two entries of sigmoid and tanh are 2**10 apart, which stands for 1/64."""
LIMIT = 16 << GATE_BITS
NUM_ENTRIES = (2 * LIMIT >> STEP_BITS) + 1
POWER_STEP_BITS = 8
NUM_POWERS = (1 << GATE_BITS - POWER_STEP_BITS) + 1


def make_sigmoid() -> Int64Array:
    """Return the entries of the sigmoid, (2049,), 0 to 2**15."""
    return np.rint(ONE / (1 + np.exp(-_places()))).astype(np.int64)


def make_tanh() -> Int64Array:
    """Return the entries of tanh, (2049,), within +-(2**15 - 1)."""
    return np.rint(np.tanh(_places()) * (ONE - 1)).astype(np.int64)


def make_powers() -> Int64Array:
    """Return 2**-k/256 for k from 0 to 256, (257,), 2**30 to 2**29."""
    return np.rint(np.exp2(-np.arange(NUM_POWERS) / (NUM_POWERS - 1)) * (1 << POWER_BITS)).astype(np.int64)


def _places() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return (np.arange(NUM_ENTRIES) * (1 << STEP_BITS) - LIMIT) / (1 << GATE_BITS)


def look_up(table: Int64Array, x: Int64Array) -> Int64Array:
    """Return sigmoid or tanh of x, which has 16 bits after the point."""
    offset = np.clip(x, -LIMIT, LIMIT - 1) + LIMIT
    entry, remainder = offset >> STEP_BITS, offset & ((1 << STEP_BITS) - 1)
    return shift_rounded(table[entry] * ((1 << STEP_BITS) - remainder) + table[entry + 1] * remainder, STEP_BITS)


def negative_power(table: Int64Array, t: Int64Array) -> Int64Array:
    """Return 2**-t for t >= 0, which has 16 bits after the point."""
    fraction = t & ((1 << GATE_BITS) - 1)
    entry, remainder = fraction >> POWER_STEP_BITS, fraction & ((1 << POWER_STEP_BITS) - 1)
    fall = shift_rounded((table[entry] - table[entry + 1]) * remainder, POWER_STEP_BITS)
    return (table[entry] - fall) >> np.minimum(t >> GATE_BITS, POWER_BITS + 1)
