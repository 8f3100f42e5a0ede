"""What every vocabulary is: text <-> ids, without loss.

text ──encode──> ids (<eod> is never among them)      ids ──decode, stream_decoder──> text
training texts ──settings.learn()──> Vocab ──save──> vocab.json (and what else the kind needs) ──load──> Vocab
"""

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from charlm import storage
from charlm.errors import DataError
from charlm.vocab.settings import FORMAT_VERSION

IntArray = npt.NDArray[np.integer[Any]]

_NUM_CODE_POINTS = 0x110000
_HASH_BASE = 0x9E3779B97F4A7C15  # odd, so that no power of it vanishes modulo 2**64


def ngram_hash(data: bytes) -> int:
    """sum((data[k] + 1) * P**k) modulo 2**64, as a signed number: differences of prefix sums give it for any span."""
    value = 0
    for byte in reversed(data):
        value = (value * _HASH_BASE + byte + 1) & 0xFFFF_FFFF_FFFF_FFFF
    return value - (1 << 64) if value >> 63 else value


@dataclass(frozen=True)
class Bags:
    """The character n-grams of every token: what a network needs to embed words it knows and words it does not.

    A word's n-grams are those of `#word#`; one that is shorter than n characters, marks included, is a single n-gram.
    """

    offsets: IntArray
    """(size + 1,): token i has ngrams[offsets[i]:offsets[i + 1]]. <eod>, <spell> and each byte have one of their own,
    </spell> has none: there the bytes since <spell> are the word."""
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

    @abstractmethod
    def stream_decoder(self) -> StreamDecoder: ...

    @abstractmethod
    def symbol(self, token: int) -> str:
        """A printable name of one id, for tables and messages."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The content of vocab.json, without `type` and `format`."""

    @classmethod
    @abstractmethod
    def from_json(cls, content: dict[str, Any]) -> "Vocab":
        """The inverse of `to_json`. KeyError, TypeError or ValueError where the content does not fit."""

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; <eod> decodes to nothing, bytes that are no UTF-8 to U+FFFD."""
        decoder = self.stream_decoder()
        return "".join([*(decoder.push(int(token)) for token in ids), decoder.finish()])

    def bags(self) -> Bags | None:
        """The n-grams that the input side embeds; None where a token is embedded as itself."""
        return None

    def save(self, directory: Path) -> None:
        content = {"type": self.type, "format": FORMAT_VERSION, **self.to_json()}
        storage.write_text(directory / "vocab.json", storage.to_json(content, indent=None) + "\n")

    @property
    def id_type(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every id."""
        return np.min_scalar_type(self.size - 1)


def to_stored(ids: IntArray, vocab: Vocab) -> IntArray:
    """Ids in the vocabulary's storage type, range-checked (`astype` alone wraps silently)."""
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= vocab.size):
        raise AssertionError(f"an id outside 0..{vocab.size - 1}")
    return ids.astype(vocab.id_type)


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


class CodePointCounts:
    """How often each code point stands in the texts added so far."""

    def __init__(self) -> None:
        self._counts = np.zeros(_NUM_CODE_POINTS, dtype=np.int64)

    def add(self, text: str) -> None:
        found = np.bincount(code_points(text))
        self._counts[: len(found)] += found

    def most_frequent(self, *, min_count: int = 1) -> list[tuple[str, int]]:
        """Characters with their counts, by falling count, then by code point."""
        seen = np.flatnonzero(self._counts >= max(1, min_count))
        order = seen[np.lexsort((seen, -self._counts[seen]))]
        return [(chr(point), int(self._counts[point])) for point in order]


class ByteAwareDecoder:
    """A StreamDecoder for vocabularies in which an id is a byte, a piece of text, or <eod>."""

    def __init__(self, bytes_of: dict[int, bytes], text_of: list[str]) -> None:
        self._bytes_of = bytes_of
        self._text_of = text_of
        self._pending = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        byte = self._bytes_of.get(token)
        if byte is not None:
            return self._pending.decode(byte)
        return self.finish() + self._text_of[token]

    def finish(self) -> str:
        return self._pending.decode(b"", final=True)
