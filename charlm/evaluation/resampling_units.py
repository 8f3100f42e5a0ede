"""The units that a score is resampled by: documents, or blocks of text where there are too few of them.

    documents of the stream ──enough?── yes ──> one unit each
                                └────── no ──> blocks of about equal numbers of characters, none across two documents

Blocks are cut by characters of the text, so that models with different vocabularies are compared on the same ones.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.data.store import TokenStream
from charlm.errors import DataError
from charlm.vocab.base import Vocab

_FEW_DOCUMENTS = 20
_NUM_BLOCKS = 16
"""Neighbouring blocks are alike. On segments of 200,000 characters of enwik8, whose bits per character had a standard
deviation of 0.077 (a 5-gram), 400 blocks gave an interval a third as wide as that asks for, 10 one that fits."""
_LEAST_BLOCK = 1000  # characters
_MOST_UNITS = 20_000
_NO_CHARACTER = "\ufffd"


@dataclass(frozen=True)
class Units:
    """Consecutive stretches of a stream. `starts`: the index of the first token of each; `characters`: of each."""

    kind: str
    starts: npt.NDArray[np.int64]
    characters: npt.NDArray[np.int64]

    @property
    def counted(self) -> str:
        """`16 blocks`, `1 document`."""
        number = len(self.starts)
        return f"{number:,} {self.kind if number != 1 else self.kind.removesuffix('s')}"

    def sums(self, nats: npt.NDArray[np.float32], first_token: int = 1) -> npt.NDArray[np.float64]:
        """Nats of each unit.

        Args:
            nats: of consecutive tokens, from number `first_token` on. The <eod> before the first unit counts to it.
        """
        total = np.zeros(len(self.starts))
        for start in range(0, len(nats), 1 << 20):
            block = nats[start : start + (1 << 20)]
            tokens = np.arange(first_token + start, first_token + start + len(block))
            unit = np.maximum(np.searchsorted(self.starts, tokens, side="right") - 1, 0)
            total += np.bincount(unit, weights=block.astype(np.float64), minlength=len(total))
        return total


def find_units(stream: TokenStream, vocab: Vocab) -> Units:
    """The units of a stream that reads forward.

    Raises:
        DataError: the stream holds no text.
    """
    starts, characters = stream.documents["start"], stream.documents["characters"]
    if not characters.sum():
        raise DataError("the split holds no text", "choose another split")
    if len(starts) >= _FEW_DOCUMENTS:
        return _joined(Units("documents", starts.astype(np.int64), characters.astype(np.int64)))
    size = max(_LEAST_BLOCK, int(characters.sum()) // _NUM_BLOCKS)
    lengths = _characters_of(vocab)
    block_starts: list[npt.NDArray[np.int64]] = []
    sizes: list[npt.NDArray[np.int64]] = []
    for start, end, count in zip(starts, stream.ends, characters, strict=True):
        borders = np.arange(0, max(1, int(count) - size // 2), size)  # the last block is half to one and a half as long
        reached = np.cumsum(lengths[stream.tokens[start:end]])
        tokens = np.searchsorted(reached, borders, side="right") if len(reached) else np.zeros(1, dtype=np.int64)
        tokens[0] = 0
        block_starts.append(start + tokens)
        sizes.append(np.diff(np.append(borders, count)))
    return Units("blocks", np.concatenate(block_starts), np.concatenate(sizes))


def _joined(units: Units) -> Units:
    """Neighbours put together where there are more than resampling needs."""
    step = -(-len(units.starts) // _MOST_UNITS)
    if step == 1:
        return units
    borders = np.arange(0, len(units.starts), step)
    return Units(f"groups of {step} documents", units.starts[borders], np.add.reduceat(units.characters, borders))


def _characters_of(vocab: Vocab) -> npt.NDArray[np.int64]:
    """How many characters of text each id begins: of a character in bytes, its first byte."""
    return np.array([_begun(vocab, token) for token in range(vocab.size)])


def _begun(vocab: Vocab, token: int) -> int:
    decoder = vocab.stream_decoder()
    text = decoder.push(token)
    if text == _NO_CHARACTER and vocab.symbol(token) != _NO_CHARACTER:
        return 0  # a byte that goes on with what must have begun before
    return len(text + decoder.finish())
