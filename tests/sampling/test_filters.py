"""What is done to logits before a draw, and that a draw follows the distribution it claims to."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from charlm.errors import UsageError
from charlm.sampling.filters import MAX_TEMPERATURE, Temperature, draw

LOGITS_V = torch.tensor([2.0, -1.0, 0.5, 0.5, 3.0, -4.0, 1.0, 0.0, 1.7, -0.3])
CRITICAL = 27.88  # chi-squared with 9 degrees of freedom, exceeded once in a thousand


def distribution(temperature: float) -> list[float]:
    """softmax(logits / T), by hand."""
    weights = [math.exp(logit / temperature) for logit in LOGITS_V.tolist()]
    return [weight / math.fsum(weights) for weight in weights]


def chi_squared(counts: Tensor, expected: list[float]) -> float:
    total = int(counts.sum())
    return sum((count - total * p) ** 2 / (total * p) for count, p in zip(counts.tolist(), expected, strict=True))


def count_draws(logits_V: Tensor, num_draws: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.bincount(torch.tensor([draw(logits_V, generator) for _ in range(num_draws)]), minlength=len(logits_V))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_draws_follow_the_tempered_distribution(temperature: float) -> None:
    counts = count_draws(Temperature(temperature)(LOGITS_V), 100_000, seed=1)
    assert chi_squared(counts, distribution(temperature)) < CRITICAL
    for other in {0.7, 1.0, 1.5} - {temperature}:
        assert chi_squared(counts, distribution(other)) > 100 * CRITICAL, "and could be told from another"


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30), st.integers(0, 2**32))
def test_greedy_is_the_most_probable_id(logits: list[float], seed: int) -> None:
    logits_V = torch.tensor(logits)
    token = draw(Temperature(0)(logits_V), torch.Generator().manual_seed(seed))
    assert logits[token] == max(logits)


@given(st.floats(0.01, MAX_TEMPERATURE))
def test_a_temperature_keeps_the_order_and_the_logits(value: float) -> None:
    before = LOGITS_V.clone()
    tempered = Temperature(value)(LOGITS_V)
    assert torch.equal(LOGITS_V, before)
    assert tempered.argmax() == LOGITS_V.argmax()
    torch.testing.assert_close(tempered.softmax(0), torch.tensor(distribution(value)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value", [-1.0, -1e-9, math.nan, math.inf, -math.inf, 100.1])
def test_a_temperature_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="temperature"):
        Temperature(value)


def test_what_has_no_probability_is_never_drawn() -> None:
    logits_V = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf])
    counts = count_draws(logits_V, 2000, seed=2)
    assert counts[[0, 2, 4]].sum() == 0
    assert min(counts[1], counts[3]) > 800


def test_a_draw_is_decided_by_its_generator() -> None:
    assert torch.equal(count_draws(LOGITS_V, 50, seed=3), count_draws(LOGITS_V, 50, seed=3))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    count_draws(LOGITS_V, 5, seed=3)
    assert torch.equal(torch.get_rng_state(), before), "and leaves the global one alone"


def test_rare_ids_of_a_large_vocabulary_are_drawn() -> None:
    """In fp32 the tail of a cumulative sum over 100,000 ids would be lost."""
    logits_V = torch.zeros(100_000)
    tokens = torch.tensor([draw(logits_V, torch.Generator().manual_seed(seed)) for seed in range(400)])
    quarters = torch.bincount(tokens // 25_000, minlength=4)
    assert chi_squared(quarters, [0.25] * 4) < 16.27  # 3 degrees of freedom, once in a thousand
