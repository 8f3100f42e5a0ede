"""The n-grams of each order in a token stream, with their counts for Kneser-Ney, in bounded memory.

    tokens ──ranks of the (n-1)-grams, key = rank * vocab_size + token──> sorted keys of order n ──> ranks of order n
               (order by order, from 2 up)                                     └──> counts of order n - 1

The rank of an n-gram is its index among the sorted keys of its order. Its key holds the rank of its context (the n-gram
without its last token). So a key fits in 64 bits for every order, the n-grams of one context are neighbours, and a
look-up is one binary search per order. The stream is read in chunks. Memory holds 4 bytes per token (the ranks) until
counting ends, and the tables.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.errors import OutOfMemoryError
from charlm.vocab.base import IntArray

Keys = npt.NDArray[np.int64]

_BYTES_PER_TOKEN = 112  # while the chunk of the token is sorted, looked up and merged
_CHUNK_FRACTION = 16  # 1/16 of the memory is for chunks
_MIN_CHUNK_LEN = 1 << 12


@dataclass(frozen=True, slots=True)
class NgramCounts:
    """The n-grams of one order."""

    keys: Keys
    """(G,) sorted: rank of the context in the order below * vocab_size + last token. In order 1: all ids."""
    counts: IntArray
    """(G,): occurrences in the highest order; in lower orders the number of different tokens before the n-gram."""


def find_keys(table: Keys, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Return the index of each key in a sorted table, and whether it is there (where not, the index is arbitrary)."""
    order = np.argsort(keys)  # sorted queries hit the cache: about 5 times as fast
    rank = np.empty_like(keys)
    rank[order] = np.searchsorted(table, keys[order])
    rank[rank == len(table)] = 0
    found = table[rank] == keys if len(table) else np.zeros(len(keys), dtype=np.bool_)
    return rank, found


def count_ngrams(
    tokens: IntArray, vocab_size: int, order: int, memory: int, on_progress: Callable[[int], None]
) -> list[NgramCounts]:
    """Return the n-grams of orders 1 to `order`, or to the highest that fits in `memory` bytes and in the stream.

    N-grams that end at a prediction are counted, so the stream's first token is not a 1-gram. The beginning of the
    stream counts as one more token before the n-gram there.

    Raises:
        OutOfMemoryError: the ranks of the stream do not fit.
    """
    rank_type = np.dtype(np.uint32 if max(len(tokens), vocab_size) < 1 << 32 else np.int64)
    memory_plan = _MemoryPlan(len(tokens), rank_type.itemsize, memory)
    if memory_plan.max_ngrams(vocab_size, vocab_size) < 0:
        raise OutOfMemoryError(
            f"{memory / 2**20:,.0f} MiB are not enough to count the n-grams of {len(tokens):,} tokens",
            "raise memory_mib of kneser_ney, or remove it from `baselines`",
        )
    ranks = np.array(tokens, dtype=rank_type)
    keys = np.arange(vocab_size, dtype=np.int64)
    tables: list[NgramCounts] = []
    num_ngrams = 0
    for n in range(2, min(order, len(tokens)) + 1):
        num_ngrams += len(keys)
        max_ngrams = memory_plan.max_ngrams(num_ngrams, len(keys))
        next_keys = _distinct_keys(tokens, ranks, vocab_size, n, memory_plan.chunk_len, max_ngrams, on_progress)
        if next_keys is None:
            break
        suffixes = _extend_ranks(tokens, ranks, vocab_size, n, memory_plan.chunk_len, next_keys, on_progress)
        counts = _count_ranks(suffixes, len(keys), memory_plan.chunk_len)
        del suffixes
        if n > 2:
            counts[ranks[n - 2]] += 1  # still of order n - 1: the n-gram at the beginning of the stream
        tables.append(NgramCounts(keys, counts))
        keys = next_keys
    first = max(1, len(tables))
    return [*tables, NgramCounts(keys, _count_ranks(ranks[first:], len(keys), memory_plan.chunk_len))]


@dataclass(frozen=True, slots=True)
class _MemoryPlan:
    """The division of the memory between ranks, chunks and tables."""

    num_tokens: int
    item_bytes: int
    """Bytes of a rank or a count."""
    memory: int
    """Bytes."""

    @property
    def chunk_len(self) -> int:
        """Tokens read at once."""
        return max(_MIN_CHUNK_LEN, self.memory // _CHUNK_FRACTION // _BYTES_PER_TOKEN)

    def max_ngrams(self, num_below: int, num_contexts: int) -> int:
        """Return the number of n-grams that the next order may have; negative where the lower orders do not fit.

        While an order is counted, memory holds the ranks, the keys and counts of lower orders, 64-bit sums of the order
        below, and the order's keys twice (while new ones are merged) or once with a 64-bit sum and a count each.
        Afterwards each lower n-gram has a key, a count, a total and a weight, and each highest one a key and a count.

        Args:
            num_below: n-grams of all lower orders.
            num_contexts: n-grams of the order below.
        """
        for_counts = self.memory - self.num_tokens * self.item_bytes - self.chunk_len * _BYTES_PER_TOKEN
        for_counts -= (8 + self.item_bytes) * num_below + 8 * num_contexts
        for_weights = self.memory - (16 + 2 * self.item_bytes) * num_below
        return min(for_counts // (16 + self.item_bytes), for_weights // (9 + self.item_bytes))


def _distinct_keys(
    tokens: IntArray,
    ranks: IntArray,
    vocab_size: int,
    n: int,
    chunk_len: int,
    max_ngrams: int,
    on_progress: Callable[[int], None],
) -> Keys | None:
    """Return the different keys of order n, sorted; None where there are more than `max_ngrams`."""
    merged = np.array([], dtype=np.int64)
    for start in range(n - 1, len(tokens), chunk_len):
        end = min(start + chunk_len, len(tokens))
        keys = np.sort(_keys_at(tokens, ranks, vocab_size, start, end))
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
        position = np.searchsorted(merged, keys)
        is_new = np.ones(len(keys), dtype=np.bool_)
        within = position < len(merged)
        is_new[within] = merged[position[within]] != keys[within]
        if len(merged) + np.count_nonzero(is_new) > max_ngrams:
            return None
        merged = np.insert(merged, position[is_new], keys[is_new])
        on_progress(end - start)
    return merged


def _extend_ranks(
    tokens: IntArray,
    ranks: IntArray,
    vocab_size: int,
    n: int,
    chunk_len: int,
    next_keys: Keys,
    on_progress: Callable[[int], None],
) -> IntArray:
    """Turn the ranks of order n - 1 into those of order n in place, from the end, since each needs the one before it.

    Returns:
        for each n-gram the rank of its last n - 1 tokens.
    """
    suffixes = np.empty(len(next_keys), dtype=ranks.dtype)
    for start in reversed(range(n - 1, len(tokens), chunk_len)):
        end = min(start + chunk_len, len(tokens))
        rank, _ = find_keys(next_keys, _keys_at(tokens, ranks, vocab_size, start, end))
        suffixes[rank] = ranks[start:end]
        ranks[start:end] = rank
        on_progress(end - start)
    return suffixes


def _keys_at(tokens: IntArray, ranks: IntArray, vocab_size: int, start: int, end: int) -> Keys:
    """Return the keys of the n-grams that end at start..end - 1."""
    keys = ranks[start - 1 : end - 1].astype(np.int64)
    keys *= vocab_size
    keys += tokens[start:end]
    return keys


def _count_ranks(ranks: IntArray, size: int, chunk_len: int) -> IntArray:
    """Return (size,) the number of occurrences of each rank."""
    counts = np.zeros(size, dtype=ranks.dtype)
    for start in range(0, len(ranks), chunk_len):
        np.add(counts, np.bincount(ranks[start : start + chunk_len], minlength=size), out=counts, casting="unsafe")
    return counts
