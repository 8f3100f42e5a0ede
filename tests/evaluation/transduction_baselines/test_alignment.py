"""Alignments: they use up both sides, follow the rules of small languages, and their likelihood rises."""

from itertools import pairwise

import numpy as np
import pytest

from charlm.evaluation.transduction_baselines.alignment import Alignment, align_pairs
from charlm.evaluation.transduction_baselines.base import Pair, Symbols
from charlm.evaluation.transduction_baselines.lattice import OUTSIDE, build_lattice
from tests.evaluation.transduction_baselines.pairs import pair, random_pairs, spoken_pairs


def show(path: Alignment | None) -> str:
    assert path is not None
    return " ".join("".join(token.source) + ":" + "".join(token.target) for token in path)


def joined(path: Alignment) -> Pair:
    source: Symbols = sum((token.source for token in path), ())
    target: Symbols = sum((token.target for token in path), ())
    return Pair(source, target)


@pytest.mark.parametrize("limits", [(1, 1), (2, 2), (2, 3), (3, 1)])
def test_alignments_use_up_both_sides(limits: tuple[int, int]) -> None:
    max_source, max_target = limits
    pairs = random_pairs(0, 300)
    aligned = align_pairs(pairs, max_source=max_source, max_target=max_target).best
    for (source, target, _), path in zip(pairs, aligned, strict=True):
        if target and not source:
            assert path is None
            continue
        assert path is not None
        assert joined(path) == Pair(source, target)
        widest = max(max_target, -(-len(target) // max(1, len(source))))
        for token in path:
            sizes = len(token.source), len(token.target)
            assert 1 <= sizes[0] <= max_source
            assert sizes[1] <= widest
            assert min(sizes) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_the_likelihood_never_falls(seed: int) -> None:
    pairs = random_pairs(seed, 100) + spoken_pairs(seed, 100)
    log_likelihoods = align_pairs(pairs, tolerance=-1, max_iterations=12).log_likelihoods
    assert len(log_likelihoods) == 12
    assert all(after >= before - 1e-9 * abs(before) for before, after in pairwise(log_likelihoods))
    assert log_likelihoods[-1] > log_likelihoods[0]


def test_digraphs_silent_letters_and_long_targets_are_found() -> None:
    pairs = [*spoken_pairs(0, 400), pair("pashahtaxe", "paSataks"), pair("ashe", "aS"), pair("a", "spats")]
    aligned = align_pairs(pairs).best
    assert show(aligned[-3]) == "p:p a:a sh:S a:a h: t:t a:a x:ks e:"
    assert show(aligned[-2]) == "a:a sh:S e:"
    assert show(aligned[-1]) == "a:spats"


def test_of_two_alignments_with_the_same_chunks_the_last_symbol_is_silent() -> None:
    pairs = [pair("ee", "e"), pair("e", "e"), pair("e", "")] * 10
    assert [show(path) for path in align_pairs(pairs).best[:3]] == ["e:e e:", "e:e", "e:"]


def test_weights_count_like_copies() -> None:
    pairs = spoken_pairs(0, 30)
    heavy = [each._replace(weight=3.0) for each in pairs]
    with_weights, with_copies = align_pairs(heavy), align_pairs(pairs * 3)
    assert with_weights.best == with_copies.best[: len(pairs)]
    assert with_weights.log_likelihoods == pytest.approx(with_copies.log_likelihoods)


def test_the_order_of_pairs_changes_nothing() -> None:
    pairs = spoken_pairs(4, 200)
    assert align_pairs(pairs[::-1]).best[::-1] == align_pairs(pairs).best


def test_sums_and_best_paths_are_those_of_all_paths() -> None:
    shapes = [(1, 1), (2, 1), (1, 2), (1, 0)]
    pairs = [pair("aba", "xy"), pair("ab", "yxy", 2.0), pair("b", "")]
    lattice = build_lattice(pairs, shapes, {})
    distinct = np.unique(np.concatenate([np.array([OUTSIDE]), *(keys.ravel() for keys in lattice.edges.values())]))
    for shape, keys in lattice.edges.items():
        lattice.edges[shape] = np.searchsorted(distinct, keys)
    log_weights = np.log(np.random.default_rng(0).uniform(0.1, 1, len(distinct)))
    log_weights[OUTSIDE] = -np.inf

    expected, total = np.zeros(len(distinct)), 0.0
    best_paths: list[list[tuple[int, int]]] = []
    for n, (source, target, weight) in enumerate(pairs):
        found: list[tuple[float, list[tuple[int, int]], list[int]]] = []

        def walk(i: int, j: int, path: list[tuple[int, int]], ids: list[int]) -> None:
            if (i, j) == (len(source), len(target)):  # noqa: B023
                found.append((float(log_weights[ids].sum()), path, ids))  # noqa: B023
            for a, b in shapes:
                if i + a <= len(source) and j + b <= len(target):  # noqa: B023
                    walk(i + a, j + b, [*path, (a, b)], [*ids, int(lattice.edges[a, b][n, i, j])])  # noqa: B023

        walk(0, 0, [], [])
        sum_of_paths = sum(np.exp(log_weight) for log_weight, _, _ in found)
        total += weight * np.log(sum_of_paths)
        for log_weight, _, ids in found:
            np.add.at(expected, ids, weight * np.exp(log_weight) / sum_of_paths)
        best_paths.append(max(found)[1])

    counted = np.zeros(len(distinct))
    assert lattice.add_expected(log_weights, counted) == pytest.approx(total)
    assert counted == pytest.approx(expected)
    assert lattice.best_paths(log_weights) == best_paths
