"""The data behind the cards of a page, as JSON in columns, which is smaller than an object for each character.

    symbols    names of the tokens that occur
    top        K, alternatives of each token
    sizes      number of tokens of each element of the text, in reading order
    ids, bits, ranks              of each token: index of its name, thousandths of a bit, rank
    top_ids, top_bits             K for each token: the same for its likeliest alternatives

P tokens, K alternatives.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.evaluation.explain.explanation import Explanation

_PIECE = 1 << 15  # numbers


def surprisals_as_json(explanation: Explanation) -> Iterator[str]:
    """Yield the JSON text in pieces."""
    surprisals = explanation.surprisals
    tokens = np.unique(np.concatenate([surprisals.ids_P, surprisals.top_ids_PK.ravel()]))
    names = json.dumps([explanation.name(token) for token in tokens.tolist()], ensure_ascii=False)
    yield '{"symbols":' + names + f',"top":{surprisals.top_ids_PK.shape[1]}'
    sizes = np.diff(explanation.units.token_ends_U, prepend=0)
    columns: dict[str, npt.NDArray[Any]] = {
        "sizes": np.concatenate([[1], sizes] if explanation.is_backward else [sizes, [1]]),
        "ids": np.searchsorted(tokens, surprisals.ids_P),
        "bits": np.rint(surprisals.nats_P * (1000 / math.log(2))).astype(np.int64),
        "ranks": surprisals.ranks_P,
        "top_ids": np.searchsorted(tokens, surprisals.top_ids_PK.ravel()),
        "top_bits": np.rint(surprisals.top_nats_PK.ravel() * (1000 / math.log(2))).astype(np.int64),
    }
    for name, column in columns.items():
        yield f',"{name}":['
        for start in range(0, len(column), _PIECE):
            yield ("," if start else "") + ",".join(map(str, column[start : start + _PIECE].tolist()))
        yield "]"
    yield "}"
