"""Fewer n-grams: the rarest are left out, of equally rare ones the longest first.

    NgramTables, the most n-grams ──prune_tables──> NgramTables

An n-gram is at most as frequent as the n-gram that it begins with, and a longer order never has a lower threshold than
a shorter one: so what an n-gram begins with is kept as long as the n-gram itself.

G n-grams of an order.
"""

import numpy as np

from charlm.nn.ngrams.tables import NgramTables, OrderTable


def prune_tables(tables: NgramTables, max_ngrams: int) -> NgramTables:
    """Return tables of the same order with at most `max_ngrams` n-grams; the discounts stay as they are."""
    if tables.num_ngrams <= max_ngrams:
        return tables
    orders: list[OrderTable] = []
    num_contexts = tables.vocab_size
    number_G = np.arange(num_contexts)  # of each context: its new number
    for table, min_count in zip(tables.orders, _min_counts(tables, max_ngrams), strict=True):
        context_G, token_G = np.divmod(table.keys, tables.vocab_size)
        is_kept_G = (table.counts >= min_count) & (number_G[context_G] >= 0)
        keys = number_G[context_G[is_kept_G]] * tables.vocab_size + token_G[is_kept_G]
        orders.append(OrderTable.build(keys, table.counts[is_kept_G], table.discounts, num_contexts, tables.vocab_size))
        number_G = np.where(is_kept_G, np.cumsum(is_kept_G) - 1, -1)
        num_contexts = len(keys)
    return NgramTables(tables.vocab_size, tables.unigram_counts, tuple(orders))


def _min_counts(tables: NgramTables, max_ngrams: int) -> list[int]:
    """Return the least count that is kept in each order."""
    counts_of = [np.sort(table.counts) for table in tables.orders]
    num_kept = [len(counts) for counts in counts_of]
    min_counts = [1] * len(counts_of)
    while sum(num_kept) > max_ngrams:
        rarest = min(int(counts[-kept]) for counts, kept in zip(counts_of, num_kept, strict=True) if kept)
        for order in reversed(range(len(counts_of))):
            min_counts[order] = rarest + 1
            num_kept[order] = len(counts_of[order]) - int(np.searchsorted(counts_of[order], rarest + 1))
            if sum(num_kept) <= max_ngrams:
                break
    return min_counts
