"""What every vocabulary is: text <-> ids, without loss.

text ──encode──> ids (<eod> is never among them)      ids ──decode, stream_decoder──> text
training texts ──VocabLearner──> Vocab ──save──> vocab.json (and what else the kind needs) ──load──> Vocab
"""

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, cast

import numpy as np
import numpy.typing as npt

from charlm import formats, storage
from charlm.errors import DataError

IntArray = npt.NDArray[np.integer[Any]]

IGNORE_INDEX = -100
"""A target that is not scored. No vocabulary has this id, and torch's losses leave it out by default."""

NUM_BYTES = 256
HASH_BASE = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio; odd, so that no power of it vanishes modulo 2**64."""


def ngram_hash(data: bytes) -> int:
    """sum((data[k] + 1) * P**k) modulo 2**64, as a signed number: differences of prefix sums give it for any span."""
    value = 0
    for byte in reversed(data):
        value = (value * HASH_BASE + byte + 1) & 0xFFFF_FFFF_FFFF_FFFF
    return value - (1 << 64) if value >> 63 else value


@dataclass(frozen=True)
class NgramBags:
    """The character n-grams of every token: what a network needs to embed words it knows and words it does not.

    A word's n-grams are those of `#word#`; one that is shorter than n characters, marks included, is a single n-gram.
    """

    offsets: IntArray
    """(size + 1,): token i has ngrams[offsets[i]:offsets[i + 1]]. Some have none, so that only the token itself says
    what it is: <eod>, <spell>, the bytes, and tokens of rare n-grams alone. </spell> stands for the word before it."""
    ngrams: IntArray
    """n-gram ids in 0..num_ngrams - 1; one that stands twice in a word is here twice."""
    hashes: npt.NDArray[np.int64]
    """(num_ngrams,): `ngram_hash` of each n-gram's UTF-8 bytes, all different."""
    n: int
    """Characters of an n-gram."""
    spell_id: int
    end_id: int
    """</spell>."""
    first_byte_id: int
    """Byte b is id first_byte_id + b."""
    boundary: bytes
    """The mark before and after a word."""

    @property
    def num_ngrams(self) -> int:
        return len(self.hashes)


class StreamDecoder(Protocol):
    """Turns ids into text one at a time, holding back bytes until they make a whole character."""

    def push(self, token: int) -> str:
        """The text completed by this id, often none."""
        ...

    def finish(self) -> str:
        """What was held back, as U+FFFD where it is no whole character."""
        ...


class VocabLearner(Protocol):
    """Learns a vocabulary from texts. What several have seen can be merged, so that processes share the work."""

    needs_text: ClassVar[bool]
    """False where nothing is learned from text."""

    def add(self, text: str) -> None: ...

    def merge(self, other: Self) -> None:
        """Add what another learner of these settings has seen; in which order makes no difference."""
        ...

    def finish(self) -> "Vocab":
        """
        Raises:
            DataError: there is too little to learn from.
        """
        ...


class Vocab(ABC):
    """A lossless code: `decode(encode(text)) == text` for every string of Unicode scalar values."""

    type: ClassVar[str]
    size: int
    eod_id: int
    first_byte_id: int | None = None
    """Where unknown text is spelled in bytes: byte b is id first_byte_id + b."""

    @abstractmethod
    def encode(self, text: str) -> IntArray:
        """Ids of `text`, one-dimensional.

        Raises:
            DataError: a lone surrogate, or (without byte fallback) a character the vocabulary does not have.
        """

    @cached_property
    @abstractmethod
    def _text_of(self) -> list[str]:
        """The text of each id; "" for <eod>, for bytes, and for ids without text."""

    @cached_property
    def _bytes_of(self) -> dict[int, bytes]:
        """The ids that are bytes."""
        first = self.first_byte_id
        return {} if first is None else {first + byte: bytes([byte]) for byte in range(NUM_BYTES)}

    def stream_decoder(self) -> StreamDecoder:
        return ByteAwareDecoder(self._bytes_of, self._text_of)

    def symbol(self, token: int) -> str:
        """A printable name of one id, for tables and messages."""
        if token == self.eod_id:
            return "<eod>"
        byte = self._bytes_of.get(token)
        return self._text_of[token] if byte is None else f"<0x{byte[0]:02X}>"

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The content of vocab.json, without `type` and `format`."""

    def is_same(self, other: "Vocab") -> bool:
        """Whether both give every text the same ids."""
        return self.type == other.type and self.to_json() == other.to_json()

    @classmethod
    @abstractmethod
    def from_json(cls, content: dict[str, Any]) -> "Vocab":
        """The inverse of `to_json`. KeyError, TypeError or ValueError where the content does not fit."""

    @classmethod
    def load(cls, directory: Path, content: dict[str, Any]) -> "Vocab":
        """The vocabulary of vocab.json, where there is more in its directory than that."""
        del directory
        return cls.from_json(content)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; <eod> decodes to nothing, bytes that are no UTF-8 to U+FFFD."""
        decoder = self.stream_decoder()
        return "".join([*(decoder.push(int(token)) for token in ids), decoder.finish()])

    def bags(self) -> NgramBags | None:
        """The n-grams that the input side embeds; None where a token is embedded as itself."""
        return None

    def save(self, directory: Path) -> None:
        content = {"type": self.type, "format": formats.VOCABULARY, **self.to_json()}
        storage.write_text(directory / "vocab.json", storage.to_json(content, indent=None) + "\n")

    @property
    def id_dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every id."""
        return np.min_scalar_type(self.size - 1)


def cast_ids(ids: IntArray, vocab: Vocab) -> IntArray:
    """Ids in the vocabulary's storage type, range-checked (`astype` alone wraps silently)."""
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= vocab.size):
        raise AssertionError(f"an id outside 0..{vocab.size - 1}")
    return ids.astype(vocab.id_dtype)


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The code points of `text`.

    Raises:
        DataError: a lone surrogate, which no UTF-8 text can hold.
    """
    try:
        return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    except UnicodeEncodeError as error:
        raise DataError(
            f"character {error.start} is the lone surrogate U+{ord(text[error.start]):04X}", "mend the text's encoding"
        ) from error


def encode_utf8(text: str) -> bytes:
    """
    Raises:
        DataError: a lone surrogate, which no UTF-8 text can hold.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        code_points(text)  # names the place
        raise


def check_distinct_characters(distinct_characters: int) -> None:
    """
    Raises:
        DataError: fewer than two different characters: there is nothing to predict.
    """
    if distinct_characters < 2:
        raise DataError(
            f"the training text has {distinct_characters} different characters",
            "give a corpus with at least two of them",
        )


def check_strings(content: object) -> list[str]:
    """A list of strings of Unicode scalar values, as vocab.json should have it; TypeError or ValueError if not."""
    items = cast("list[object]", content) if isinstance(content, list) else None
    if items is None or not all(isinstance(item, str) for item in items):
        raise TypeError("not a list of strings")
    texts = cast("list[str]", items)
    "".join(texts).encode("utf-8")  # UnicodeEncodeError is a ValueError
    return texts


class ByteAwareDecoder:
    """A StreamDecoder for vocabularies in which an id is a byte, a piece of text, or <eod>."""

    def __init__(self, bytes_of: dict[int, bytes], text_of: list[str]) -> None:
        self._bytes_of = bytes_of
        self._text_of = text_of
        self._utf8_decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        byte = self._bytes_of.get(token)
        if byte is not None:
            return self._utf8_decoder.decode(byte)
        return self.finish() + self._text_of[token]

    def finish(self) -> str:
        return self._utf8_decoder.decode(b"", final=True)
