"""Bytes of any file <-> symbols, which are ids of a vocabulary.

UTF-8 text ──vocab.encode──> ids        other bytes ──> the ids of bytes        ids ──the bytes of each──> bytes

What an id adds to a text does not depend on the ids around it, so the bytes of a file are those of its symbols, one
after the other. N: symbols.
"""

import re
from collections.abc import Iterator

import numpy as np

from charlm.archives.predictor import SymbolArray
from charlm.errors import DataError, UsageError
from charlm.vocab.base import NUM_BYTES, Vocab

MAX_SYMBOLS_PER_BYTE = 3
"""An unknown letter in an n-gram vocabulary is <spell>, its byte, </spell>."""

_NOT_UTF_8 = re.compile("([\udc80-\udcff]+)")
"""Bytes that are not UTF-8, as the error handler "surrogateescape" decodes them."""
_MIN_TEXT_LENGTH = 16
"""Bytes; where runs of text are shorter on average, the data are no text."""


class SymbolCodec:
    """The symbols of a vocabulary and the bytes that each stands for."""

    def __init__(self, vocab: Vocab) -> None:
        """
        Raises:
            UsageError: the vocabulary cannot spell every byte.
        """
        self._vocab = vocab
        pieces = [vocab.piece(symbol) for symbol in range(vocab.size)]
        self._bytes_of = [bytes([piece]) if isinstance(piece, int) else piece.encode("utf-8") for piece in pieces]
        ids = {piece: symbol for symbol, piece in enumerate(pieces) if isinstance(piece, int)}
        if len(ids) < NUM_BYTES:
            raise UsageError(
                f"a vocabulary of type {vocab.type} without byte fallback cannot spell every file",
                "name a run whose corpus was prepared with corpus.vocab.byte_fallback = true",
            )
        self._byte_ids = np.array([ids[byte] for byte in range(NUM_BYTES)], dtype=np.int64)
        self._lengths_V = np.array([*map(len, self._bytes_of)], dtype=np.int64)

    @property
    def vocab(self) -> Vocab:
        return self._vocab

    def encode(self, data: bytes) -> SymbolArray:
        """Return the symbols of any bytes, (N,)."""
        symbols_N = self._encode_text(data)
        if symbols_N is None or len(symbols_N) > MAX_SYMBOLS_PER_BYTE * len(data) or self.decode(symbols_N) != data:
            return self._spell(data)
        return symbols_N

    def decode(self, symbols_N: SymbolArray) -> bytes:
        """Return the bytes of symbols."""
        return b"".join(map(self._bytes_of.__getitem__, symbols_N.tolist()))

    def count_bytes(self, symbols_N: SymbolArray) -> int:
        """Return the length of `decode(symbols_N)` without making it."""
        return int(self._lengths_V[symbols_N].sum())

    def split(self, symbols_N: SymbolArray, block_bytes: int) -> Iterator[SymbolArray]:
        """Cut symbols into blocks of at most `block_bytes`, as the bytes of a file are."""
        ends_N = self._lengths_V[symbols_N].cumsum()
        start = 0
        while start < len(symbols_N):
            before = int(ends_N[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends_N, before + block_bytes, side="right")))
            yield symbols_N[start:stop]
            start = stop

    def _encode_text(self, data: bytes) -> SymbolArray | None:
        """Return the ids of text with bytes among it; None if it is no text."""
        parts = _NOT_UTF_8.split(data.decode("utf-8", "surrogateescape"))
        if len(parts) * _MIN_TEXT_LENGTH > max(len(data), 2 * _MIN_TEXT_LENGTH):
            return None
        try:
            ids = [
                self._spell(part.encode("utf-8", "surrogateescape")) if index % 2 else self._vocab.encode(part)
                for index, part in enumerate(parts)
                if part
            ]
        except DataError:
            return None
        return np.concatenate([np.empty(0, dtype=np.int64), *ids], dtype=np.int64, casting="same_kind")

    def _spell(self, data: bytes) -> SymbolArray:
        """Return a symbol for each byte."""
        return self._byte_ids[np.frombuffer(data, dtype=np.uint8)]


def split_at_character(data: bytes) -> int:
    """Return the length of `data` without a UTF-8 character at its end whose other bytes are missing."""
    for length in range(1, min(4, len(data) + 1)):
        byte = data[-length]
        if byte >= 0xC0:
            whole = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - length if whole > length else len(data)
        if byte < 0x80:
            break
    return len(data)
