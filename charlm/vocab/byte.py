"""Text as its UTF-8 bytes: ids 0..255 are the bytes, 256 is <eod>."""

from typing import Any, ClassVar

import numpy as np

from charlm.vocab.base import ByteAwareDecoder, IntArray, StreamDecoder, Vocab, encode_utf8


class ByteVocab(Vocab):
    """Nothing is learned, nothing is unknown."""

    type: ClassVar[str] = "byte"
    size = 257
    eod_id = 256

    def encode(self, text: str) -> IntArray:
        return np.frombuffer(encode_utf8(text), dtype=np.uint8)

    def stream_decoder(self) -> StreamDecoder:
        return ByteAwareDecoder({byte: bytes([byte]) for byte in range(256)}, [""] * self.size)

    def symbol(self, token: int) -> str:
        return "<eod>" if token == self.eod_id else f"<0x{token:02X}>"

    def to_json(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "ByteVocab":
        return cls()


class ByteLearner:
    """Knows all there is to know."""

    needs_text: ClassVar[bool] = False

    def add(self, text: str) -> None:
        del text

    def merge(self, other: "ByteLearner") -> None:
        del other

    def finish(self) -> Vocab:
        return ByteVocab()
