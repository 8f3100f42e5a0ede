"""Scores: sums add, ratios are computed last, and a ratio that is not finite is null."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.evaluation.score import Score
from charlm.storage import to_json

ZERO = Score(0.0, 0, 0, 0, 0)
COUNTS = st.integers(0, 10**12)
SCORES = st.builds(Score, st.floats(0, 1e12), COUNTS, COUNTS, COUNTS, COUNTS)
RATIOS = ("perplexity", "character_perplexity", "word_perplexity", "bits_per_character", "bits_per_byte")


@given(st.lists(SCORES, max_size=5))
def test_sums_add(scores: list[Score]) -> None:
    total = sum(scores, ZERO)
    assert total.nats == pytest.approx(math.fsum(score.nats for score in scores))
    for unit in ("tokens", "characters", "words", "bytes"):
        assert getattr(total, unit) == sum(getattr(score, unit) for score in scores)


def test_a_ratio_of_sums_is_not_an_average_of_ratios() -> None:
    long, short = Score(100 * math.log(2), 100, 100, 20, 100), Score(8 * math.log(2), 1, 1, 1, 1)
    assert (long + short).bits_per_character == pytest.approx(108 / 101)


@given(probabilities=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=60))
def test_perplexity_is_the_probability_of_the_text_to_the_power_of_minus_one_over_n(probabilities: list[float]) -> None:
    nats, size = -math.fsum(map(math.log, probabilities)), len(probabilities)
    score = Score(nats, size, size, size, size)
    assert score.perplexity == pytest.approx(math.prod(probabilities) ** (-1 / size), rel=1e-9)
    assert score.perplexity == pytest.approx(2 ** (score.bits_per_character or 0), rel=1e-9)


def test_every_ratio_is_over_its_own_unit() -> None:
    score = Score(12 * math.log(2), tokens=6, characters=4, words=2, bytes=8)
    assert score.bits_per_character == pytest.approx(3)
    assert score.bits_per_byte == pytest.approx(1.5)
    assert score.perplexity == pytest.approx(2 ** (12 / 6))
    assert score.character_perplexity == pytest.approx(2 ** (12 / 4))
    assert score.word_perplexity == pytest.approx(2 ** (12 / 2))


@pytest.mark.parametrize("nats", [0.0, 1.0, 1e9, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("count", [0, 1])
def test_a_ratio_that_is_not_finite_is_null(nats: float, count: int) -> None:
    content = json.loads(to_json(Score(nats, count, count, count, count).to_json()))
    for name in RATIOS:
        exponential = name.endswith("perplexity")
        if count == 0 or not math.isfinite(nats) or (exponential and nats > 709.7):
            assert content[name] is None, name
        else:
            assert content[name] == pytest.approx(math.exp(nats) if exponential else nats / math.log(2))
    assert content["nats"] == (nats if math.isfinite(nats) else None)
    assert list(content) == ["tokens", "characters", "words", "bytes", "nats", *RATIOS]
