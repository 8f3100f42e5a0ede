"""The units of a text: the smallest parts that hold whole characters and whole tokens.

    text     c a f é _ 東 京        grapheme clusters (UAX 29): a letter with its accents, a whole emoji
    tokens   caf│é1 é2│_│東京        é is spelled in two bytes, 東京 is one token
    units    café    │_│東京         a boundary is where a cluster and a token end

P tokens, U units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import regex

from charlm.vocab.base import Vocab

_CLUSTER = regex.compile(r"\X")


@dataclass(frozen=True)
class TextUnits:
    """The units of a text in its order; each begins where the one before it ends.

    Attributes:
        text_ends_U: the end of each unit in characters.
        token_ends_U: the end of each unit in tokens.
        clusters_U: the number of grapheme clusters in each unit, at least one.
    """

    text_ends_U: npt.NDArray[np.int64]
    token_ends_U: npt.NDArray[np.int64]
    clusters_U: npt.NDArray[np.int64]


def find_text_units(text: str, ids: Iterable[int], vocab: Vocab) -> TextUnits:
    """Cut a text into units.

    Args:
        ids: `vocab.encode(text)`.
    """
    cluster_ends = np.array([found.end() for found in _CLUSTER.finditer(text)], dtype=np.int64)
    is_cluster_end = np.zeros(len(text) + 1, dtype=bool)
    is_cluster_end[cluster_ends] = True
    ends = [
        (position, token)
        for token, position in enumerate(_cut_positions(ids, vocab), 1)
        if position and is_cluster_end[position]
    ]
    text_ends_U, token_ends_U = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    before = np.searchsorted(cluster_ends, text_ends_U, side="right")
    return TextUnits(text_ends_U, token_ends_U, np.diff(before, prepend=0))


def _cut_positions(ids: Iterable[int], vocab: Vocab) -> Iterator[int]:
    """Yield the number of complete characters after each token; 0 where the text cannot be cut.

    It cannot be cut inside a character spelled in bytes, nor between these bytes and the marks around them (ids without
    text, which open and close in turn).
    """
    decoder = vocab.stream_decoder()
    is_mark: dict[int, bool] = {}
    position, is_open = 0, False
    pending: int | None = None  # yielded after the next token, which may be a closing mark
    for token in map(int, ids):
        piece = decoder.push(token)
        if token not in is_mark:
            is_mark[token] = not vocab.decode([token])
        closes = is_mark[token] and is_open
        if pending is not None:
            yield 0 if closes else pending
        position += len(piece)
        is_open ^= is_mark[token]
        pending = 0 if not piece and not closes else position
    if pending is not None:
        yield pending
