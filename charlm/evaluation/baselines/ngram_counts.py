"""Which n-grams of each order stand in a token stream, and how often they count for Kneser-Ney: in bounded memory.

    tokens ──ranks of the (n-1)-grams, key = rank * vocab_size + token──> sorted keys of order n ──> ranks of order n
               (order by order, from 2 up)                                     └──> counts of order n - 1

An n-gram is known by its rank, its place among the sorted keys of its order; its key names its context (the n-gram
without its last token) by rank. So a key fits in 64 bits whatever the order, the n-grams that go on from one context
stand side by side, and looking one up is one binary search an order. The stream is read in pieces; what stays is
4 bytes a token (the ranks) until the counting is done, and the tables.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.errors import OutOfMemoryError
from charlm.vocab.base import IntArray

Keys = npt.NDArray[np.int64]

_BYTES_PER_TOKEN = 112  # of a token while its piece is sorted, looked up and merged
_CHUNK_FRACTION = 16  # of the memory, for pieces
_MIN_CHUNK_LEN = 1 << 12


@dataclass(frozen=True, slots=True)
class NgramCounts:
    """One order's n-grams."""

    keys: Keys
    """(G,) sorted: rank of the context in the order below * vocab_size + last token. Of order 1: all the ids."""
    counts: IntArray
    """(G,): occurrences in the highest order; below it, how many different tokens stand before the n-gram."""


def find_keys(table: Keys, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Where each key stands in a sorted table (anywhere in it where it does not), and whether it does."""
    order = np.argsort(keys)  # neighbours in the table are searched for together: some 5 times as fast from the cache
    rank = np.empty_like(keys)
    rank[order] = np.searchsorted(table, keys[order])
    rank[rank == len(table)] = 0
    found = table[rank] == keys if len(table) else np.zeros(len(keys), dtype=np.bool_)
    return rank, found


def count_ngrams(
    tokens: IntArray, vocab_size: int, order: int, memory: int, on_progress: Callable[[int], None]
) -> list[NgramCounts]:
    """The n-grams of orders 1 to `order`, or to the highest that fits in `memory` bytes, or in the stream.

    Counted are n-grams that end at a prediction, so not the stream's first token by itself. The beginning of the
    stream counts as one more token before an n-gram that stands there.

    Raises:
        OutOfMemoryError: not even the ranks of the stream fit.
    """
    rank_type = np.dtype(np.uint32 if max(len(tokens), vocab_size) < 1 << 32 else np.int64)
    memory_plan = _MemoryPlan(len(tokens), rank_type.itemsize, memory)
    if memory_plan.max_ngrams(vocab_size, vocab_size) < 0:
        raise OutOfMemoryError(
            f"{memory / 2**20:,.0f} MiB are too few to count the n-grams of {len(tokens):,} tokens",
            "raise memory_mib of kneser_ney, or leave it out of `baselines`",
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
            counts[ranks[n - 2]] += 1  # still of order n - 1: the n-gram that begins the stream
        tables.append(NgramCounts(keys, counts))
        keys = next_keys
    first = max(1, len(tables))
    return [*tables, NgramCounts(keys, _count_ranks(ranks[first:], len(keys), memory_plan.chunk_len))]


@dataclass(frozen=True, slots=True)
class _MemoryPlan:
    """How the memory is shared out."""

    num_tokens: int
    item_bytes: int
    """Bytes of a rank or a count."""
    memory: int
    """Bytes."""

    @property
    def chunk_len(self) -> int:
        """Tokens gone through at once."""
        return max(_MIN_CHUNK_LEN, self.memory // _CHUNK_FRACTION // _BYTES_PER_TOKEN)

    def max_ngrams(self, num_below: int, num_contexts: int) -> int:
        """How many n-grams the next order may have, where all orders below have `num_below`, the last of them
        `num_contexts`; negative where not even those fit.

        While an order is counted there are the ranks, keys and counts below it, the 64-bit sums of the last of those,
        and the order's keys twice (as new ones come in) or with a 64-bit sum and a count each. Afterwards each n-gram
        below has a key, a count, a total and a weight; those of the highest order have a key and a count.
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
    """The different keys of order n, sorted; None where they are more than `max_ngrams`."""
    merged = np.array([], dtype=np.int64)
    for start in range(n - 1, len(tokens), chunk_len):
        end = min(start + chunk_len, len(tokens))
        keys = np.sort(_keys_at(tokens, ranks, vocab_size, start, end))
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
        place = np.searchsorted(merged, keys)
        is_new = np.ones(len(keys), dtype=np.bool_)
        within = place < len(merged)
        is_new[within] = merged[place[within]] != keys[within]
        if len(merged) + np.count_nonzero(is_new) > max_ngrams:
            return None
        merged = np.insert(merged, place[is_new], keys[is_new])
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
    """Turn the ranks of order n - 1 into those of order n, in place, from the end since each needs the one before it.

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
    """Of the n-grams that end at start..end - 1."""
    keys = ranks[start - 1 : end - 1].astype(np.int64)
    keys *= vocab_size
    keys += tokens[start:end]
    return keys


def _count_ranks(ranks: IntArray, size: int, chunk_len: int) -> IntArray:
    """(size,): how often each rank is there."""
    counts = np.zeros(size, dtype=ranks.dtype)
    for start in range(0, len(ranks), chunk_len):
        np.add(counts, np.bincount(ranks[start : start + chunk_len], minlength=size), out=counts, casting="unsafe")
    return counts
