"""The interface of a vocabulary: text <-> ids, without loss.

text ──encode──> ids (never <eod>)      ids ──decode, stream_decoder──> text
training texts ──VocabLearner──> Vocab ──save──> vocab.json (and further files of this kind) ──load──> Vocab
"""

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from charlm import formats, storage
from charlm.arguments import text as check_text
from charlm.errors import DataError
from charlm.vocab.checks import check_ids

IntArray = npt.NDArray[np.integer[Any]]

IGNORE_INDEX = -100
"""A target that is not scored. No vocabulary has this id, and torch's losses leave it out by default."""

NUM_BYTES = 256
HASH_BASE = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio; it is odd, so that no power of it is 0 modulo 2**64."""


def ngram_hash(data: bytes) -> int:
    """sum((data[k] + 1) * HASH_BASE**k) modulo 2**64, signed: differences of prefix sums give the hash of any span."""
    value = 0
    for byte in reversed(data):
        value = (value * HASH_BASE + byte + 1) & 0xFFFF_FFFF_FFFF_FFFF
    return value - (1 << 64) if value >> 63 else value


@dataclass(frozen=True)
class NgramBags:
    """The character n-grams of every token, with which a network embeds known and unknown words.

    The n-grams of a word are those of `#word#`. If `#word#` is shorter than n characters, it is a single n-gram.
    """

    offsets: IntArray
    """(size + 1,): token i has ngrams[offsets[i]:offsets[i + 1]]. No n-grams have <eod>, <spell>, </spell> (which takes
    those of the word spelled before it), the bytes, and tokens whose n-grams are all rare."""
    ngrams: IntArray
    """n-gram ids in 0..num_ngrams - 1; an n-gram that occurs twice in a word is repeated."""
    hashes: npt.NDArray[np.int64]
    """(num_ngrams,): `ngram_hash` of the UTF-8 bytes of each n-gram, all different."""
    n: int
    """Length of an n-gram in characters."""
    spell_id: int
    end_id: int
    """The id of </spell>."""
    first_byte_id: int
    """Byte b has the id first_byte_id + b."""
    boundary: bytes
    """The mark before and after a word."""

    @property
    def num_ngrams(self) -> int:
        return len(self.hashes)


class StreamDecoder(Protocol):
    """Turns ids into text one at a time, holding back bytes until they make a whole character."""

    def push(self, token: int) -> str:
        """Return the text that this id completes; it may be empty."""
        ...

    def finish(self) -> str:
        """Return what was held back: U+FFFD for an incomplete character."""
        ...


class VocabLearner(Protocol):
    """Learns a vocabulary from texts. Learners can be merged, so that several processes can count."""

    needs_text: ClassVar[bool]
    """False if the learner ignores texts."""

    def add(self, text: str) -> None: ...

    def merge(self, other: Self) -> None:
        """Add the counts of another learner with the same settings; the order of merging does not matter."""
        ...

    def finish(self) -> "Vocab":
        """Return the vocabulary.

        Raises:
            DataError: the texts are too short.
        """
        ...


class Vocab(ABC):
    """A lossless encoding: `decode(encode(text)) == text` for every string of Unicode scalar values."""

    type: ClassVar[str]
    size: int
    eod_id: int
    spells_characters: ClassVar[bool] = False
    """Whether each id belongs to one character, so that every character of a text has ids of its own."""
    first_byte_id: int | None = None
    """Unknown text falls back to UTF-8 bytes, where byte b has the id first_byte_id + b; None: no byte fallback."""

    @abstractmethod
    def encode(self, text: str) -> IntArray:
        """Return the ids of `text`, one-dimensional.

        Raises:
            DataError: the text has a lone surrogate, or (without byte fallback) an unknown character.
        """

    def tokens_per_character(self, text: str) -> IntArray:
        """Return how many ids each character of `text` has in `encode(text)`, (characters,).

        Only vocabularies with `spells_characters` have this.
        """
        raise NotImplementedError

    @cached_property
    @abstractmethod
    def _text_of(self) -> list[str]:
        """The text of each id; "" for <eod>, bytes and other ids without text."""

    @cached_property
    def _bytes_of(self) -> dict[int, bytes]:
        """The byte of each id that is one."""
        first = self.first_byte_id
        return {} if first is None else {first + byte: bytes([byte]) for byte in range(NUM_BYTES)}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the vocabulary itself: it never changes, and its tables are large."""
        del memo
        return self

    def stream_decoder(self) -> StreamDecoder:
        return ByteAwareDecoder(self._bytes_of, self._text_of)

    def symbol(self, token: int) -> str:
        """Return the name of an id for tables and messages: its text, `<eod>`, or `<0x..>` for a byte.

        Raises:
            UsageError: the vocabulary has no such id.
        """
        check_ids([token], self.size)
        if token == self.eod_id:
            return "<eod>"
        byte = self._bytes_of.get(token)
        return self._text_of[token] if byte is None else f"<0x{byte[0]:02X}>"

    def piece(self, token: int) -> str | int:
        """Return what an id adds to a text: a text, which is empty for <eod>, or a byte of UTF-8."""
        byte = self._bytes_of.get(token)
        return self._text_of[token] if byte is None else byte[0]

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the content of vocab.json without `type` and `format`."""

    def is_same(self, other: "Vocab") -> bool:
        """Return whether both vocabularies encode every text to the same ids."""
        return self.type == other.type and self.to_json() == other.to_json()

    @classmethod
    @abstractmethod
    def from_json(cls, content: dict[str, Any]) -> "Vocab":
        """Invert `to_json`; raise KeyError, TypeError or ValueError for invalid content."""

    @classmethod
    def load(cls, directory: Path, content: dict[str, Any]) -> "Vocab":
        """Return the vocabulary with this content of vocab.json; a kind with further files reads them too."""
        del directory
        return cls.from_json(content)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; <eod> gives no text, invalid UTF-8 gives U+FFFD.

        Raises:
            UsageError: the vocabulary has no such id.
        """
        decoder = self.stream_decoder()
        return "".join([*map(decoder.push, check_ids(ids, self.size)), decoder.finish()])

    def bags(self) -> NgramBags | None:
        """Return the n-grams that the input embedding sums; None if each token has one vector."""
        return None

    def save(self, directory: Path) -> None:
        content = {"type": self.type, "format": formats.VOCABULARY, **self.to_json()}
        storage.write_text(directory / "vocab.json", storage.to_json(content, indent=None) + "\n")

    @property
    def id_dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every id."""
        return np.min_scalar_type(self.size - 1)


def cast_ids(ids: IntArray, vocab: Vocab) -> IntArray:
    """Convert ids to `vocab.id_dtype` and check their range (`astype` alone wraps silently)."""
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= vocab.size):
        raise AssertionError(f"an id is outside 0..{vocab.size - 1}")
    return ids.astype(vocab.id_dtype)


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """Return the code points of `text`.

    Raises:
        DataError: the text has a lone surrogate, which UTF-8 cannot encode.
        OptionError: it is not a text.
    """
    check_text("text", text)
    try:
        return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    except UnicodeEncodeError as error:
        raise DataError(
            f"character {error.start} is the lone surrogate U+{ord(text[error.start]):04X}",
            "fix the encoding of the text",
        ) from error


def utf8_lengths(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Return the number of bytes of each code point in UTF-8."""
    return np.ones(len(points), dtype=np.int64) + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)


def encode_utf8(text: str) -> bytes:
    """Return the UTF-8 bytes of `text`.

    Raises:
        DataError, OptionError: as `code_points`.
    """
    check_text("text", text)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        code_points(text)  # its error gives the position
        raise


class ByteAwareDecoder:
    """A StreamDecoder for vocabularies in which an id is a byte, a piece of text, or has no text."""

    def __init__(self, bytes_of: dict[int, bytes], text_of: list[str]) -> None:
        self._bytes_of = bytes_of
        self._text_of = text_of
        self._utf8_decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __deepcopy__(self, memo: dict[int, Any]) -> "ByteAwareDecoder":
        """Return a decoder that goes on from here by itself, with the same tables."""
        del memo
        copied = ByteAwareDecoder(self._bytes_of, self._text_of)
        copied._utf8_decoder.setstate(self._utf8_decoder.getstate())
        return copied

    def push(self, token: int) -> str:
        byte = self._bytes_of.get(token)
        if byte is not None:
            return self._utf8_decoder.decode(byte)
        return self.finish() + self._text_of[token]

    def finish(self) -> str:
        return self._utf8_decoder.decode(b"", final=True)
