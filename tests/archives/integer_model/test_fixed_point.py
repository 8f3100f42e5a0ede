"""Roots, rounding and tables, held to Python's exact arithmetic and to the functions that they stand for."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charlm.archives.integer_model.activation_tables import (
    look_up,
    make_powers,
    make_sigmoid,
    make_tanh,
    negative_power,
)
from charlm.archives.integer_model.fixed_point import (
    GATE_BITS,
    MAX_MEMORY,
    MAX_WIDE,
    ONE,
    POWER_BITS,
    divide_rounded,
    integer_sqrt,
    shift_rounded,
    wide_shift,
)
from charlm.archives.integer_model.reference import normalise

GATES = np.arange(-20 << GATE_BITS, 20 << GATE_BITS, 371)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


@given(st.integers(-(2**60), 2**60), st.integers(1, 61))
def test_shifts_round_halves_upwards(value: int, bits: int) -> None:
    assert shift_rounded(np.array([value]), bits)[0] == half_up(Fraction(value, 2**bits))


@given(st.integers(-(2**60), 2**60), st.integers(1, 2**20))
def test_divisions_round_halves_upwards(value: int, divisor: int) -> None:
    expected = math.floor(Fraction(value + divisor // 2, divisor))
    assert divide_rounded(np.array([value]), divisor)[0] == expected


@given(st.integers(0, 2**62 - 1))
def test_roots_are_exact(value: int) -> None:
    assert integer_sqrt(np.array([value]))[0] == math.isqrt(value)


@given(st.integers(1, 64))
def test_sums_of_outputs_fit_two_bytes(num_summands: int) -> None:
    shift = wide_shift(num_summands)
    assert int(shift_rounded(np.array([num_summands * (ONE - 1)]), shift)[0]) <= MAX_WIDE


def test_tables_are_close_to_their_functions() -> None:
    x = GATES / (1 << GATE_BITS)
    assert np.abs(look_up(make_sigmoid(), GATES) / ONE - 1 / (1 + np.exp(-x))).max() < 1e-4
    assert np.abs(look_up(make_tanh(), GATES) / ONE - np.tanh(x)).max() < 1e-4
    t = np.arange(0, 10 << GATE_BITS, 37)
    power = negative_power(make_powers(), t) / (1 << POWER_BITS)
    assert np.abs(power * np.exp2(t / (1 << GATE_BITS)) - 1).max() < 3e-6
    assert negative_power(make_powers(), np.array([31 << GATE_BITS, 2**31 - 1])).tolist() == [0, 0]


def test_tables_never_fall() -> None:
    for table in (make_sigmoid(), make_tanh()):
        assert (np.diff(look_up(table, GATES)) >= 0).all()


@given(st.lists(st.integers(-MAX_MEMORY, MAX_MEMORY), min_size=2, max_size=70), st.integers(1, 2**20))
def test_normalised_values_are_close_to_the_equation(values: list[int], epsilon: int) -> None:
    found = normalise(np.array([values]), epsilon)[0] / (1 << GATE_BITS)
    x = np.array(values, dtype=np.float64)
    expected = (x - x.mean()) / np.sqrt(x.var() + epsilon)
    assert np.abs(found - expected).max() <= 1e-4 + 2 / math.sqrt(epsilon) + np.abs(expected).max() * 1e-3
