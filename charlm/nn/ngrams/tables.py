"""The n-grams of each order with their counts, and what is known of each context.

The n-grams of order n are sorted by context, then by last token. A context of n - 1 tokens is named by its index among
the n-grams of order n - 1 (of order 1: by its token), so the n-grams of one context are neighbours, and a look-up is
one binary search. With c the counts, D the discount of an order (`discounts`), and sums over the tokens v after h:

    p_n(w | h) = (c(h w) - D(c(h w))) / c(h) + gamma(h) p_n-1(w)      c(h) = sum_v c(h v)
    gamma(h)   = sum_v D(c(h v)) / c(h)

(absolute discounting, Ney et al., 1994, with the discounts of Chen & Goodman, 1999). A count is the number of blocks
of text that contain an n-gram, as documents repeat their own words.

G n-grams of an order, C contexts of it, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from charlm.vocab.base import IntArray

Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NUM_CLASSES = 3
"""Counts of 1, 2, and 3 or more have a discount each."""
BYTES_PER_NGRAM = 32
"""In memory: its key and count, and the sums of the context that it is for the next order."""
_MAX_COUNT = 1 << 53
MAX_NGRAMS = 1 << 24
"""N-grams of one order: their numbers are exact in fp32."""


def estimate_discounts(counts: IntArray) -> Floats:
    """Return (4,) the discounts of counts 0, 1, 2, and 3 or more, by the formula of Chen & Goodman (1999, eq. 26).

    Where it is undefined, as for little text, or gives a value outside (0, k), the discount is k / 2. So each n-gram
    keeps a part of its count and gives a part to the shorter context, and every probability stays above 0.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == k)) for k in range(1, 5))
    found = [0.0]
    for k, (n_k, n_above) in enumerate(((n1, n2), (n2, n3), (n3, n4)), start=1):
        y = n1 / (n1 + 2 * n2) if n1 else 0.0
        discount = k - (k + 1) * y * n_above / n_k if n_k else 0.0
        found.append(discount if 0 < discount < k else k / 2)
    return np.array(found)


@dataclass(frozen=True, slots=True)
class ContextSums:
    """What is known of each context of an order, from the tokens v that follow it."""

    totals: Keys
    """(C,): c(h); 0 where nothing that is kept follows."""
    masses: Floats
    """(C,): sum_v D(c(h v))."""
    squares: Floats
    """(C,): sum_v c(h v)^2. Divided by c(h)^2 it says how much the tokens that follow agree (Simpson, 1949)."""


@dataclass(frozen=True, slots=True)
class OrderTable:
    """The n-grams of one order."""

    keys: Keys
    """(G,) sorted: the number of the context * V + the last token."""
    counts: IntArray
    """(G,) int32: the number of blocks that contain the n-gram; at least 1."""
    discounts: Floats
    """(4,): D."""
    starts: IntArray
    """(C + 1,) int32: where the n-grams of each context begin in `keys`."""

    @classmethod
    def build(cls, keys: Keys, counts: IntArray, discounts: Floats, num_contexts: int, vocab_size: int) -> Self:
        """Find where the n-grams of each context begin."""
        starts = np.searchsorted(keys, np.arange(num_contexts + 1, dtype=np.int64) * vocab_size)
        return cls(keys, counts.astype(np.int32), discounts, starts.astype(np.int32))

    def context_sums(self) -> ContextSums:
        """Add up the counts that follow each context."""
        num_contexts = len(self.starts) - 1
        context_G = np.repeat(np.arange(num_contexts), np.diff(self.starts))

        def add_up(values_G: npt.NDArray[Any]) -> Floats:
            return np.bincount(context_G, weights=values_G, minlength=num_contexts).astype(np.float64)

        return ContextSums(
            add_up(self.counts).astype(np.int64),
            add_up(self.discounts[np.minimum(self.counts, NUM_CLASSES)]),
            add_up(np.square(self.counts, dtype=np.float64)),
        )

    @property
    def num_bytes(self) -> int:
        """The size of what a model needs of it in memory."""
        return len(self.keys) * BYTES_PER_NGRAM


@dataclass(frozen=True, slots=True)
class NgramTables:
    """The counts of a training text."""

    vocab_size: int
    unigram_counts: IntArray
    """(V,) int64: how often each token is predicted."""
    orders: tuple[OrderTable, ...]
    """Of n-grams of length 2, 3, ..."""

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return len(self.orders) + 1

    @property
    def num_ngrams(self) -> int:
        return sum(len(each.keys) for each in self.orders)

    @property
    def num_bytes(self) -> int:
        return self.unigram_counts.nbytes + sum(each.num_bytes for each in self.orders)

    @property
    def unigram_probabilities(self) -> Floats:
        """(V,): p_1, in which half an occurrence is added to every token."""
        smoothed_V = self.unigram_counts + 0.5
        return smoothed_V / smoothed_V.sum()

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a file holds, by name."""
        arrays: dict[str, npt.NDArray[Any]] = {"unigram_counts": self.unigram_counts}
        for n, table in enumerate(self.orders, start=2):
            token_type = np.int32 if self.vocab_size > np.iinfo(np.int16).max else np.int16
            arrays[f"{n}.tokens"] = (table.keys % self.vocab_size).astype(token_type)
            arrays[f"{n}.counts"] = table.counts
            arrays[f"{n}.starts"] = table.starts
            arrays[f"{n}.discounts"] = table.discounts
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], vocab_size: int) -> Self:
        """Invert `to_arrays`.

        Raises:
            KeyError, ValueError: the arrays are not those of tables for this vocabulary.
        """
        for name, array in arrays.items():
            if array.dtype.kind != ("f" if name.endswith(".discounts") else "i"):
                raise ValueError(f"{name} are {array.dtype}")
        unigrams = arrays["unigram_counts"]
        if unigrams.shape != (vocab_size,) or unigrams.min(initial=0) < 0 or unigrams.max(initial=0) > _MAX_COUNT:
            raise ValueError(f"unigram_counts are not those of {vocab_size} tokens")
        orders: list[OrderTable] = []
        num_contexts = vocab_size
        while f"{len(orders) + 2}.tokens" in arrays:
            n = len(orders) + 2
            orders.append(_check_order(arrays, n, num_contexts, vocab_size))
            num_contexts = len(orders[-1].keys)
        if not orders or len(arrays) != 1 + 4 * len(orders):
            raise ValueError("orders are missing")
        return cls(vocab_size, unigrams.astype(np.int64), tuple(orders))


def _check_order(arrays: Mapping[str, npt.NDArray[Any]], n: int, num_contexts: int, vocab_size: int) -> OrderTable:
    """
    Raises:
        KeyError, ValueError: the arrays of this order contradict each other.
    """
    tokens, counts, starts = (arrays[f"{n}.{name}"].astype(np.int64) for name in ("tokens", "counts", "starts"))
    discounts: Floats = arrays[f"{n}.discounts"].astype(np.float64)
    fits = (
        starts.shape == (num_contexts + 1,)
        and tokens.ndim == 1
        and tokens.shape == counts.shape
        and len(tokens) <= MAX_NGRAMS
        and discounts.shape == (NUM_CLASSES + 1,)
        and starts[0] == 0
        and starts[-1] == len(tokens)
        and bool((np.diff(starts) >= 0).all())
    )
    if not fits:
        raise ValueError(f"the arrays of order {n} contradict each other")
    keys = np.repeat(np.arange(num_contexts, dtype=np.int64), np.diff(starts)) * vocab_size + tokens
    is_valid = (
        bool((np.diff(keys) > 0).all())
        and tokens.min(initial=0) >= 0
        and tokens.max(initial=0) < vocab_size
        and counts.min(initial=1) >= 1
        and np.add.reduceat(np.append(counts, 0), starts[:-1]).max(initial=0) <= np.iinfo(np.int32).max
        and bool(((discounts >= 0) & (discounts <= np.arange(NUM_CLASSES + 1))).all())
    )
    if not is_valid:
        raise ValueError(f"order {n} has impossible values")
    return OrderTable.build(keys, counts, discounts, num_contexts, vocab_size)
