"""One pass over the training text for each order: the tables, and evidence about each token without its own document.

    tokens ──blocks, documents──> positions sorted by (n-gram, block) ──> counts of order n ──> contexts of order n + 1
                                                     └── minus the own document ──> evidence of order n

A model that sees its own text in the counts learns to trust them too much. A test document is never in the counts; so
for every training token the counts are those of all other documents, pruned by the same rule.

P predictions, K = order - 1, V vocabulary, G n-grams, C contexts.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt

from charlm.nn.ngrams.tables import (
    BYTES_PER_NGRAM,
    MAX_NGRAMS,
    NUM_CLASSES,
    Floats,
    Keys,
    NgramTables,
    OrderTable,
    estimate_discounts,
)
from charlm.vocab.base import IntArray

Evidence = npt.NDArray[np.float16]
Numbers = npt.NDArray[np.int32]

NUM_FIGURES = 4
"""Of each order: (c(h w) - D) / c(h), gamma(h), log(1 + c(h)), and sum_v c(h v)^2 / c(h)^2."""
_LONGEST_UNPRUNED = 4
_MAX_DOCUMENT_FRACTION = 0.05
"""Of the text, in one document: what is left must resemble the whole text."""
_BLOCK_FRACTION = 0.02
_MIN_BLOCK_TOKENS = 100


@dataclass(frozen=True, slots=True)
class CountingOptions:
    """How n-grams are counted.

    Attributes:
        order: length of the longest n-grams, at least 2.
        min_count: blocks that an n-gram of more than 4 tokens must occur in.
        block_tokens: tokens of a block, at most; a document is at least one block.
        max_bytes: of the tables.
    """

    order: int
    min_count: int
    block_tokens: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class NgramCounts:
    """The tables of a text, and the evidence about each of its predictions."""

    tables: NgramTables
    evidence: Evidence
    """(P, K * 4): for prediction i, which is of token i + 1, the figures of order 2, then those of order 3, ...

    They come from the other documents. Figures of a context that occurs in no other document are 0, 1, 0, 0.
    """


@dataclass(frozen=True, slots=True)
class _Texts:
    """The block and the document of each token."""

    block_T: Numbers
    document_T: Numbers

    @classmethod
    def cut(cls, tokens: IntArray, eod_id: int, block_tokens: int) -> "_Texts":
        """Cut a stream at <eod>, and long documents into blocks.

        If a document holds too much of the text, little would be left without it. Then shorter blocks take the place of
        the documents, so that the text of one document has others too.
        """
        is_end_T = tokens == eod_id
        document_T = np.cumsum(is_end_T, dtype=np.int32) - is_end_T  # an <eod> belongs to the document that it ends
        longest = int(np.bincount(document_T).max(initial=0))
        is_whole = longest <= len(tokens) * _MAX_DOCUMENT_FRACTION
        if not is_whole:
            block_tokens = min(block_tokens, max(_MIN_BLOCK_TOKENS, int(len(tokens) * _BLOCK_FRACTION)))
        start_T = np.searchsorted(document_T, document_T)
        in_document_T = (np.arange(len(tokens)) - start_T) // block_tokens
        starts_block_T = np.append(True, (np.diff(document_T) != 0) | (np.diff(in_document_T) != 0))
        block_T = np.cumsum(starts_block_T, dtype=np.int32) - 1
        return cls(block_T, document_T if is_whole else block_T)


def count_ngrams(
    tokens: IntArray,
    vocab_size: int,
    eod_id: int,
    options: CountingOptions,
    evidence: Evidence | None = None,
) -> NgramCounts:
    """Count the n-grams of a stream, whose first token is only context.

    Args:
        tokens: (T,) ids, with an <eod> before the first document and after each one.
        evidence: the array that the evidence is written to, of at least P rows; None: a new array.
    """
    texts = _Texts.cut(tokens, eod_id, options.block_tokens)
    ids = tokens.astype(np.int64)
    shape = max(0, len(ids) - 1), (options.order - 1) * NUM_FIGURES
    figures = np.zeros(shape, dtype=np.float16) if evidence is None else evidence[: shape[0]]
    figures[:, 1::NUM_FIGURES] = 1
    orders: list[OrderTable] = []
    position_A = np.arange(1, len(ids), dtype=np.int32)  # tokens whose context is in the table of the order below
    context_A, num_contexts = ids[:-1].astype(np.int32), vocab_size
    bytes_left = options.max_bytes - vocab_size * BYTES_PER_NGRAM
    min_count = 1
    with _EvidenceWriter(figures) as writer:
        for n in range(2, options.order + 1):
            counted = _Order.count(position_A, context_A.astype(np.int64) * vocab_size + ids[position_A], texts)
            if n > _LONGEST_UNPRUNED:
                min_count = max(min_count, options.min_count)
            min_count = counted.min_count_for(min_count, min(MAX_NGRAMS, max(0, bytes_left // BYTES_PER_NGRAM)))
            table, number_G = counted.build(min_count, num_contexts, vocab_size)
            orders.append(table)
            writer.write(n, position_A, partial(counted.without_own_document, table, min_count, vocab_size))
            bytes_left -= len(table.keys) * BYTES_PER_NGRAM
            number_A = number_G[counted.ngram_A]
            goes_on_A = (number_A >= 0) & (position_A + 1 < len(ids))
            position_A, context_A, num_contexts = position_A[goes_on_A] + 1, number_A[goes_on_A], len(table.keys)
        writer.finish()
    unigrams_V = np.bincount(ids[1:], minlength=vocab_size)
    return NgramCounts(NgramTables(vocab_size, unigrams_V, tuple(orders)), figures)


class _EvidenceWriter:
    """Computes and writes the evidence of an order in a thread, while the next order is counted.

    NumPy sorts and gathers without the interpreter's lock.
    """

    def __init__(self, figures_PE: Evidence) -> None:
        self._numbers_PK = figures_PE.view(np.int64)
        self._thread = ThreadPoolExecutor(1)
        self._waiting: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def write(self, n: int, position_A: Numbers, compute: Callable[[], Evidence]) -> None:
        """Compute the figures (A, 4) of order n and write them; first wait for those of the order before."""
        self.finish()
        self._waiting = self._thread.submit(self._write, n, position_A, compute)

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            MemoryError: the figures of an order do not fit into memory.
        """
        if self._waiting is not None:
            self._waiting.result()

    def _write(self, n: int, position_A: Numbers, compute: Callable[[], Evidence]) -> None:
        self._numbers_PK[position_A - 1, n - 2] = compute().view(np.int64)[:, 0]


@dataclass(frozen=True, slots=True)
class _Order:
    """The n-grams of one order, before rare ones are left out, and where they occur.

    A positions, G n-grams, E pairs of an n-gram and a document.
    """

    keys: Keys
    """(G,) sorted."""
    counts: IntArray
    """(G,): blocks that contain the n-gram."""
    ngram_A: Numbers
    """(A,): the n-gram that ends at each position."""
    order_A: Keys
    """(A,): the order in which positions were sorted by n-gram and block."""
    sorted_pair_A: Numbers
    """(A,): the pair of an n-gram and a document of each position, in that order."""
    ngram_E: Numbers
    document_E: Numbers
    own_counts_E: Keys
    """(E,): blocks of the document that contain the n-gram."""

    @classmethod
    def count(cls, position_A: Numbers, key_A: Keys, texts: _Texts) -> "_Order":
        block_A = texts.block_T[position_A]
        order_A = _sort_pairs(key_A, block_A)
        key_A, block_A = key_A[order_A], block_A[order_A]
        is_new_key = _starts_run(key_A)
        is_new_block = is_new_key | _starts_run(block_A)
        document_A = texts.document_T[position_A[order_A]]
        is_new_document = is_new_key | _starts_run(document_A)
        ngram_A, pair_A = (np.cumsum(each, dtype=np.int32) - 1 for each in (is_new_key, is_new_document))
        num_keys, num_pairs = (int(each[-1]) + 1 if len(each) else 0 for each in (ngram_A, pair_A))
        return cls(
            key_A[is_new_key],
            np.bincount(ngram_A[is_new_block], minlength=num_keys),
            _scatter(ngram_A, order_A),
            order_A,
            pair_A,
            ngram_A[is_new_document],
            document_A[is_new_document],
            np.bincount(pair_A[is_new_block], minlength=num_pairs),
        )

    def min_count_for(self, wanted: int, max_ngrams: int) -> int:
        """Return the smallest count, at least `wanted`, with which at most `max_ngrams` n-grams are kept."""
        if np.count_nonzero(self.counts >= wanted) <= max_ngrams:
            return wanted
        largest_first = np.sort(self.counts)[::-1]
        return int(largest_first[max_ngrams]) + 1

    def build(self, min_count: int, num_contexts: int, vocab_size: int) -> tuple[OrderTable, Numbers]:
        """Return the table without rare n-grams, and the number that each n-gram (G,) has in it, or -1."""
        is_kept_G = self.counts >= min_count
        number_G = np.where(is_kept_G, np.cumsum(is_kept_G, dtype=np.int32) - 1, -1).astype(np.int32)
        discounts = estimate_discounts(self.counts)
        keys, counts = self.keys[is_kept_G], self.counts[is_kept_G]
        return OrderTable.build(keys, counts, discounts, num_contexts, vocab_size), number_G

    def without_own_document(self, table: OrderTable, min_count: int, vocab_size: int) -> Evidence:
        """Return (A, 4) the figures that the table would give, had the document of each position not been counted."""
        D, sums = table.discounts, table.context_sums()
        context_E = self.keys[self.ngram_E] // vocab_size
        all_E = _keep(self.counts[self.ngram_E], min_count)
        other_E = _keep(self.counts[self.ngram_E] - self.own_counts_E, min_count)
        group_E, num_groups = _group(context_E, self.document_E)  # the n-grams of one context in one document
        context_g = np.zeros(num_groups, dtype=np.int64)
        context_g[group_E] = context_E
        total_g = sums.totals[context_g] - np.bincount(group_E, all_E - other_E, minlength=num_groups)
        removed_E = _discount(D, all_E) - _discount(D, other_E)
        mass_g = sums.masses[context_g] - np.bincount(group_E, removed_E, minlength=num_groups)
        squares_g = sums.squares[context_g] - np.bincount(group_E, all_E**2 - other_E**2, minlength=num_groups)
        divisor_g = np.maximum(total_g, 1)
        found_g4 = np.empty((num_groups, NUM_FIGURES), dtype=np.float16)
        found_g4[:, 1] = np.where(total_g > 0, mass_g / divisor_g, 1)
        found_g4[:, 2] = np.log1p(total_g)
        found_g4[:, 3] = squares_g / divisor_g**2
        found_E4 = _rows(found_g4, group_E)
        found_E4[:, 0] = (other_E - _discount(D, other_E)) / divisor_g[group_E]
        return _rows(found_E4, _scatter(self.sorted_pair_A, self.order_A))


def _rows(figures_4: Evidence, index: Numbers) -> Evidence:
    """Return rows of four figures, each gathered as one number of 64 bits."""
    return figures_4.view(np.int64)[index].view(np.float16)


def _sort_pairs(first: Keys, second: Numbers) -> Keys:
    """Return the order of pairs of numbers that are not negative. One sort of 64-bit numbers where they fit."""
    size = int(second.max(initial=0)) + 1
    if int(first.max(initial=0)) < np.iinfo(np.int64).max // size - 1:
        return np.argsort(first.astype(np.int64) * size + second)
    return np.lexsort((second, first))


def _group(first: Keys, second: Numbers) -> tuple[Numbers, int]:
    """Return the number of each pair of numbers among the different ones, and how many those are."""
    order = _sort_pairs(first, second)
    is_new = _starts_run(first[order]) | _starts_run(second[order])
    numbers = _scatter(np.cumsum(is_new, dtype=np.int32) - 1, order)
    return numbers, int(np.count_nonzero(is_new))


def _keep(counts: IntArray, min_count: int) -> Keys:
    """Return the counts, 0 for those below the minimum."""
    return np.where(counts >= min_count, counts, 0).astype(np.int64)


def _discount(discounts: Floats, counts: Keys) -> Floats:
    return discounts[np.minimum(counts, NUM_CLASSES)]


def _starts_run(values: IntArray) -> npt.NDArray[np.bool_]:
    return np.append(np.ones(min(1, len(values)), dtype=np.bool_), values[1:] != values[:-1])


def _scatter(sorted_A: Numbers, order_A: Keys) -> Numbers:
    """Bring values of sorted positions into the order of the positions."""
    found = np.empty_like(sorted_A)
    found[order_A] = sorted_A
    return found
