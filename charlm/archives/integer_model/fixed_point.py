"""Fixed-point numbers, and the one way to round them: a value x is stored as the whole number nearest to x 2**bits.

    quantity                                      bits    range of the whole number
    hidden state, gate (UNIT_BITS)                15      -32767 to 32767, gates from 0 to 32768
    gate before its sigmoid or tanh (GATE_BITS)   16      32 bits signed; beyond +-16 the tables are constant
    memory of an LSTM (GATE_BITS)                 16      +-MAX_MEMORY, where it stays
    logit, in bits and not in nats (GATE_BITS)    16      32 bits signed
    power of two (POWER_BITS)                     30      0 to 2**30

Every product and sum stays below 2**62: `bounds.py` proves it for the numbers of a model before it runs. The C code has
the same functions; both agree to the bit.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
IntArray = npt.NDArray[np.integer[Any]]

UNIT_BITS = 15
ONE = 1 << UNIT_BITS
GATE_BITS = 16
POWER_BITS = 30
MAX_MEMORY = (1 << 24) - 1
"""An LSTM's memory stays within +-256."""
LIMB_BITS = 8
MAX_NARROW = 127
"""The largest value of an activation in one byte."""
MAX_WIDE = 127 * 256 + 127
"""The largest value of an activation in two signed bytes, high * 256 + low."""


def shift_rounded(values: Int64Array, bits: Int64Array | int) -> Int64Array:
    """Return values / 2**bits, rounded to nearest, halves upwards. `bits` is at least 1."""
    half = np.left_shift(np.int64(1), np.asarray(bits, dtype=np.int64) - 1)
    return (values + half) >> bits


def divide_rounded(values: Int64Array, divisor: int) -> Int64Array:
    """Return values / divisor, rounded to nearest, halves upwards."""
    return (values + divisor // 2) // divisor


def integer_sqrt(values: Int64Array) -> Int64Array:
    """Return the largest whole number whose square is at most each value, bit by bit. Values are below 2**62."""
    root = np.zeros_like(values)
    for bit in reversed(range(31)):
        candidate = root + (1 << bit)
        root = np.where(candidate * candidate <= values, candidate, root)
    return root


def quantize_unit(hidden: Int64Array) -> Int64Array:
    """Return a hidden state in one byte: 127 stands for 1."""
    return shift_rounded(hidden * MAX_NARROW, UNIT_BITS)


def wide_shift(num_summands: int) -> int:
    """Return the shift that brings a sum of so many hidden states into two bytes."""
    shift = 1
    while (num_summands * (ONE - 1) + (1 << shift >> 1)) >> shift > MAX_WIDE:
        shift += 1
    return shift
