"""The data behind the cards of a page, as JSON in columns, which is smaller than an object for each character.

Of tokens and of tags:

    noun       "token" or "tag"
    symbols    names of the tokens or tags that occur
    top        K, alternatives of each
    sizes      number of tokens of each part of the text, in reading order
    ids, bits, ranks              of each token: index of its name, thousandths of a bit, rank
    top_ids, top_bits             K for each token: the same for its likeliest alternatives

P tokens or tags, K alternatives.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.evaluation.explain.surprisal import Surprisals

_PIECE = 1 << 15  # numbers


def surprisals_as_json(
    noun: str, surprisals: Surprisals, sizes: npt.NDArray[np.int64], name: Callable[[int], str]
) -> Iterator[str]:
    """Yield the JSON text in pieces."""
    tokens = np.unique(np.concatenate([surprisals.ids_P, surprisals.top_ids_PK.ravel()]))
    symbols = [name(token) for token in tokens.tolist()]
    columns: dict[str, npt.NDArray[Any]] = {
        "sizes": sizes,
        "ids": np.searchsorted(tokens, surprisals.ids_P),
        "bits": to_thousandths(surprisals.nats_P / math.log(2)),
        "ranks": surprisals.ranks_P,
        "top_ids": np.searchsorted(tokens, surprisals.top_ids_PK.ravel()),
        "top_bits": to_thousandths(surprisals.top_nats_PK.ravel() / math.log(2)),
    }
    return columns_as_json({"noun": noun, "symbols": symbols, "top": surprisals.top_ids_PK.shape[1]}, columns)


def columns_as_json(values: Mapping[str, Any], columns: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Yield an object with single values and columns of numbers, in pieces."""
    yield json.dumps(values, ensure_ascii=False)[:-1]
    for name, column in columns.items():
        yield f',"{name}":['
        for start in range(0, len(column), _PIECE):
            yield ("," if start else "") + ",".join(map(str, column[start : start + _PIECE].tolist()))
        yield "]"
    yield "}"


def to_thousandths(bits: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.rint(1000 * bits).astype(np.int64)
