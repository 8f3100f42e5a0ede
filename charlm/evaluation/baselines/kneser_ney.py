"""Interpolated modified Kneser-Ney over the tokens of a stream (Chen & Goodman, 1999, section 3).

    tokens ──ngram_counts──> counts of each order ──discounts, totals, weights──> KneserNey ──> log p(w | h)

With h the n - 1 tokens before w, h' the context h without its first token, c the counts of order n, and N1(h), N2(h),
N3+(h) the numbers of different tokens that follow h once, twice, and three times or more:

    p(w | h) = max(c(h w) - D(c(h w)), 0) / sum_v c(h v) + gamma(h) p(w | h')
    gamma(h) = (D1 N1(h) + D2 N2(h) + D3+ N3+(h)) / sum_v c(h v)

down to order 1, where p(w | h') is uniform over the vocabulary, so that no probability is 0. A context that was never
seen gives all its probability to the shorter one (gamma = 1). The counts of the highest order are occurrences. Counts
of lower orders are the numbers of different tokens before an n-gram (continuation counts), since a shorter context is
used only where the longer one fails. The discounts of each order come from n_k, the number of n-grams with count k:

    Y = n1 / (n1 + 2 n2)      D1 = 1 - 2 Y n2 / n1      D2 = 2 - 3 Y n3 / n2      D3+ = 3 - 4 Y n4 / n3
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from charlm.evaluation.baselines.ngram_counts import Keys, NgramCounts, count_ngrams, find_keys
from charlm.nn.ngrams.tables import estimate_discounts
from charlm.vocab.base import IntArray

Floats = npt.NDArray[np.float64]

_TOKENS_PER_CHUNK = 1 << 18  # tokens scored at once
_NGRAMS_PER_CHUNK = 1 << 14  # n-grams summed at once
_MAX_DISCOUNT_COUNT = 3  # counts of three and more have the same discount


@dataclass(frozen=True, slots=True)
class _Order:
    """The n-grams of one order, and the totals and weights of their contexts (the n-grams of the order below)."""

    keys: Keys
    counts: IntArray
    discounts: Floats
    totals: IntArray
    """(contexts,): sum_v c(h v); 1 where no token follows h, so that gamma is 1."""
    gammas: Floats
    """(contexts,): gamma(h), the probability given to the shorter context."""

    def discount_counts(self, counts: IntArray) -> Floats:
        return counts - self.discounts[np.minimum(counts, _MAX_DISCOUNT_COUNT)]


@dataclass(frozen=True)
class KneserNey:
    """p(w | h) of every token after every context."""

    vocab_size: int
    _orders: tuple[_Order, ...]

    @classmethod
    def fit(
        cls,
        tokens: IntArray,
        vocab_size: int,
        order: int,
        *,
        memory: int = 2 << 30,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Self:
        """Count the n-grams of a stream and compute the weights of their contexts.

        Args:
            tokens: (T,) ids below `vocab_size`; the first one is only context. May be memory-mapped.
            order: length of the longest n-grams; lowered where the stream is shorter or `memory` is too small.
            memory: bytes for counting (at least 4 per token) and for the tables.
            on_progress: gets the number of tokens just read, up to 2 (order - 1) T in all. It may raise to stop.

        Raises:
            OutOfMemoryError: `memory` is too small to begin counting.
        """
        tables = count_ngrams(tokens, vocab_size, order, memory, on_progress)
        num_contexts = [1, *(len(table.keys) for table in tables[:-1])]
        orders = (_build_order(table, size, vocab_size) for table, size in zip(tables, num_contexts, strict=True))
        return cls(vocab_size, tuple(orders))

    @property
    def order(self) -> int:
        return len(self._orders)

    @property
    def num_ngrams(self) -> int:
        """The number of n-grams of all orders, without ids that never occurred."""
        return sum(int(np.count_nonzero(order.counts)) for order in self._orders)

    def log_probabilities(self, tokens: IntArray, *, on_progress: Callable[[int], None] = lambda _: None) -> Floats:
        """Return (T - 1,) the natural logarithm of the probability of each token except the first, in its context.

        At the beginning of the stream contexts are as long as possible. The negative log-likelihood is minus the sum.
        """
        logs = np.empty(max(0, len(tokens) - 1))
        for start in range(1, len(tokens), _TOKENS_PER_CHUNK):
            end = min(start + _TOKENS_PER_CHUNK, len(tokens))
            seen_from = max(0, start - max(1, self.order - 1))
            ids = tokens[seen_from:end].astype(np.int64)
            logs[start - 1 : end - 1] = np.log(self._probabilities(ids)[start - seen_from - 1 :])
            on_progress(end - start)
        return logs

    def distribution(self, context: IntArray) -> Floats:
        """Return (V,) the probability of each id after `context`, of which the last order - 1 tokens are used."""
        ids = np.asarray(context[max(0, len(context) - self.order + 1) :], dtype=np.int64)
        lowest = self._orders[0]
        p_V = lowest.discount_counts(lowest.counts) / lowest.totals[0] + lowest.gammas[0] / self.vocab_size
        ranks, known = ids, np.ones(len(ids), dtype=np.bool_)
        for n, order in enumerate(self._orders[1:], start=2):
            if len(ids) < n - 1 or not known[-1]:
                break  # longer contexts are unknown too
            h = int(ranks[-1])
            start, end = np.searchsorted(order.keys, [h * self.vocab_size, (h + 1) * self.vocab_size])
            p_V *= order.gammas[h]
            p_V[order.keys[start:end] % self.vocab_size] += (
                order.discount_counts(order.counts[start:end]) / order.totals[h]
            )
            ranks, known = self._extend(order, ranks, known, ids[n - 1 :])
        return p_V

    def _probabilities(self, ids: Keys) -> Floats:
        """Return (T - 1,) p of each id except the first, computed from order 1 upwards."""
        lowest = self._orders[0]
        p = lowest.discount_counts(lowest.counts[ids[1:]]) / lowest.totals[0] + lowest.gammas[0] / self.vocab_size
        ranks, known = ids, np.ones(len(ids), dtype=np.bool_)
        for n, order in enumerate(self._orders[1:], start=2):
            if len(ids) < n:
                break
            h, h_known = ranks[:-1], known[:-1]
            ranks, known = self._extend(order, ranks, known, ids[n - 1 :])
            counts = np.where(known, order.counts[ranks], 0)
            p_next = order.discount_counts(counts) / order.totals[h] + order.gammas[h] * p[n - 2 :]
            p[n - 2 :] = np.where(h_known, p_next, p[n - 2 :])
        return p

    def _extend(
        self, order: _Order, ranks: Keys, known: npt.NDArray[np.bool_], ids: Keys
    ) -> tuple[Keys, npt.NDArray[np.bool_]]:
        """Return the ranks of the n-grams that end at `ids`, from those of the (n - 1)-grams one token before."""
        next_ranks, found = find_keys(order.keys, ranks[: len(ids)] * self.vocab_size + ids)
        return next_ranks, found & known[: len(ids)]


def _build_order(table: NgramCounts, num_contexts: int, vocab_size: int) -> _Order:
    """Compute the totals and gammas of the contexts."""
    D = estimate_discounts(table.counts)
    totals = np.zeros(num_contexts, dtype=table.counts.dtype)
    gammas = np.zeros(num_contexts)
    for start in range(0, len(table.keys), _NGRAMS_PER_CHUNK):
        counts = table.counts[start : start + _NGRAMS_PER_CHUNK]
        h = table.keys[start : start + _NGRAMS_PER_CHUNK] // vocab_size
        first = int(h[0])  # may have begun in the chunk before, so that sums are added up
        h -= first
        here = slice(first, first + int(h[-1]) + 1)
        totals[here] += np.bincount(h, weights=counts).astype(totals.dtype)
        gammas[here] += np.bincount(h, weights=D[np.minimum(counts, _MAX_DISCOUNT_COUNT)])
    is_unseen = totals == 0
    totals[is_unseen] = 1
    gammas[is_unseen] = 1
    gammas /= totals
    return _Order(table.keys, table.counts, D, totals, gammas)
