"""Kneser-Ney: equal to a direct implementation, a distribution in every context, within its memory."""

import math
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm.errors import OutOfMemoryError
from charlm.evaluation.baselines.kneser_ney import KneserNey
from charlm.nn.ngrams.tables import estimate_discounts
from charlm.vocab.base import IntArray
from tests.evaluation.baselines.straight_line import StraightLine

streams = st.lists(st.integers(0, 4), min_size=1, max_size=80)
MIB = 1 << 20


def text_like(size: int, vocab_size: int) -> IntArray:
    """Words of a small lexicon, so that long contexts return and some are new."""
    draw = np.random.default_rng(0)
    lexicon = [draw.integers(1, vocab_size, draw.integers(1, 9)) for _ in range(300)]
    words = (np.append(lexicon[min(draw.geometric(0.02), 300) - 1], 0) for _ in range(size // 2 + 1))
    return np.concatenate(list(words))[:size].astype(np.uint8)


def assert_equal_to_straight_line(train: IntArray, test: IntArray, vocab_size: int, order: int, memory: int) -> None:
    model = KneserNey.fit(train, vocab_size, order, memory=memory)
    straight = StraightLine(train.tolist(), vocab_size, order)
    tokens = test.tolist()
    expected = [
        straight.probability(tokens[i], tuple(tokens[max(0, i - order + 1) : i])) for i in range(1, len(tokens))
    ]
    assert np.exp(model.log_probabilities(test)) == pytest.approx(expected, rel=1e-9, abs=0)


@given(train=streams, test=streams, order=st.integers(1, 6))
@example(train=[0], test=[0, 1, 4], order=3)
@example(train=[2, 2, 2, 2, 2], test=[2, 2, 1], order=6)
@example(train=[0, 0], test=[0, 0, 1], order=1)
@example(train=[0, 1, 0, 1, 0, 1], test=[0, 1, 0], order=2)
@hypothesis_settings(max_examples=300)
def test_any_stream_has_the_probabilities_of_the_equations(train: list[int], test: list[int], order: int) -> None:
    assert_equal_to_straight_line(np.array(train), np.array(test), 5, order, 100 * MIB)


@pytest.mark.parametrize("memory_mib", [4, 200], ids=["in pieces", "in one piece"])
def test_text_of_order_six_has_the_probabilities_of_the_equations(memory_mib: int) -> None:
    text = text_like(32_000, 30)
    assert_equal_to_straight_line(text[:30_000], text[30_000:], 30, 6, memory_mib * MIB)


@pytest.mark.real_data
def test_shakespeare_of_order_six_has_the_probabilities_of_the_equations(shared_data: Path) -> None:
    text = np.frombuffer((shared_data / "tinyshakespeare/input.txt").read_bytes(), dtype=np.uint8)
    assert_equal_to_straight_line(text[:100_000], text[-5_000:], 256, 6, 100 * MIB)


@given(train=streams, order=st.integers(1, 6), context=st.lists(st.integers(0, 4), max_size=9))
def test_every_context_has_a_distribution_without_zeros(train: list[int], order: int, context: list[int]) -> None:
    model = KneserNey.fit(np.array(train), 5, order)
    p_V = model.distribution(np.array(context, dtype=np.int64))
    assert p_V.min() > 0
    assert p_V.sum() == pytest.approx(1, abs=1e-9)


def test_the_distribution_holds_what_the_stream_is_scored_with() -> None:
    text = text_like(20_300, 30)
    test = text[20_000:]
    model = KneserNey.fit(text[:20_000], 30, 5)
    of_each = [model.distribution(test[:end])[test[end]] for end in range(1, len(test))]
    assert np.exp(model.log_probabilities(test)) == pytest.approx(of_each, rel=1e-12)
    assert all(abs(model.distribution(test[:end]).sum() - 1) < 1e-9 for end in range(len(test)))


def test_a_prediction_depends_on_the_last_tokens_only_wherever_a_chunk_ends() -> None:
    test = text_like((1 << 18) + 500, 30)
    model = KneserNey.fit(test[:20_000], 30, 4)
    logs = model.log_probabilities(test)
    assert logs.shape == (len(test) - 1,)
    for start in (1, 1000, (1 << 18) - 2, 1 << 18, (1 << 18) + 7):
        assert np.array_equal(model.log_probabilities(test[start - 1 :])[3:50], logs[start + 2 : start + 49])


@pytest.mark.parametrize("tokens", [[], [3]], ids=["empty", "one token"])
def test_without_predictions_there_are_no_log_probabilities(tokens: list[int]) -> None:
    model = KneserNey.fit(text_like(500, 30), 30, 4)
    assert model.log_probabilities(np.array(tokens, dtype=np.int64)).shape == (0,)


def test_a_markov_source_is_learned_to_its_entropy() -> None:
    draw = np.random.default_rng(3)
    transitions = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.6, 0.1]])
    tokens = [0]
    for uniform in draw.random(120_000):
        tokens.append(int(np.searchsorted(np.cumsum(transitions[tokens[-1]]), uniform)))
    test = tokens[100_000:]
    exact = -sum(math.log(transitions[a, b]) for a, b in pairwise(test)) / (len(test) - 1)
    model = KneserNey.fit(np.array(tokens[:100_000]), 3, 2)
    assert -model.log_probabilities(np.array(test)).mean() == pytest.approx(exact, abs=0.001)


# ---- discounts


def test_discounts_are_those_of_the_paper() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [100, 40, 20, 12, 5])
    y = 100 / 180
    expected = [0, 1 - 2 * y * 40 / 100, 2 - 3 * y * 20 / 40, 3 - 4 * y * 12 / 20]
    assert estimate_discounts(counts) == pytest.approx(expected)


@given(st.lists(st.integers(0, 7), max_size=60))
def test_a_discount_takes_a_part_of_a_count_and_leaves_a_part(counts: list[int]) -> None:
    none, *of_counts = estimate_discounts(np.array(counts, dtype=np.int64))
    assert none == 0
    assert all(0 < discount < k for k, discount in enumerate(of_counts, start=1))


# ---- memory


@pytest.mark.parametrize("memory_mib", [5, 13, 24, 36])
def test_counting_stays_within_its_memory(memory_mib: int) -> None:
    tokens = np.random.default_rng(0).integers(0, 20, 400_000).astype(np.uint8)  # almost every n-gram is new
    tracemalloc.start()
    try:
        model = KneserNey.fit(tokens, 20, 10, memory=memory_mib * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.6 < peak / (memory_mib * MIB) <= 1
    assert 4 <= model.order < 10


def test_too_little_memory_lowers_the_order_and_gives_the_model_of_that_order() -> None:
    tokens = np.random.default_rng(0).integers(0, 20, 300_000).astype(np.uint8)
    lowered = KneserNey.fit(tokens, 20, 9, memory=10 * MIB)
    assert 2 <= lowered.order < 9
    plain = KneserNey.fit(tokens, 20, lowered.order)
    assert np.array_equal(lowered.log_probabilities(tokens[:5000]), plain.log_probabilities(tokens[:5000]))


def test_a_stream_that_does_not_fit_at_all_is_refused() -> None:
    with pytest.raises(OutOfMemoryError, match="raise memory_mib"):
        KneserNey.fit(np.zeros(1_000_000, dtype=np.uint8), 20, 3, memory=MIB)


def test_progress_adds_up_and_may_stop_the_counting() -> None:
    tokens = text_like(30_000, 30)
    steps: list[int] = []
    KneserNey.fit(tokens, 30, 4, memory=4 * MIB, on_progress=steps.append)
    assert sum(steps) == 2 * sum(len(tokens) - n + 1 for n in (2, 3, 4))
    assert len(steps) > 10

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KneserNey.fit(tokens, 30, 4, on_progress=stop)
