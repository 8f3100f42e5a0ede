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

_PIECE_BYTES = 112  # of a token while its piece is sorted, looked up and merged
_PIECE_SHARE = 16  # of the memory, for pieces
_SMALLEST_PIECE = 1 << 12


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
    room = _Room(len(tokens), rank_type.itemsize, memory)
    if room.most(vocab_size, vocab_size) < 0:
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
        most = room.most(num_ngrams, len(keys))
        longer = _distinct_keys(tokens, ranks, vocab_size, n, room.piece, most, on_progress)
        if longer is None:
            break
        suffixes = _advance(tokens, ranks, vocab_size, n, room.piece, longer, on_progress)
        counts = _tally(suffixes, len(keys), room.piece)
        del suffixes
        if n > 2:
            counts[ranks[n - 2]] += 1  # still of order n - 1: the n-gram that begins the stream
        tables.append(NgramCounts(keys, counts))
        keys = longer
    first = max(1, len(tables))
    return [*tables, NgramCounts(keys, _tally(ranks[first:], len(keys), room.piece))]


@dataclass(frozen=True, slots=True)
class _Room:
    """How the memory is shared out."""

    num_tokens: int
    width: int
    """Bytes of a rank or a count."""
    memory: int
    """Bytes."""

    @property
    def piece(self) -> int:
        """Tokens gone through at once."""
        return max(_SMALLEST_PIECE, self.memory // _PIECE_SHARE // _PIECE_BYTES)

    def most(self, num_below: int, num_contexts: int) -> int:
        """How many n-grams the next order may have, where all orders below have `num_below`, the last of them
        `num_contexts`; negative where not even those fit.

        While an order is counted there are the ranks, keys and counts below it, the 64-bit sums of the last of those,
        and the order's keys twice (as new ones come in) or with a 64-bit sum and a count each. Afterwards each n-gram
        below has a key, a count, a total and a weight; those of the highest order have a key and a count.
        """
        counting = self.memory - self.num_tokens * self.width - self.piece * _PIECE_BYTES
        counting -= (8 + self.width) * num_below + 8 * num_contexts
        weighing = self.memory - (16 + 2 * self.width) * num_below
        return min(counting // (16 + self.width), weighing // (9 + self.width))


def _distinct_keys(
    tokens: IntArray,
    ranks: IntArray,
    vocab_size: int,
    n: int,
    piece: int,
    most: int,
    on_progress: Callable[[int], None],
) -> Keys | None:
    """The different keys of order n, sorted; None where they are more than `most`."""
    merged = np.array([], dtype=np.int64)
    for start in range(n - 1, len(tokens), piece):
        end = min(start + piece, len(tokens))
        keys = np.sort(_keys_at(tokens, ranks, vocab_size, start, end))
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
        place = np.searchsorted(merged, keys)
        is_new = np.ones(len(keys), dtype=np.bool_)
        within = place < len(merged)
        is_new[within] = merged[place[within]] != keys[within]
        if len(merged) + np.count_nonzero(is_new) > most:
            return None
        merged = np.insert(merged, place[is_new], keys[is_new])
        on_progress(end - start)
    return merged


def _advance(
    tokens: IntArray,
    ranks: IntArray,
    vocab_size: int,
    n: int,
    piece: int,
    longer: Keys,
    on_progress: Callable[[int], None],
) -> IntArray:
    """Turn the ranks of order n - 1 into those of order n, in place, from the end since each needs the one before it.

    Returns:
        for each n-gram the rank of its last n - 1 tokens.
    """
    suffixes = np.empty(len(longer), dtype=ranks.dtype)
    for start in reversed(range(n - 1, len(tokens), piece)):
        end = min(start + piece, len(tokens))
        rank, _ = find_keys(longer, _keys_at(tokens, ranks, vocab_size, start, end))
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


def _tally(ranks: IntArray, size: int, piece: int) -> IntArray:
    """(size,): how often each rank is there."""
    counts = np.zeros(size, dtype=ranks.dtype)
    for start in range(0, len(ranks), piece):
        np.add(counts, np.bincount(ranks[start : start + piece], minlength=size), out=counts, casting="unsafe")
    return counts
