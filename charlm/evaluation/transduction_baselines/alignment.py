"""Cut pairs into chunks of source and target symbols that belong together (Jiampojamarn et al., 2007).

    pairs ──all ways to cut them──> lattices ──expectation maximisation──> p(chunk) ──best path──> alignments

    (p h o n e, f ɔ n)   ──>   p h : f   o : ɔ   n : n   e : (nothing)

A chunk joins 1..max_source source symbols with no target symbol or one, or one source symbol with 1..max_target target
symbols. The weight of an alignment is the product over its chunks of p(chunk) exp(-2 (length - 1)), where length counts
the symbols of the longer side. Without that penalty, alignments with few chunks win, such as `a:a ct:k i:sj on:ɔ̃` for
`action`. With it, the words that a 6-gram model gets wrong fall from 13.4 % to 9.8 % in French.

Each iteration finds how often a chunk is expected over all alignments of all pairs, each alignment in proportion to its
weight. Its new probability is its fraction of all expected chunks.

No chunk has an empty source, so a target may be too long for its source. The source symbols of such a pair, and of no
other, join with up to as many target symbols as it needs. Only a pair with a target but no source has no alignment.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from charlm.evaluation.transduction_baselines.base import Pair, Symbols
from charlm.evaluation.transduction_baselines.lattice import OUTSIDE, Floats, Lattice, Shape, build_lattice

_LENGTH_PENALTY = 2.0  # nats; of 0, 1, 1.5, 2 and 3, the fewest errors on six languages together
_ROUNDING = 4  # pairs share a lattice where their lengths, rounded up to multiples of this, are equal
_PAIRS_PER_LATTICE = 512


class JointToken(NamedTuple):
    """A chunk of the source and the chunk of the target that belongs to it (a graphone; Bisani & Ney, 2008)."""

    source: Symbols
    target: Symbols


Alignment = tuple[JointToken, ...]


@dataclass(frozen=True, slots=True)
class Alignments:
    """The best alignment of each pair, and how the expectation maximisation went."""

    best: list[Alignment | None]
    """For each pair its chunks, in order; None for a pair with a target but no source."""
    log_likelihoods: list[float]
    """Before each iteration, the logarithm of the weight of all alignments together, summed over pairs with the pairs'
    weights (nats). It never falls."""


def align_pairs(
    pairs: Sequence[Pair],
    *,
    max_source: int = 2,
    max_target: int = 3,
    max_iterations: int = 30,
    tolerance: float = 1e-3,
) -> Alignments:
    """Learn the probabilities of chunks from all pairs, and find the alignment of each pair with the highest weight.

    Args:
        max_source: the most source symbols in a chunk, at least 1.
        max_target: the most target symbols in a chunk, at least 1.
        tolerance: stop when the log-likelihood gains less than this fraction of its size.
    """
    lattices: list[Lattice] = []
    chunk_numbers: dict[Symbols, int] = {}
    groups = _group_pairs(pairs, max_target)
    for limit, indices in groups:
        group = [pairs[index] for index in indices]
        lattices.append(build_lattice(group, _chunk_shapes(max_source, limit), chunk_numbers))
    penalties = _number_chunks(lattices)
    p = np.full(len(penalties), 1 / len(penalties))
    p[OUTSIDE] = 0
    log_likelihoods: list[float] = []
    for _ in range(max_iterations):
        expected = np.zeros(len(p))
        log_weights = _log(p) - penalties
        log_likelihoods.append(sum(lattice.add_expected(log_weights, expected) for lattice in lattices))
        p = expected / max(expected.sum(), np.finfo(float).tiny)
        if len(log_likelihoods) > 1 and log_likelihoods[-1] - log_likelihoods[-2] <= -tolerance * log_likelihoods[-1]:
            break
    best: list[Alignment | None] = [None] * len(pairs)
    for (_, indices), lattice in zip(groups, lattices, strict=True):
        for index, shapes in zip(indices, lattice.best_paths(_log(p) - penalties), strict=True):
            best[index] = _cut(pairs[index], shapes)
    return Alignments(best, log_likelihoods)


def _chunk_shapes(max_source: int, max_target: int) -> list[Shape]:
    """Return all shapes of chunks. Silent symbols come first, so that of `e e : e` the last one is silent in a tie."""
    silent = [(a, 0) for a in range(1, max_source + 1)]
    one_to_many = [(1, b) for b in range(1, max_target + 1)]
    many_to_one = [(a, 1) for a in range(2, max_source + 1)]
    return [*silent, *one_to_many, *many_to_one]


def _group_pairs(pairs: Sequence[Pair], max_target: int) -> list[tuple[int, list[int]]]:
    """Return groups of pairs of similar lengths, each with the most target symbols in their chunks."""
    groups: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
    for index, (source, target, _) in enumerate(pairs):
        if source or not target:
            needed = _divide_up(len(target), max(1, len(source)))
            rounded = _divide_up(len(source), _ROUNDING), _divide_up(len(target), _ROUNDING)
            groups[max(max_target, needed), *rounded].append(index)
    return [
        (limit, indices[start : start + _PAIRS_PER_LATTICE])
        for (limit, _, _), indices in groups.items()
        for start in range(0, len(indices), _PAIRS_PER_LATTICE)
    ]


def _divide_up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _number_chunks(lattices: list[Lattice]) -> Floats:
    """Replace the keys of all edges by ids from 0 up, in place.

    Returns:
        the length penalty of each id, in nats.
    """
    keys = [keys.ravel() for lattice in lattices for keys in lattice.edges.values()]
    distinct = np.unique(np.concatenate([np.array([OUTSIDE]), *keys]))
    penalties = np.zeros(len(distinct))
    for lattice in lattices:
        for shape, keys in lattice.edges.items():
            ids = np.searchsorted(distinct, keys)
            lattice.edges[shape] = ids
            penalties[ids] = _LENGTH_PENALTY * (max(shape) - 1)
    return penalties


def _log(p: Floats) -> Floats:
    return np.log(p, out=np.full_like(p, -np.inf), where=p > 0)


def _cut(pair: Pair, shapes: list[Shape]) -> Alignment:
    tokens: list[JointToken] = []
    i = j = 0
    for a, b in shapes:
        tokens.append(JointToken(pair.source[i : i + a], pair.target[j : j + b]))
        i, j = i + a, j + b
    return tuple(tokens)
