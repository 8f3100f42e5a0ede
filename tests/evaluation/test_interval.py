"""Intervals have the coverage that they state."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.evaluation.interval import bootstrap_interval, compare_on_units


def corpus(chance: np.random.Generator, num_documents: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents with the unequal lengths of articles and different difficulties; the truth is 2 bits per character."""
    characters = np.maximum(20, chance.lognormal(6, 1, num_documents)).astype(np.int64)
    bits = characters * chance.gamma(40, 2 / 40, num_documents)
    return bits * math.log(2), characters


def test_it_covers_in_95_of_100_trials() -> None:
    """1,000 synthetic corpora of 200 documents: 932 to 968 covered trials are within chance for a 95 % interval."""
    chance = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        found = bootstrap_interval(*corpus(chance, 200))
        assert found is not None
        covered += found[0] <= 2 <= found[1]
    assert 932 <= covered <= 968


def test_a_paired_difference_is_much_narrower_than_two_intervals() -> None:
    chance = np.random.default_rng(1)
    nats, characters = corpus(chance, 200)
    other = nats + characters * chance.normal(0.01, 0.01, 200) * math.log(2)
    found = compare_on_units(other, nats, characters)
    alone = bootstrap_interval(nats, characters)
    assert found is not None
    assert alone is not None
    assert found.is_significant
    assert found.low < 0.01 < found.high
    assert found.margin < (alone[1] - alone[0]) / 10
    same = compare_on_units(nats, nats, characters)
    assert same is not None
    assert (same.bits, same.low, same.high, same.is_significant) == (0, 0, 0, False)


def test_a_difference_by_chance_is_called_significant_in_5_of_100_trials() -> None:
    chance = np.random.default_rng(2)
    significant = 0
    for _ in range(500):
        nats, characters = corpus(chance, 100)
        found = compare_on_units(nats + characters * chance.normal(0, 0.1, 100), nats, characters)
        assert found is not None
        significant += found.is_significant
    assert 12 <= significant <= 40


@given(st.integers(5, 40), st.floats(0.1, 10), st.integers(0, 99))
def test_it_contains_the_score_and_scales_with_it(num_units: int, factor: float, seed: int) -> None:
    nats, characters = corpus(np.random.default_rng(seed), num_units)
    low, high = bootstrap_interval(nats, characters) or (1, 0)
    ratio = nats.sum() / characters.sum() / math.log(2)
    assert low < ratio < high
    assert bootstrap_interval(factor * nats, characters) == pytest.approx((factor * low, factor * high))


def test_it_is_deterministic_and_none_for_too_little_data() -> None:
    nats, characters = corpus(np.random.default_rng(3), 50)
    assert bootstrap_interval(nats, characters) == bootstrap_interval(nats, characters)
    assert bootstrap_interval(nats[:5], characters[:5]) is not None
    assert bootstrap_interval(nats[:4], characters[:4]) is None, "four units are too few for a spread"
    assert bootstrap_interval(np.array([1.0, np.inf] * 5), np.array([3, 4] * 5)) is None
    assert bootstrap_interval(np.zeros(9), np.zeros(9, dtype=np.int64)) is None
