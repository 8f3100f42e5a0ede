"""The n-gram automaton: probabilities sum to 1, and are those of the Kneser-Ney formula."""

import math
import random
from collections.abc import Sequence

import pytest

from charlm.evaluation.transduction_baselines.backoff_ngrams import EDGE, State, fit_backoff_ngrams

TOKENS = range(1, 6)


def random_sequences(seed: int, number: int) -> list[list[int]]:
    generator = random.Random(seed)
    return [generator.choices(TOKENS, weights=[8, 4, 2, 1, 1], k=generator.randint(0, 6)) for _ in range(number)]


def state_after(start: State, history: Sequence[int]) -> State:
    state = start
    for token in history:
        state = state.step(token)[1]
    return state


@pytest.mark.parametrize("order", [1, 2, 3, 6, 9])
@pytest.mark.parametrize("weight", [0.25, 1.0, 7.5])
def test_probabilities_sum_to_one(order: int, weight: float) -> None:
    sequences = [*random_sequences(0, 60), list(TOKENS)]
    start = fit_backoff_ngrams(sequences, [weight] * len(sequences), order)
    for history in [*random_sequences(1, 40), [5, 5, 5, 5, 5, 5, 5]]:
        state = state_after(start, history)
        p = [math.exp(state.step(token)[0]) for token in (EDGE, *TOKENS)]
        assert sum(p) == pytest.approx(1)
        assert min(p) > 0


def test_a_bigram_model_by_hand() -> None:
    start = fit_backoff_ngrams([[1, 2], [1, 1], [2]], [1.0, 1.0, 1.0], 2)
    # Bigrams: EDGE 1 twice, EDGE 2, 1 2, 1 1, 1 EDGE once, 2 EDGE twice: n1 = 4, n2 = 2, so Y = 1/2, D1 = 1/2. No
    # bigram occurs three times, so the formula gives D2 = 2, which is out of range, and half of 2 is taken.
    # Tokens before 1: EDGE and 1; before 2: EDGE and 1; before EDGE: 1 and 2. All n2, so D1 = 1/2, D2 = 1.
    unigram = (2 - 1) / 6 + 3 / 6 * 1 / 3
    assert math.exp(start.step(1)[0]) == pytest.approx((2 - 1) / 3 + 1.5 / 3 * unigram)
    assert math.exp(start.step(2)[0]) == pytest.approx((1 - 0.5) / 3 + 1.5 / 3 * unigram)
    assert math.exp(start.step(EDGE)[0]) == pytest.approx(1.5 / 3 * unigram)
    after_2 = start.step(2)[1]
    assert math.exp(after_2.step(EDGE)[0]) == pytest.approx((2 - 1) / 2 + 1 / 2 * unigram)


def test_a_state_holds_the_longest_known_context() -> None:
    start = fit_backoff_ngrams([[1, 2, 3], [2, 4]], [1.0, 1.0], 3)
    after_1_2 = state_after(start, [1, 2])
    assert state_after(start, [4, 1, 2]) is after_1_2
    assert state_after(start, [2, 2]) is not after_1_2
    assert set(after_1_2.followers) == {3}
    assert set(state_after(start, [2, 2]).followers) == {3, 4}


def test_weights_count_like_copies() -> None:
    sequences = [*random_sequences(2, 30), list(TOKENS)]
    weighted = fit_backoff_ngrams(sequences, [2.0] * len(sequences), 4)
    copied = fit_backoff_ngrams(sequences * 2, [1.0] * (2 * len(sequences)), 4)
    for history in random_sequences(3, 20):
        for token in (EDGE, *TOKENS):
            expected = state_after(copied, history).step(token)[0]
            assert state_after(weighted, history).step(token)[0] == pytest.approx(expected)
