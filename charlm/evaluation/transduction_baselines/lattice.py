"""All ways to cut pairs into chunks: sums over paths, expected chunks, and best paths, for many pairs at once.

Node (i, j) of a pair lies after i source and j target symbols. An edge of shape (a, b) leads from (i, j) to
(i + a, j + b), and stands for the chunk of the symbols between. Every chunk has a source symbol, so a row of nodes
(one i, all j, all pairs) follows from the rows before it, in a few array operations.

N pairs, S and T the length of the longest source and target.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.evaluation.transduction_baselines.base import Pair, Symbols

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Shape = tuple[int, int]
"""The numbers of source and target symbols of a chunk."""

OUTSIDE = 0
"""The key and the id of edges that leave their pair; the weight must be 0."""

_TIE = 1e-9  # nats: less is a matter of rounding


@dataclass(frozen=True, slots=True)
class Lattice:
    """N pairs, padded to the longest source and target."""

    ends_N2: Ints
    """The lengths of source and target."""
    weights_N: Floats
    edges: dict[Shape, Ints]
    """Of each shape (a, b): (N, S + 1 - a, T + 1 - b) the chunk of the edge that leaves (i, j): at first its key, the
    same in all lattices that share numbers of chunks, then an id from 0 up."""

    def add_expected(self, log_weights: Floats, expected: Floats) -> float:
        """Add to `expected` how often each chunk is expected over all paths, with the weights of the pairs.

        With alpha the weight of all paths from the beginning to a node, and beta that of all paths to the end, the
        chunk of an edge from u to v is expected alpha(u) weight(chunk) beta(v) / beta(beginning) times.

        Args:
            log_weights: of each id; minus infinity for OUTSIDE.

        Returns:
            the logarithm of the weight of all paths, summed over pairs with their weights.
        """
        alpha, beta = self._sum_from_beginning(log_weights, np.logaddexp), self._sum_to_end(log_weights)
        total_N = beta[:, 0, 0]
        for (a, b), ids in self.edges.items():
            leaving = alpha[:, : ids.shape[1], : ids.shape[2]] - total_N[:, None, None]
            shares = np.exp(leaving + log_weights[ids] + beta[:, a:, b:]) * self.weights_N[:, None, None]
            expected += np.bincount(ids.ravel(), weights=shares.ravel(), minlength=len(expected))
        return float(total_N @ self.weights_N)

    def best_paths(self, log_weights: Floats) -> list[list[Shape]]:
        """Return the shapes of the chunks on each pair's best path, in order.

        Paths with the same chunks in another order tie. From the end, the first shape of `edges` is then taken.
        """
        best = self._sum_from_beginning(log_weights, np.maximum)
        return [self._trace_back(log_weights, best, n) for n in range(len(self.ends_N2))]

    def _trace_back(self, log_weights: Floats, best: Floats, n: int) -> list[Shape]:
        i, j = self.ends_N2[n].tolist()
        shapes: list[Shape] = []
        while (i, j) != (0, 0):
            fitting = [(a, b) for a, b in self.edges if a <= i and b <= j]
            logs = [best[n, i - a, j - b] + log_weights[self.edges[a, b][n, i - a, j - b]] for a, b in fitting]
            a, b = fitting[int(np.argmax(np.array(logs) >= max(logs) - _TIE))]
            shapes.append((a, b))
            i, j = i - a, j - b
        return shapes[::-1]

    def _sum_from_beginning(self, log_weights: Floats, combine: np.ufunc) -> Floats:
        """Return (N, S + 1, T + 1) the log weight of the paths to each node: logaddexp of all, or their maximum."""
        alpha = self._no_paths()
        alpha[:, 0, 0] = 0
        for i in range(1, alpha.shape[1]):
            for (a, b), ids in self.edges.items():
                if a <= i:
                    here = alpha[:, i, b:]
                    combine(here, alpha[:, i - a, : here.shape[1]] + log_weights[ids[:, i - a]], out=here)
        return alpha

    def _sum_to_end(self, log_weights: Floats) -> Floats:
        """Return (N, S + 1, T + 1) the log weight of all paths from each node to the end of its pair."""
        beta = self._no_paths()
        beta[np.arange(len(beta)), self.ends_N2[:, 0], self.ends_N2[:, 1]] = 0
        for i in reversed(range(beta.shape[1])):
            for (a, b), ids in self.edges.items():
                if i < ids.shape[1]:
                    here = beta[:, i, : ids.shape[2]]
                    np.logaddexp(here, log_weights[ids[:, i]] + beta[:, i + a, b:], out=here)
        return beta

    def _no_paths(self) -> Floats:
        return np.full((len(self.ends_N2), *(self.ends_N2.max(0) + 1)), -np.inf)


def build_lattice(pairs: Sequence[Pair], shapes: Sequence[Shape], chunk_numbers: dict[Symbols, int]) -> Lattice:
    """Return the lattice of at least one pair, with edges of the given shapes.

    Args:
        chunk_numbers: of the chunks of sources and targets; new ones are added. Keys are made of two numbers.
    """
    sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
    ends_N2 = np.array([(len(pair.source), len(pair.target)) for pair in pairs])
    longest_source, longest_target = ends_N2.max(0).tolist()
    edges: dict[Shape, Ints] = {}
    for a, b in shapes:
        if a <= longest_source and b <= longest_target:
            source_NS1 = _find_chunks(sources, a, longest_source, chunk_numbers)[:, :, None]
            target_N1T = _find_chunks(targets, b, longest_target, chunk_numbers)[:, None, :]
            is_inside = (source_NS1 >= 0) & (target_N1T >= 0)
            edges[a, b] = np.where(is_inside, (source_NS1 + 1) << 32 | target_N1T, OUTSIDE)
    return Lattice(ends_N2, np.array([pair.weight for pair in pairs], dtype=np.float64), edges)


def _find_chunks(texts: Sequence[Symbols], size: int, longest: int, chunk_numbers: dict[Symbols, int]) -> Ints:
    """Return (N, longest + 1 - size) the numbers of the chunks of `size` symbols; -1 beyond the end of a text."""
    numbers = np.full((len(texts), longest + 1 - size), -1, dtype=np.int64)
    for row, text in zip(numbers, texts, strict=True):
        found = [chunk_numbers.setdefault(text[i : i + size], len(chunk_numbers)) for i in range(len(text) + 1 - size)]
        row[: len(found)] = found
    return numbers
