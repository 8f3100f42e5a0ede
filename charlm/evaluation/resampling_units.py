"""The units that the bootstrap draws: documents, or blocks of text where there are fewer than 20 documents.

    documents of the stream ──enough?── yes ──> one unit each
                                └────── no ──> blocks of about equal numbers of characters, each within one document

Blocks are cut by characters of the text, so that models with different vocabularies are compared on the same blocks.
"""

from dataclasses import dataclass
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
    if len(starts) >= _MIN_DOCUMENTS:
        return _merge_neighbours(BootstrapUnits("documents", starts.astype(np.int64), characters.astype(np.int64)))
    size = max(_MIN_BLOCK_CHARACTERS, int(characters.sum()) // _NUM_BLOCKS)
    lengths = _characters_per_id(vocab)
    block_starts: list[npt.NDArray[np.int64]] = []
    sizes: list[npt.NDArray[np.int64]] = []
    for start, end, count in zip(starts, stream.ends, characters, strict=True):
        boundaries = np.arange(0, max(1, int(count) - size // 2), size)  # the last block: 0.5 to 1.5 times `size`
        cumulative_characters = np.cumsum(lengths[stream.tokens[start:end]])
        tokens = (
            np.searchsorted(cumulative_characters, boundaries, side="right")
            if len(cumulative_characters)
            else np.zeros(1, dtype=np.int64)
        )
        tokens[0] = 0
        block_starts.append(start + tokens)
        sizes.append(np.diff(np.append(boundaries, count)))
    return BootstrapUnits("blocks", np.concatenate(block_starts), np.concatenate(sizes))


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
