"""The vocabulary of symbols between blanks, such as the phonemes of a pronunciation; UTF-8 bytes for other text.

    "p a ʁ i"  ->  p| a| ʁ| i        one token for each symbol: the blank before a symbol is part of its token
    "p a  œ"   ->  p| a|<0x20>|<0x20><0xC5><0x93>        a second blank and the unknown œ are bytes

id 0         <eod>
id 1..256    the bytes 0x00..0xFF, only with byte fallback
then         two ids for each symbol of the training text, most frequent symbol first: after a blank, and without one

A symbol without a blank before it begins a text. Since each id has a text of its own, the concatenation of ids is the
concatenation of their texts, as in the other vocabularies: a prompt, a part of a document and a drawn text can be
encoded and decoded by themselves.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from charlm.errors import DataError
from charlm.vocab.base import NUM_BYTES, IntArray, Vocab, encode_utf8
from charlm.vocab.cached_encoder import SegmentEncoder, pack_ids
from charlm.vocab.checks import check_distinct_characters, check_strings
from charlm.vocab.settings import SymbolsSettings
from charlm.vocab.word_tokens import MAX_TOKEN_LENGTH, drop_rarest

_NAME_OF_ID = re.compile("<eod>|<0x[0-9A-F]{2}>")


class SymbolsVocab(Vocab):
    """Two ids for each known symbol: one with the blank before it, and one without a blank."""

    type: ClassVar[str] = "symbols"
    eod_id = 0

    def __init__(self, symbols: Sequence[str], *, byte_fallback: bool = True) -> None:
        """
        Args:
            symbols: the known symbols, each once, in the order of their ids.
            byte_fallback: encode other text as UTF-8 bytes; otherwise it raises DataError.
        """
        if len(set(symbols)) != len(symbols) or "" in symbols or " " in "".join(symbols):
            raise ValueError("a symbol is repeated, empty, or has a blank inside")
        self.symbols = tuple(symbols)
        self.byte_fallback = byte_fallback
        self.first_byte_id = 1 if byte_fallback else None
        self._first_symbol_id = 1 + (NUM_BYTES if byte_fallback else 0)
        self.size = self._first_symbol_id + 2 * len(symbols)

    @cached_property
    def _text_of(self) -> list[str]:
        return [""] * self._first_symbol_id + [text for symbol in self.symbols for text in (f" {symbol}", symbol)]

    @cached_property
    def _encoder(self) -> SegmentEncoder:
        texts = self._text_of[self._first_symbol_id :]
        codes = {text: pack_ids([token]) for token, text in enumerate(texts, self._first_symbol_id)}

        def encode_segment(segment: str) -> bytes:
            return codes.get(segment) or self._spell(segment)

        return SegmentEncoder(lambda segments: list(map(encode_segment, segments)))

    def encode(self, text: str) -> IntArray:
        encode_utf8(text)
        return self._encoder.encode(text)

    def _spell(self, segment: str) -> bytes:
        """Return the packed ids of an unknown symbol and the blank before it, or of a blank without a symbol."""
        if not segment:
            return b""
        if self.first_byte_id is None:
            symbol = segment.removeprefix(" ")
            found = f"the symbol {symbol!r}" if symbol else "a blank with no symbol after it"
            raise DataError(
                f"{found} is not in the vocabulary", "prepare the corpus with corpus.vocab.byte_fallback = true"
            )
        return pack_ids([self.first_byte_id + byte for byte in segment.encode("utf-8")])

    def to_json(self) -> dict[str, Any]:
        return {"byte_fallback": self.byte_fallback, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "SymbolsVocab":
        symbols, byte_fallback = check_strings(content["symbols"]), content["byte_fallback"]
        if not isinstance(byte_fallback, bool):
            raise TypeError("byte_fallback must be a truth value")
        return cls(symbols, byte_fallback=byte_fallback)


class SymbolsLearner:
    """Counts symbols; keeps those that occur `min_count` times, at most `max_size`, the most frequent ones."""

    needs_text: ClassVar[bool] = True

    def __init__(self, settings: SymbolsSettings) -> None:
        self._settings = settings
        self._counts = Counter[str]()
        self._has_blank = False

    def add(self, text: str) -> None:
        encode_utf8(text)
        self._counts.update(text.split(" "))
        self._has_blank = self._has_blank or " " in text
        self._counts = drop_rarest(self._counts)

    def merge(self, other: "SymbolsLearner") -> None:
        self._counts.update(other._counts)
        self._has_blank = self._has_blank or other._has_blank
        self._counts = drop_rarest(self._counts)

    def finish(self) -> Vocab:
        check_distinct_characters(len(set[str]().union(*self._counts)) + self._has_blank)
        frequent = [
            symbol
            for symbol, count in self._counts.items()
            if count >= self._settings.min_count
            and 0 < len(symbol) <= MAX_TOKEN_LENGTH
            and not _NAME_OF_ID.fullmatch(symbol)  # two ids would have the same name
        ]
        frequent.sort(key=lambda symbol: (-self._counts[symbol], symbol))
        return SymbolsVocab(frequent[: self._settings.max_size], byte_fallback=self._settings.byte_fallback)
