"""Counts of what followed the same tokens, compared with dictionaries, and mixtures that stay distributions."""

from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt
import pytest

from charlm.evaluation.recall import (
    ContextEvidence,
    evidence_from_history,
    evidence_from_prefix,
    fit_mixture_weights,
    interpolate,
)

SIZE = 3
ORDERS = (2, 3, 5)


def text(length: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, SIZE, length)


def plain(before: list[int], asked: list[int], n: int, *, grows: bool) -> list[tuple[float, int, int]]:
    """p of each token, the count of its context and the number of its followers, computed with dictionaries."""
    counts: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for end in range(n, len(before) + 1):
        counts[tuple(before[end - n : end - 1])][before[end - 1]] += 1
    found: list[tuple[float, int, int]] = []
    for place in range(1, len(asked)):
        context = tuple(asked[place - n + 1 : place]) if place >= n - 1 else None
        known = counts[context] if context is not None else Counter[int]()
        met = known.total()
        found.append((known[asked[place]] / met if met else 0.0, met, len(known)))
        if grows and context is not None:
            counts[context][asked[place]] += 1
    return found


@pytest.mark.parametrize("n", ORDERS)
def test_counts_are_those_of_a_dictionary(n: int) -> None:
    history, asked = text(300, 1), text(200, 2)
    for evidence, expected in (
        (evidence_from_history(history, asked, n), plain(history.tolist(), asked.tolist(), n, grows=False)),
        (evidence_from_prefix(asked, n), plain([], asked.tolist(), n, grows=True)),
    ):
        assert evidence.p_P == pytest.approx([p for p, _, _ in expected])
        of_class: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for number, (_, met, followers) in zip(evidence.class_P.tolist(), expected, strict=True):
            of_class[number].add((met, followers))
            assert (number == 0) == (met == 0)
        ones = {number for number, members in of_class.items() if (1, 1) in members}
        assert all(of_class[number] == {(1, 1)} for number in ones)  # contexts met once have their own class


@pytest.mark.parametrize("n", ORDERS)
def test_a_mixture_is_a_distribution(n: int) -> None:
    """Sum over every possible last token, with weights close to 1."""
    begun, history = text(40, 3), text(100, 4)
    shares = np.linspace(0, 1, 100)
    for of in (lambda whole: evidence_from_history(history, whole, n), lambda whole: evidence_from_prefix(whole, n)):
        total = 0.0
        for last in range(SIZE):
            whole = np.append(begun, last)
            total += interpolate(np.full(len(whole) - 1, 1 / SIZE), of(whole), shares)[-1]
        assert total == pytest.approx(1.0)


def test_weights_follow_the_text() -> None:
    """In a text that repeats itself the counts are right; in noise they do not help."""
    noise = text(3000, 5)
    repeated = np.tile(noise[:60], 20)
    uniform = np.full(len(repeated) - 1, 1 / SIZE)
    evidence = evidence_from_prefix(repeated, 6)
    mixed = interpolate(uniform, evidence, fit_mixture_weights(uniform, evidence))
    assert -np.log(mixed).mean() < 0.2 < -np.log(uniform).mean()
    uniform = np.full(len(noise) - 1, 1 / SIZE)
    evidence = evidence_from_prefix(noise, 6)
    shares = fit_mixture_weights(uniform, evidence)
    assert -np.log(interpolate(uniform, evidence, shares)).mean() == pytest.approx(np.log(SIZE), abs=0.01)
    assert shares[0] == 0


def test_weights_maximize_the_likelihood() -> None:
    asked = np.tile(text(50, 6), 8)
    p = np.full(len(asked) - 1, 1 / SIZE)
    evidence = evidence_from_prefix(asked, 4)
    best = fit_mixture_weights(p, evidence)
    for number in np.flatnonzero(np.bincount(evidence.class_P, minlength=len(best)) > 100)[1:]:
        for step in (-0.05, 0.05):
            other = best.copy()
            other[number] = np.clip(other[number] + step, 0, 0.999)
            if abs(other[number] - best[number]) > 0.03:
                assert (
                    np.log(interpolate(p, evidence, other)).sum() < np.log(interpolate(p, evidence, best)).sum() + 1e-9
                )


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_little_text_is_accepted(length: int) -> None:
    asked, nothing = text(length, 7), text(0, 8)
    for found in (evidence_from_prefix(asked, 4), evidence_from_history(nothing, asked, 4)):
        assert isinstance(found, ContextEvidence)
        assert found.p_P.tolist() == [0.0] * max(0, length - 1)
