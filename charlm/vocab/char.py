"""Text as characters (Unicode code points), the most frequent first; the rest spelled in UTF-8 bytes.

id 0           <eod>
id 1..256      the bytes 0x00..0xFF, only with byte fallback
then           the characters of the training text by falling frequency
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from charlm.errors import DataError
from charlm.vocab.base import ByteAwareDecoder, CodePointCounts, IntArray, StreamDecoder, Vocab, code_points

_NUM_CODE_POINTS = 0x110000
_NUM_BYTES = 256


class CharVocab(Vocab):
    """One id for each known character."""

    type: ClassVar[str] = "char"
    eod_id = 0

    def __init__(self, characters: str, *, byte_fallback: bool = True) -> None:
        """
        Args:
            characters: the known characters, each once, in the order of their ids.
            byte_fallback: spell other characters in bytes; without it they are an error.
        """
        if len(set(characters)) != len(characters):
            raise ValueError("a character stands twice")
        self.characters = characters
        self.byte_fallback = byte_fallback
        self._first = 1 + (_NUM_BYTES if byte_fallback else 0)
        self.size = self._first + len(characters)

    @classmethod
    def learn(cls, texts: Iterable[str], *, min_count: int, max_size: int | None, byte_fallback: bool) -> "CharVocab":
        """Count the characters of the training texts; keep those seen `min_count` times, at most `max_size` of them.

        Raises:
            DataError: fewer than two different characters: there is nothing to predict.
        """
        counts = CodePointCounts()
        for text in texts:
            counts.add(text)
        if len(counts.most_frequent()) < 2:
            raise DataError(
                f"the training text has {len(counts.most_frequent())} different characters",
                "give a corpus with at least two of them",
            )
        kept = counts.most_frequent(min_count=min_count)[:max_size]
        return cls("".join(character for character, _ in kept), byte_fallback=byte_fallback)

    @cached_property
    def _id_of(self) -> npt.NDArray[np.int32]:
        """Code point -> id, or -1."""
        table = np.full(_NUM_CODE_POINTS, -1, dtype=np.int32)
        table[code_points(self.characters)] = np.arange(self._first, self.size, dtype=np.int32)
        return table

    def encode(self, text: str) -> IntArray:
        points = code_points(text)
        ids = self._id_of[points]
        unknown = np.flatnonzero(ids < 0)
        if not unknown.size:
            return ids
        if not self.byte_fallback:
            raise DataError(
                f"character {text[unknown[0]]!r} (U+{points[unknown[0]]:04X}) is not in the vocabulary",
                "prepare the corpus with corpus.vocab.byte_fallback = true",
            )
        pieces: list[IntArray] = []
        start = 0
        for position in unknown:
            spelled = np.frombuffer(text[position].encode("utf-8"), dtype=np.uint8).astype(np.int32) + 1
            pieces += (ids[start:position], spelled)
            start = int(position) + 1
        pieces.append(ids[start:])
        return np.concatenate(pieces)

    def stream_decoder(self) -> StreamDecoder:
        return ByteAwareDecoder(self._bytes_of, self._text_of)

    @cached_property
    def _bytes_of(self) -> dict[int, bytes]:
        return {1 + byte: bytes([byte]) for byte in range(_NUM_BYTES)} if self.byte_fallback else {}

    @cached_property
    def _text_of(self) -> list[str]:
        return [""] * self._first + list(self.characters)

    def symbol(self, token: int) -> str:
        if token == self.eod_id:
            return "<eod>"
        return f"<0x{token - 1:02X}>" if token < self._first else self.characters[token - self._first]

    def to_json(self) -> dict[str, Any]:
        return {"byte_fallback": self.byte_fallback, "characters": self.characters}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "CharVocab":
        characters, byte_fallback = content["characters"], content["byte_fallback"]
        if not isinstance(characters, str) or not isinstance(byte_fallback, bool):
            raise TypeError("characters must be a string and byte_fallback a truth value")
        code_points(characters)
        return cls(characters, byte_fallback=byte_fallback)
