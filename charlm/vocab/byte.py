"""The byte vocabulary: ids 0..255 are UTF-8 bytes, 256 is <eod>."""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from charlm.vocab.base import NUM_BYTES, IntArray, Vocab, code_points, encode_utf8, utf8_lengths


class ByteVocab(Vocab):
    """Encodes text as UTF-8; it needs no training text and has no unknown text."""

    type: ClassVar[str] = "byte"
    spells_characters: ClassVar[bool] = True
    size = 257
    eod_id = 256

    def encode(self, text: str) -> IntArray:
        return np.frombuffer(encode_utf8(text), dtype=np.uint8)

    def tokens_per_character(self, text: str) -> IntArray:
        return utf8_lengths(code_points(text))

    @cached_property
    def _bytes_of(self) -> dict[int, bytes]:
        return {byte: bytes([byte]) for byte in range(NUM_BYTES)}

    @cached_property
    def _text_of(self) -> list[str]:
        return [""] * self.size

    def to_json(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "ByteVocab":
        return cls()
