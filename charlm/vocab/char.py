"""The character vocabulary: an id for each frequent character (Unicode code point), UTF-8 bytes for the others.

id 0         <eod>
id 1..256    the bytes 0x00..0xFF, only with byte fallback
then         the characters of the training text, most frequent first
"""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from charlm.errors import DataError
from charlm.vocab.base import NUM_BYTES, IntArray, Vocab, code_points, utf8_lengths
from charlm.vocab.checks import check_distinct_characters
from charlm.vocab.settings import CharSettings

_NUM_CODE_POINTS = 0x110000


class CharVocab(Vocab):
    """One id for each known character."""

    type: ClassVar[str] = "char"
    spells_characters: ClassVar[bool] = True
    eod_id = 0

    def __init__(self, characters: str, *, byte_fallback: bool = True) -> None:
        """
        Args:
            characters: the known characters, each once, in the order of their ids.
            byte_fallback: encode other characters as UTF-8 bytes; otherwise they raise DataError.
        """
        if len(set(characters)) != len(characters):
            raise ValueError("a character is repeated")
        self.characters = characters
        self.byte_fallback = byte_fallback
        self.first_byte_id = 1 if byte_fallback else None
        self._first_character_id = 1 + (NUM_BYTES if byte_fallback else 0)
        self.size = self._first_character_id + len(characters)

    @cached_property
    def _id_table(self) -> npt.NDArray[np.int32]:
        """Code point -> id, or -1."""
        table = np.full(_NUM_CODE_POINTS, -1, dtype=np.int32)
        table[code_points(self.characters)] = np.arange(self._first_character_id, self.size, dtype=np.int32)
        return table

    def encode(self, text: str) -> IntArray:
        points = code_points(text)
        ids = self._id_table[points]
        unknown = np.flatnonzero(ids < 0)
        if not unknown.size:
            return ids
        if not self.byte_fallback:
            raise DataError(
                f"character {text[unknown[0]]!r} (U+{points[unknown[0]]:04X}) is not in the vocabulary",
                "prepare the corpus with corpus.vocab.byte_fallback = true",
            )
        return _replace_with_bytes(ids, points[unknown], unknown)

    def tokens_per_character(self, text: str) -> IntArray:
        points = code_points(text)
        return np.where(self._id_table[points] >= 0, 1, utf8_lengths(points))

    @cached_property
    def _text_of(self) -> list[str]:
        return [""] * self._first_character_id + list(self.characters)

    def to_json(self) -> dict[str, Any]:
        return {"byte_fallback": self.byte_fallback, "characters": self.characters}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "CharVocab":
        characters, byte_fallback = content["characters"], content["byte_fallback"]
        if not isinstance(characters, str) or not isinstance(byte_fallback, bool):
            raise TypeError("characters must be a string and byte_fallback a truth value")
        code_points(characters)
        return cls(characters, byte_fallback=byte_fallback)


def _replace_with_bytes(
    ids: npt.NDArray[np.int32], points: npt.NDArray[np.uint32], positions: npt.NDArray[np.intp]
) -> npt.NDArray[np.int32]:
    """Return `ids` with the unknown characters `points` at `positions` replaced by the ids of their bytes."""
    lengths = np.ones(len(ids), dtype=np.int64)
    lengths[positions] = utf8_lengths(points)
    known = np.repeat(ids >= 0, lengths)
    result = np.empty(len(known), dtype=np.int32)
    result[known] = ids[ids >= 0]
    encoded = points.tobytes().decode("utf-32-le").encode("utf-8")
    result[~known] = np.frombuffer(encoded, dtype=np.uint8).astype(np.int32) + 1
    return result


class CodePointCounts:
    """The number of occurrences of each code point in the texts added so far."""

    def __init__(self) -> None:
        self._counts = np.zeros(_NUM_CODE_POINTS, dtype=np.int64)

    def add(self, text: str) -> None:
        found = np.bincount(code_points(text))
        self._counts[: len(found)] += found

    def merge(self, other: "CodePointCounts") -> None:
        """Add the counts of another counter."""
        self._counts += other._counts

    def __getstate__(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        seen = np.flatnonzero(self._counts)
        return seen, self._counts[seen]

    def __setstate__(self, state: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]) -> None:
        self._counts = np.zeros(_NUM_CODE_POINTS, dtype=np.int64)
        self._counts[state[0]] = state[1]

    def most_frequent(self, *, min_count: int = 1) -> list[tuple[str, int]]:
        """Return characters with their counts, by decreasing count, then by code point."""
        seen = np.flatnonzero(self._counts >= max(1, min_count))
        order = seen[np.lexsort((seen, -self._counts[seen]))]
        return [(chr(point), int(self._counts[point])) for point in order]


class CharLearner:
    """Counts characters; keeps those that occur `min_count` times, at most `max_size`, the most frequent ones."""

    needs_text: ClassVar[bool] = True

    def __init__(self, settings: CharSettings) -> None:
        self._settings = settings
        self._counts = CodePointCounts()

    def add(self, text: str) -> None:
        self._counts.add(text)

    def merge(self, other: "CharLearner") -> None:
        self._counts.merge(other._counts)

    def finish(self) -> Vocab:
        check_distinct_characters(len(self._counts.most_frequent()))
        kept = self._counts.most_frequent(min_count=self._settings.min_count)[: self._settings.max_size]
        return CharVocab("".join(character for character, _ in kept), byte_fallback=self._settings.byte_fallback)
