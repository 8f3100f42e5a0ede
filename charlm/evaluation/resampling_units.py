"""The units that the bootstrap draws: documents, or blocks of text where there are fewer than 20 documents.

    documents of the stream ──enough?── yes ──> one unit each
                                └────── no ──> blocks of about equal numbers of characters, each within one document

Blocks are cut by characters of the text, so that models with different vocabularies are compared on the same blocks.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.data.store import TokenStream
from charlm.errors import DataError
from charlm.formatting import pluralize
from charlm.vocab.base import Vocab

_MIN_DOCUMENTS = 20
_NUM_BLOCKS = 16
"""Neighbouring blocks are similar, so many small blocks give intervals that are too narrow. On segments of 200,000
characters of enwik8, whose bits per character had a standard deviation of 0.077 (a 5-gram), 400 blocks gave an interval
a third as wide as it should be; 10 blocks gave one of the right width."""
_MIN_BLOCK_CHARACTERS = 1000
_MAX_UNITS = 20_000
_REPLACEMENT_CHARACTER = "\ufffd"


@dataclass(frozen=True)
class BootstrapUnits:
    """Consecutive parts of a stream: `starts` has the index of the first token of each, `characters` its length."""

    kind: str
    starts: npt.NDArray[np.int64]
    characters: npt.NDArray[np.int64]

    @property
    def size_label(self) -> str:
        """`16 blocks`, `1 document`."""
        return pluralize(len(self.starts), self.kind.removesuffix("s"))

    def sum_nats(self, nats: npt.NDArray[np.floating[Any]], first_token: int = 1) -> npt.NDArray[np.float64]:
        """Return the nats of each unit.

        Args:
            nats: of consecutive tokens, from index `first_token` on. An <eod> before the first unit belongs to it.
        """
        total = np.zeros(len(self.starts))
        for start in range(0, len(nats), 1 << 20):
            block = nats[start : start + (1 << 20)]
            tokens = np.arange(first_token + start, first_token + start + len(block))
            unit = np.maximum(np.searchsorted(self.starts, tokens, side="right") - 1, 0)
            total += np.bincount(unit, weights=block.astype(np.float64), minlength=len(total))
        return total


def find_bootstrap_units(stream: TokenStream, vocab: Vocab) -> BootstrapUnits:
    """Return the units of a stream in reading order.

    Raises:
        DataError: the stream holds no text.
    """
    starts, characters = stream.documents["start"], stream.documents["characters"]
    if not characters.sum():
        raise DataError("the split holds no text", "choose another split")
    first_parts = _find_first_parts(stream, vocab)
    if len(first_parts) >= _MIN_DOCUMENTS:
        totals = np.add.reduceat(characters, first_parts).astype(np.int64)
        return _merge_neighbours(BootstrapUnits("documents", starts[first_parts].astype(np.int64), totals))
    size = max(_MIN_BLOCK_CHARACTERS, int(characters.sum()) // _NUM_BLOCKS)
    lengths = _characters_per_id(vocab)
    block_starts: list[npt.NDArray[np.int64]] = []
    sizes: list[npt.NDArray[np.int64]] = []
    for first, last in pairwise([*first_parts.tolist(), len(starts)]):
        count = int(characters[first:last].sum())
        boundaries = np.arange(0, max(1, count - size // 2), size)  # the last block: 0.5 to 1.5 times `size`
        block_starts.append(_find_tokens(stream, range(first, last), boundaries, lengths))
        sizes.append(np.diff(np.append(boundaries, count)))
    return BootstrapUnits("blocks", np.concatenate(block_starts), np.concatenate(sizes))


def _find_tokens(
    stream: TokenStream, parts: range, boundaries: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the tokens at which a document has so many characters before it, one part of the document in memory.

    Args:
        parts: the rows of the document.
        boundaries: numbers of characters, the first of which is 0.
        lengths: the number of characters of each id.
    """
    starts, ends, characters = stream.documents["start"], stream.ends, stream.documents["characters"]
    tokens = np.full(len(boundaries), starts[parts[0]], dtype=np.int64)
    before = 0
    for part in parts:
        count = int(characters[part])
        is_inside = (boundaries > 0) & (boundaries >= before) & (boundaries < before + count)
        if is_inside.any():
            cumulative_characters = np.cumsum(lengths[stream.tokens[starts[part] : ends[part]]])
            inside = np.searchsorted(cumulative_characters, boundaries[is_inside] - before, side="right")
            tokens[is_inside] = starts[part] + inside
        before += count
    return tokens


def _find_first_parts(stream: TokenStream, vocab: Vocab) -> npt.NDArray[np.intp]:
    """Return the rows that begin a document: the other ones continue it, with no <eod> before them."""
    begins = np.array(stream.tokens[stream.documents["start"] - 1] == vocab.eod_id)
    begins[0] = True
    return np.flatnonzero(begins)


def _merge_neighbours(units: BootstrapUnits) -> BootstrapUnits:
    """Merge neighbours until there are at most 20,000 units."""
    step = -(-len(units.starts) // _MAX_UNITS)
    if step == 1:
        return units
    boundaries = np.arange(0, len(units.starts), step)
    return BootstrapUnits(
        f"groups of {step} documents", units.starts[boundaries], np.add.reduceat(units.characters, boundaries)
    )


def _characters_per_id(vocab: Vocab) -> npt.NDArray[np.int64]:
    """The number of characters that each id begins; a character spelled in bytes counts at its first byte."""
    return np.array([_count_characters(vocab, token) for token in range(vocab.size)])


def _count_characters(vocab: Vocab, token: int) -> int:
    decoder = vocab.stream_decoder()
    text = decoder.push(token)
    if text == _REPLACEMENT_CHARACTER and vocab.symbol(token) != _REPLACEMENT_CHARACTER:
        return 0  # a continuation byte
    return len(text + decoder.finish())
