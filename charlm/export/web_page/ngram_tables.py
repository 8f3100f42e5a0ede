"""The tables of an n-gram component as streams of small whole numbers, which page/ngrams.js reads.

    for each context in its order: how many tokens follow it    for each n-gram: its token, its count

The tokens after a context rise, so that each is stored as its distance from the one before. Contexts are numbered as
in `charlm.nn.ngrams.tables`, so no n-gram needs a number in the file.
"""

from typing import Any

import numpy as np

from charlm.export.web_page.tensors import TensorBlock
from charlm.nn.ngrams.head import NgramHead
from charlm.nn.ngrams.tables import NgramTables


def add_tables(block: TensorBlock, tables: NgramTables) -> list[dict[str, str]]:
    """Add the tables to a block; return the names of the arrays of each order, from 2 on."""
    block.add_whole_numbers("unigram_counts", tables.unigram_counts)
    orders: list[dict[str, str]] = []
    for n, table in enumerate(tables.orders, start=2):
        tokens = table.keys % tables.vocab_size
        steps = np.diff(tokens, prepend=0)
        first = table.starts[:-1][np.diff(table.starts) > 0]
        steps[first] = tokens[first]
        orders.append(
            {
                "lengths": block.add_whole_numbers(f"{n}.lengths", np.diff(table.starts)),
                "tokens": block.add_whole_numbers(f"{n}.tokens", steps),
                "counts": block.add_whole_numbers(f"{n}.counts", table.counts),
                "discounts": block.add_floats(f"{n}.discounts", table.discounts),
            }
        )
    return orders


def describe_mixture(block: TensorBlock, head: NgramHead) -> dict[str, Any]:
    """Add the weights that mix network and n-grams to a block; return their names."""
    weights = {
        "from_features": head.from_features.weight,
        "hidden_weight": head.hidden.weight,
        "hidden_bias": head.hidden.bias,
        "from_hidden_weight": head.from_hidden.weight,
        "from_hidden_bias": head.from_hidden.bias,
    }
    return {name: block.add_floats(f"mixture.{name}", weight) for name, weight in weights.items()}
