"""Tables with fewer n-grams."""

import numpy as np
import pytest
import torch

from charlm.nn.ngrams.lookup import NgramLookup
from charlm.nn.ngrams.pruning import prune_tables
from charlm.nn.ngrams.tables import NgramTables
from tests.nn.test_ngrams import V, count, stream


def counts_by_ngram(tables: NgramTables) -> dict[tuple[int, ...], int]:
    """The tokens of each n-gram -> its count."""
    ngrams: list[tuple[int, ...]] = [(token,) for token in range(tables.vocab_size)]
    found: dict[tuple[int, ...], int] = {}
    for table in tables.orders:
        contexts, tokens = np.divmod(table.keys, tables.vocab_size)
        ngrams = [(*ngrams[context], int(token)) for context, token in zip(contexts, tokens, strict=True)]
        found.update(zip(ngrams, table.counts.tolist(), strict=True))
    return found


@pytest.mark.parametrize("part", [1.0, 0.7, 0.4, 0.1, 0.0])
def test_the_most_frequent_are_kept(part: float) -> None:
    tables = count(stream(0, 40, 12), 5).tables
    most = int(part * tables.num_ngrams)
    pruned = prune_tables(tables, most)
    assert pruned.order == tables.order
    assert pruned.num_ngrams <= most
    before, after = counts_by_ngram(tables), counts_by_ngram(pruned)
    assert after.items() <= before.items()
    left_out = [(count, -len(ngram)) for ngram, count in before.items() if ngram not in after]
    kept = [(count, -len(ngram)) for ngram, count in after.items()]
    assert not left_out or not kept or max(left_out) < min(kept), "the rarest, of equally rare ones the longest"
    assert NgramTables.from_arrays(pruned.to_arrays(), V).num_ngrams == pruned.num_ngrams
    assert all(
        np.array_equal(own.discounts, other.discounts) for own, other in zip(pruned.orders, tables.orders, strict=True)
    )


def test_orders_that_lost_all_their_ngrams_say_nothing() -> None:
    tokens = stream(0, 40, 12)
    pruned = prune_tables(count(tokens, 5).tables, 0)
    assert [len(table.keys) for table in pruned.orders] == [0] * len(pruned.orders)
    lookup = NgramLookup(pruned.order)
    lookup.set_tables(pruned, torch.device("cpu"), torch.float32)
    ids_T = torch.from_numpy(tokens.astype(np.int64))
    contexts_TK = lookup.advance(ids_T[None, :-1], lookup.initial_contexts(1, torch.device("cpu")))[0]
    no_counts = torch.tensor([1.0, 0.0, 0.0])
    assert (lookup.figures(contexts_TK)[:, 1:] == no_counts).all()
    assert (lookup.after(contexts_TK, ids_T[1:]) == 0).all()
    weights_TK = torch.ones(contexts_TK.shape)
    rows_TV = lookup.rows(contexts_TK, weights_TK, torch.full((len(contexts_TK),), 0.5))
    torch.testing.assert_close(rows_TV, 0.5 * lookup.unigrams_V.expand_as(rows_TV))
