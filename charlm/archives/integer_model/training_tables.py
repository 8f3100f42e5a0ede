"""The n-grams of the training text, from the n-gram component of a model: which symbols followed a context, how often.

The n-grams of n tokens are sorted by context, then by last token. A context of n - 1 tokens is named by its index among
the n-grams of n - 1 tokens (of one token: by the token), and its n-grams are neighbours, so a look-up is a binary
search (charlm.nn.ngrams.tables has the same order).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.description import CountsDescription
from charlm.nn.ngrams.tables import NgramTables

UNKNOWN = -1
MAX_FOLLOWERS = 64
"""A context that more symbols followed is left to the network."""


class Table(NamedTuple):
    """The n-grams of one length."""

    tokens: npt.NDArray[np.int32]
    """The last token of each."""
    counts: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    """Where the n-grams of each context begin; one more than there are contexts."""

    def span(self, context: int) -> tuple[int, int]:
        return int(self.starts[context]), int(self.starts[context + 1])

    def find(self, context: int, token: int) -> int:
        """Return the index of an n-gram, or UNKNOWN."""
        if context == UNKNOWN:
            return UNKNOWN
        start, end = self.span(context)
        index = start + int(np.searchsorted(self.tokens[start:end], token))
        return index if index < end and self.tokens[index] == token else UNKNOWN

    def followers(self, context: int) -> list[tuple[int, int]]:
        """Return the symbols after a context with their counts; [] if there are none, or more than MAX_FOLLOWERS."""
        start, end = (0, 0) if context == UNKNOWN else self.span(context)
        if end - start > MAX_FOLLOWERS:
            return []
        return list(zip(self.tokens[start:end].tolist(), self.counts[start:end].tolist(), strict=True))


Arrays = dict[str, npt.NDArray[np.int32]]


def make_tables(tables: NgramTables, longest: int) -> Arrays:
    """Return the arrays of the tables of contexts of up to `longest` tokens."""
    arrays: Arrays = {}
    for n, table in enumerate(tables.orders[:longest], start=2):
        arrays[f"ngrams.{n}.tokens"] = (table.keys % tables.vocab_size).astype(np.int32)
        arrays[f"ngrams.{n}.counts"] = table.counts.astype(np.int32)
        arrays[f"ngrams.{n}.starts"] = table.starts.astype(np.int32)
    return arrays


def expected_tables(
    description: CountsDescription, vocab_size: int
) -> dict[str, tuple[npt.DTypeLike, tuple[int, ...]]]:
    """Return the type and shape of every array of the tables."""
    expected: dict[str, tuple[npt.DTypeLike, tuple[int, ...]]] = {}
    num_contexts = vocab_size
    for n, size in enumerate(description.table_sizes, start=2):
        expected |= {f"ngrams.{n}.{name}": (np.int32, (size,)) for name in ("tokens", "counts")}
        expected[f"ngrams.{n}.starts"] = (np.int32, (num_contexts + 1,))
        num_contexts = size
    return expected


def open_tables(arrays: Arrays, num_tables: int) -> list[Table]:
    """Return the tables of n-grams of 2, 3, ... tokens."""
    names = ("tokens", "counts", "starts")
    return [Table(*(arrays[f"ngrams.{n}.{name}"] for name in names)) for n in range(2, num_tables + 2)]


def check_tables(tables: list[Table], vocab_size: int) -> None:
    """
    Raises:
        ValueError: the arrays contradict each other.
    """
    for tokens, counts, starts_32 in tables:
        starts = starts_32.astype(np.int64)  # so that no difference wraps around
        rises = bool((np.diff(starts) >= 0).all()) and starts[0] == 0 and starts[-1] == len(tokens)
        if not rises or (len(tokens) and (tokens.min() < 0 or tokens.max() >= vocab_size or counts.min() < 1)):
            raise ValueError("the n-grams of the training text contradict each other")
        begins = np.zeros(len(tokens) + 1, dtype=bool)
        begins[starts] = True
        if not ((np.diff(tokens) > 0) | begins[1:-1]).all():
            raise ValueError("the n-grams of the training text are not sorted")
