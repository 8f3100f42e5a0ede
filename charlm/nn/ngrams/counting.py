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

from charlm.nn.ngrams.order_counts import NUM_FIGURES, Evidence, OrderCounts
from charlm.nn.ngrams.tables import BYTES_PER_NGRAM, MAX_NGRAMS, NgramTables, OrderTable
from charlm.nn.ngrams.text_blocks import Numbers, TextBlocks
from charlm.vocab.base import IntArray

_LONGEST_UNPRUNED = 4


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
    texts = TextBlocks.cut(tokens, eod_id, options.block_tokens)
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
            counted = OrderCounts.count(position_A, context_A.astype(np.int64) * vocab_size + ids[position_A], texts)
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
