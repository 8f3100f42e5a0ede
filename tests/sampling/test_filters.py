"""The filters of logits, and that draws follow the filtered distribution."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from charlm.errors import UsageError
from charlm.sampling.filters import (
    DrawContext,
    Filter,
    FrequencyPenalty,
    MinP,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    Typical,
    apply_filters,
    sort_filters,
)
from charlm.sampling.random_draw import CategoricalSampler, sample_inverse_cdf, sample_inverse_cdf_torch

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
    """Counts of draws from 100 streams side by side."""
    draws = CategoricalSampler(seed, range(100))
    logits_BV = logits_V.expand(100, -1)
    tokens = torch.cat([draws(logits_BV) for _ in range(num_draws // 100)])
    return torch.bincount(tokens, minlength=len(logits_V))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_draws_follow_the_tempered_distribution(temperature: float) -> None:
    counts = count_draws(Temperature(temperature)(LOGITS_V[None])[0], 100_000, seed=1)
    assert chi_squared(counts, distribution(temperature)) < CRITICAL
    for other in {0.7, 1.0, 1.5} - {temperature}:
        assert chi_squared(counts, distribution(other)) > 100 * CRITICAL, "and differ from every other distribution"


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30), st.integers(0, 2**32))
def test_greedy_is_the_most_probable_id(logits: list[float], seed: int) -> None:
    logits_V = torch.tensor(logits)
    token = CategoricalSampler(seed, range(1))(Temperature(0)(logits_V[None]))
    assert logits[int(token)] == max(logits)


@pytest.mark.parametrize("value", [5e-324, 2e-309, 1e-40, 1e-30])
def test_a_temperature_near_zero_is_greedy(value: float) -> None:
    logits_BV = torch.tensor([[1.0, 3.0, -math.inf, 2.0]])
    context = DrawContext(torch.tensor([[0.5]]))
    for filtered_BV in (Temperature(value)(logits_BV), Temperature(value, value)(logits_BV, context)):
        assert filtered_BV.softmax(-1).tolist() == [[0, 1, 0, 0]]


@given(st.floats(0.01, 100))
def test_a_temperature_keeps_the_order_and_the_logits(value: float) -> None:
    before = LOGITS_V.clone()
    tempered = Temperature(value)(LOGITS_V[None])[0]
    assert torch.equal(LOGITS_V, before)
    assert tempered.argmax() == LOGITS_V.argmax()
    torch.testing.assert_close(tempered.softmax(0), torch.tensor(distribution(value)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value", [-1.0, -1e-9, math.nan, math.inf, -math.inf, 100.1])
def test_a_temperature_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="temperature"):
        Temperature(value)


def test_an_id_without_probability_is_never_drawn() -> None:
    logits_V = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf])
    counts = count_draws(logits_V, 2000, seed=2)
    assert counts[[0, 2, 4]].sum() == 0
    assert min(counts[1], counts[3]) > 800


def test_a_draw_depends_on_its_own_generator_only() -> None:
    assert torch.equal(count_draws(LOGITS_V, 500, seed=3), count_draws(LOGITS_V, 500, seed=3))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    count_draws(LOGITS_V, 500, seed=3)
    assert torch.equal(torch.get_rng_state(), before), "and leaves the global one alone"


def test_rare_ids_of_a_large_vocabulary_are_drawn() -> None:
    """In fp32 the tail of a cumulative sum over 100,000 ids would be lost."""
    logits_V = torch.zeros(100_000)
    tokens = CategoricalSampler(0, range(400))(logits_V.expand(400, -1))
    quarters = torch.bincount(tokens // 25_000, minlength=4)
    assert chi_squared(quarters, [0.25] * 4) < 16.27  # 3 degrees of freedom, once in a thousand


def test_uniform_numbers_of_zero_or_nearly_one_draw_possible_ids() -> None:
    logits_BV = torch.tensor([[-math.inf, 0.0, 1.0, -math.inf]]).repeat(2, 1)
    numbers_B1 = torch.tensor([[0.0], [1 - 2**-53]], dtype=torch.float64)
    assert sample_inverse_cdf(logits_BV, numbers_B1).tolist() == [1, 2]


@pytest.mark.parametrize("size", [1, 2, 10, 300, 4096])
def test_compiled_code_draws_the_same_as_torch(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    logits_BV = 5 * torch.randn(200, size, generator=generator)
    logits_BV[:, 1::3] = -math.inf
    numbers_B1 = torch.rand(200, 1, dtype=torch.float64, generator=generator)
    found_B = sample_inverse_cdf(logits_BV, numbers_B1)
    assert torch.equal(found_B, sample_inverse_cdf_torch(logits_BV, numbers_B1))
    assert logits_BV.gather(1, found_B[:, None]).isfinite().all()


def test_streams_are_independent() -> None:
    """Stream i draws the same ids whichever other streams there are."""
    logits_BV = LOGITS_V.expand(5, -1)
    many, two = CategoricalSampler(7, range(5)), CategoricalSampler(7, range(3, 5))
    for _ in range(600):  # more than one block of random numbers
        assert torch.equal(many(logits_BV)[3:], two(logits_BV[3:]))


# ---- each filter: exactly the ids it should leave, exactly as probable as they should be

COUNTS_V = torch.tensor([3, 0, 1, 0, 2, 0, 0, 5, 0, 1])
MOMENT = DrawContext(None, COUNTS_V[None])


def probabilities() -> list[float]:
    return distribution(1.0)


def renormalised(kept: set[int]) -> list[float]:
    p = probabilities()
    total = math.fsum(p[k] for k in kept)
    return [p[k] / total if k in kept else 0.0 for k in range(len(p))]


def nucleus(order: list[int], share: float) -> set[int]:
    kept: set[int] = set()
    total = 0.0
    for k in order:
        if total >= share:
            break
        kept.add(k)
        total += probabilities()[k]
    return kept


def by_probability() -> list[int]:
    return sorted(range(10), key=lambda k: -probabilities()[k])


def by_typicality() -> list[int]:
    p = probabilities()
    entropy = -math.fsum(q * math.log(q) for q in p)
    return sorted(range(10), key=lambda k: abs(-math.log(p[k]) - entropy))


def of_weights(weigh: Callable[[float, int], float]) -> list[float]:
    weights = [math.exp(weigh(z, n)) for z, n in zip(LOGITS_V.tolist(), COUNTS_V.tolist(), strict=True)]
    return [weight / math.fsum(weights) for weight in weights]


def penalised(z: float, n: int) -> float:
    return z if n == 0 else z / 1.3 if z > 0 else z * 1.3


FILTERS: dict[str, tuple[Filter, list[float]]] = {
    "top-k": (TopK(4), renormalised(set(by_probability()[:4]))),
    "top-k of all": (TopK(1000), probabilities()),
    "top-p": (TopP(0.8), renormalised(nucleus(by_probability(), 0.8))),
    "top-p of one": (TopP(1e-9), renormalised({4})),
    "top-p of all": (TopP(1.0), probabilities()),
    "min-p": (MinP(0.2), renormalised({k for k, p in enumerate(probabilities()) if p >= 0.2 * max(probabilities())})),
    "min-p of all": (MinP(0.0), probabilities()),
    "typical": (Typical(0.6), renormalised(nucleus(by_typicality(), 0.6))),
    "repetition": (RepetitionPenalty(1.3), of_weights(penalised)),
    "frequency": (FrequencyPenalty(0.4), of_weights(lambda z, n: z - 0.4 * n)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_draws_follow_the_filtered_distribution(name: str) -> None:
    """A chi-squared test of 100,000 draws against the exact distribution; removed ids are never drawn."""
    filtered, expected = FILTERS[name]
    logits_BV = apply_filters([filtered], LOGITS_V[None], MOMENT)
    torch.testing.assert_close(logits_BV[0].softmax(0), torch.tensor(expected), rtol=1e-5, atol=1e-7)
    counts = count_draws(logits_BV[0], 100_000, seed=4)
    there = [k for k, p in enumerate(expected) if p > 0]
    assert counts.sum() == counts[there].sum()
    assert chi_squared(counts[there], [expected[k] for k in there]) < CRITICAL


def test_all_filters_in_their_order() -> None:
    given_in_any = (MinP(0.05), TopP(0.9), Typical(0.95), TopK(6), Temperature(1.4), FrequencyPenalty(0.1))
    ordered = sort_filters(given_in_any)
    assert [type(each).__name__ for each in ordered] == [
        "FrequencyPenalty",
        "Temperature",
        "TopK",
        "Typical",
        "TopP",
        "MinP",
    ]
    p = [math.exp((z - 0.1 * n) / 1.4) for z, n in zip(LOGITS_V.tolist(), COUNTS_V.tolist(), strict=True)]

    def keep(order: list[int], share: float) -> None:
        total = math.fsum(p)
        reached = 0.0
        for k in order:
            if reached >= share:
                p[k] = 0.0
            else:
                reached += p[k] / total

    def descending() -> list[int]:
        return sorted((k for k in range(10) if p[k]), key=lambda k: -p[k])

    for k in descending()[6:]:
        p[k] = 0.0
    q = [value / math.fsum(p) for value in p]
    entropy = -math.fsum(value * math.log(value) for value in q if value)
    keep(sorted((k for k in range(10) if q[k]), key=lambda k: abs(-math.log(q[k]) - entropy)), 0.95)
    keep(descending(), 0.9)
    p = [value if value >= 0.05 * max(p) else 0.0 for value in p]
    expected = torch.tensor([value / math.fsum(p) for value in p])
    torch.testing.assert_close(apply_filters(ordered, LOGITS_V[None], MOMENT)[0].softmax(0), expected)


@given(
    st.lists(st.floats(-80, 80, width=32), min_size=2, max_size=12),
    st.floats(1e-6, 1),
    st.integers(1, 12),
    st.sampled_from([1e-30, 0.01, 1.0, 50.0]),
)
def test_at_least_one_id_is_left(logits: list[float], share: float, k: int, temperature: float) -> None:
    filters = sort_filters((TopP(share), MinP(share), Typical(share), TopK(k), Temperature(temperature)))
    left = apply_filters(filters, torch.tensor([logits]))
    assert torch.isfinite(left).any()
    assert not left.isnan().any()
    assert not left.isposinf().any()


def test_rows_are_independent() -> None:
    logits_BV = torch.randn(6, 20, generator=torch.Generator().manual_seed(0)) * 3
    context = DrawContext(torch.rand(6, 1), torch.randint(3, (6, 20)))
    filters = sort_filters(
        (TopP(0.7), MinP(0.02), Typical(0.9), TopK(9), Temperature(0.5, 2.0), RepetitionPenalty(1.2))
    )
    together = apply_filters(filters, logits_BV, context)
    assert context.progress_B1 is not None
    assert context.counts_BV is not None
    for row in range(6):
        alone = DrawContext(context.progress_B1[row : row + 1], context.counts_BV[row : row + 1])
        torch.testing.assert_close(apply_filters(filters, logits_BV[row : row + 1], alone)[0], together[row])


def test_a_schedule_is_a_line() -> None:
    for share in (0.0, 0.25, 1.0):
        found = Temperature(0.5, 1.5)(LOGITS_V[None], DrawContext(torch.tensor([[share]])))[0].softmax(0)
        torch.testing.assert_close(found, torch.tensor(distribution(0.5 + share)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: TopK(0),
        lambda: TopK(-3),
        lambda: TopP(0.0),
        lambda: TopP(1.1),
        lambda: TopP(math.nan),
        lambda: MinP(-0.1),
        lambda: MinP(math.nan),
        lambda: Typical(0.0),
        lambda: RepetitionPenalty(0.9),
        lambda: RepetitionPenalty(math.inf),
        lambda: FrequencyPenalty(math.nan),
    ],
)
def test_values_out_of_range_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()
