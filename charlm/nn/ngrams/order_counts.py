"""The n-grams of one order: how often each occurs, its table, and evidence without the own document.

P predictions, G n-grams, A positions, E pairs of an n-gram and a document, V vocabulary.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.nn.ngrams.tables import NUM_CLASSES, Floats, Keys, OrderTable, estimate_discounts
from charlm.nn.ngrams.text_blocks import Numbers, TextBlocks
from charlm.vocab.base import IntArray

Evidence = npt.NDArray[np.float16]

NUM_FIGURES = 4
"""Of each order: (c(h w) - D) / c(h), gamma(h), log(1 + c(h)), and sum_v c(h v)^2 / c(h)^2."""


@dataclass(frozen=True, slots=True)
class OrderCounts:
    """The n-grams of one order, before rare ones are left out, and where they occur."""

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
    def count(cls, position_A: Numbers, key_A: Keys, texts: TextBlocks) -> "OrderCounts":
        """Count the n-grams with the keys (A,), which end at the positions (A,) of a text."""
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
