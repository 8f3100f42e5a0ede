"""Interpolated modified Kneser-Ney over the tokens of a stream (Chen & Goodman, 1999, section 3).

    tokens ──ngram_counts──> counts of each order ──discounts, totals, weights──> KneserNey ──> log p(w | h)

With h the n - 1 tokens before w, h' the same without its first, c the counts of order n, and N1(h), N2(h), N3+(h) how
many different tokens follow h once, twice, and three times or more:

    p(w | h) = max(c(h w) - D(c(h w)), 0) / sum_v c(h v) + gamma(h) p(w | h')
    gamma(h) = (D1 N1(h) + D2 N2(h) + D3+ N3+(h)) / sum_v c(h v)

down to order 1, where p(w | h') is uniform over the vocabulary: nothing is impossible. A context never seen hands all
to the shorter one (gamma = 1). The counts of the highest order are occurrences; those below are how many different
tokens stand before an n-gram, since a short context is asked only where the longer one failed. Each order's discounts
come from n_k, the number of n-grams that count k:

    Y = n1 / (n1 + 2 n2)      D1 = 1 - 2 Y n2 / n1      D2 = 2 - 3 Y n3 / n2      D3+ = 3 - 4 Y n4 / n3
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from charlm.evaluation.baselines.ngram_counts import Keys, NgramCounts, count_ngrams, find_keys
from charlm.vocab.base import IntArray

Floats = npt.NDArray[np.float64]

_TOKENS_PER_CHUNK = 1 << 18  # tokens scored at once
_NGRAMS_PER_CHUNK = 1 << 14  # n-grams weighed at once
_MAX_DISCOUNT_COUNT = 3  # counts of three and more share a discount


def estimate_discounts(counts: IntArray) -> Floats:
    """(4,): D(0) = 0, D1, D2, D3+ of one order.

    Where a formula gives none (an n_k is 0, as in little text) or none inside (0, k), the discount is k / 2: so each
    n-gram keeps a part of its count and gives a part of it away, and every probability stays above 0.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == k)) for k in range(1, 5))
    found = [0.0]
    for k, (n_k, n_above) in enumerate(((n1, n2), (n2, n3), (n3, n4)), start=1):
        y = n1 / (n1 + 2 * n2) if n1 else 0.0
        discount = k - (k + 1) * y * n_above / n_k if n_k else 0.0
        found.append(discount if 0 < discount < k else k / 2)
    return np.array(found)


@dataclass(frozen=True, slots=True)
class _Order:
    """One order's n-grams, and what their contexts, the n-grams of the order below, hand on."""

    keys: Keys
    counts: IntArray
    discounts: Floats
    totals: IntArray
    """(contexts,): sum_v c(h v); 1 where nothing follows h, and gamma is 1."""
    gammas: Floats
    """(contexts,)"""

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
        """Count a stream.

        Args:
            tokens: (T,) ids below `vocab_size`, the first one context alone; may be memory-mapped.
            order: length of the longest n-grams; lower where the stream is shorter, or `memory` does not hold them.
            memory: bytes, for counting (at least 4 a token) and for the tables.
            on_progress: gets how many tokens were gone through: up to 2 (order - 1) T in all. It may raise to stop.

        Raises:
            OutOfMemoryError: `memory` is too little even to begin.
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
        """Of all orders, the unseen single ids not among them."""
        return sum(int(np.count_nonzero(order.counts)) for order in self._orders)

    def log_probabilities(self, tokens: IntArray, *, on_progress: Callable[[int], None] = lambda _: None) -> Floats:
        """(T - 1,): the natural logarithm of the probability of each token but the first, in the context before it.

        At the beginning of the stream contexts are as long as they can be. What is paid is minus the sum, in nats.
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
        """(V,): the probability of each id after `context` (any length, its last tokens count); they sum to 1."""
        ids = np.asarray(context[max(0, len(context) - self.order + 1) :], dtype=np.int64)
        lowest = self._orders[0]
        p_V = lowest.discount_counts(lowest.counts) / lowest.totals[0] + lowest.gammas[0] / self.vocab_size
        ranks, known = ids, np.ones(len(ids), dtype=np.bool_)
        for n, order in enumerate(self._orders[1:], start=2):
            if len(ids) < n - 1 or not known[-1]:
                break  # nor is any longer context known
            h = int(ranks[-1])
            start, end = np.searchsorted(order.keys, [h * self.vocab_size, (h + 1) * self.vocab_size])
            p_V *= order.gammas[h]
            p_V[order.keys[start:end] % self.vocab_size] += (
                order.discount_counts(order.counts[start:end]) / order.totals[h]
            )
            ranks, known = self._extend(order, ranks, known, ids[n - 1 :])
        return p_V

    def _probabilities(self, ids: Keys) -> Floats:
        """(T - 1,): p of each id but the first, from order 1 up."""
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
        """From the (n - 1)-grams that end at successive tokens to the n-grams that end one later, at `ids`."""
        next_ranks, found = find_keys(order.keys, ranks[: len(ids)] * self.vocab_size + ids)
        return next_ranks, found & known[: len(ids)]


def _build_order(table: NgramCounts, num_contexts: int, vocab_size: int) -> _Order:
    """Totals and gammas of the contexts."""
    D = estimate_discounts(table.counts)
    totals = np.zeros(num_contexts, dtype=table.counts.dtype)
    gammas = np.zeros(num_contexts)
    for start in range(0, len(table.keys), _NGRAMS_PER_CHUNK):
        counts = table.counts[start : start + _NGRAMS_PER_CHUNK]
        h = table.keys[start : start + _NGRAMS_PER_CHUNK] // vocab_size
        first = int(h[0])  # may have begun in the piece before: so sums are added to
        h -= first
        here = slice(first, first + int(h[-1]) + 1)
        totals[here] += np.bincount(h, weights=counts).astype(totals.dtype)
        gammas[here] += np.bincount(h, weights=D[np.minimum(counts, _MAX_DISCOUNT_COUNT)])
    is_unseen = totals == 0
    totals[is_unseen] = 1
    gammas[is_unseen] = 1
    gammas /= totals
    return _Order(table.keys, table.counts, D, totals, gammas)
