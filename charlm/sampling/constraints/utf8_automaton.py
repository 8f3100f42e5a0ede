"""What every text automaton is: text is read as UTF-8, and what can never be completed is refused at once.

start ──step(bytes)──> state ──step(bytes)──> state ...      None: no continuation would do
                         └──distance──> how many characters are still missing

States are values: they can be kept, compared, gone back to. They are worked out when a text leads there, and what has
been worked out is remembered, in bounded number.
"""

import codecs
import re
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Generic, Self, TypeVar

import numpy as np

CACHE_SIZE = 1 << 16
_FIRST_HIGH_CODE_POINT = 0x40000

CharStateT = TypeVar("CharStateT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class TextState(Generic[CharStateT]):
    """Where a text has led."""

    char_state: CharStateT
    """After its whole characters; what it is each kind of automaton says."""
    pending: bytes
    """The first bytes of a character that is not finished."""


class TextAutomaton(ABC, Generic[CharStateT]):
    """Reads UTF-8. What is wanted of whole characters each kind says itself."""

    def __init__(self, start: CharStateT, alphabet: "Alphabet") -> None:
        self.start = TextState(start, b"")
        self.alphabet = alphabet
        self.next_state = lru_cache(CACHE_SIZE)(self._compute_next_state)
        self.min_completion = lru_cache(CACHE_SIZE)(self._compute_min_completion)
        self._min_completion_via = lru_cache(CACHE_SIZE)(self._compute_min_completion_via)

    def step(self, state: TextState[CharStateT], data: bytes) -> TextState[CharStateT] | None:
        """The state after more bytes; None where they are no UTF-8, or no continuation would do."""
        data = state.pending + data
        try:
            text, used = codecs.utf_8_decode(data, "strict", False)
        except UnicodeDecodeError:
            return None
        char_state = state.char_state
        for character in text:
            next_state = self.next_state(char_state, character)
            if next_state is None:
                return None
            char_state = next_state
        if used < len(data) and self._min_completion_via(char_state, *characters_starting_with(data[used:])) is None:
            return None
        return TextState(char_state, data[used:])

    def distance(self, state: TextState[CharStateT]) -> int:
        """Characters that are missing, an unfinished one among them; 0 where the text is as wanted.

        As long as it is not 0, some next character lowers it by one, and its bytes do not raise it.
        """
        if not state.pending:
            return self.min_completion(state.char_state)
        distance = self._min_completion_via(state.char_state, *characters_starting_with(state.pending))
        assert distance is not None, "a state that `step` has not given"
        return distance

    @abstractmethod
    def restrict_to(self, spellable: Iterable[str]) -> Self:
        """The same for text that can be made of these characters alone.

        Raises:
            UsageError: no such text is as wanted.
        """

    @abstractmethod
    def _compute_next_state(self, char_state: CharStateT, character: str) -> CharStateT | None:
        """Where a character leads; None where no continuation would do."""

    @abstractmethod
    def _compute_min_completion(self, char_state: CharStateT) -> int:
        """How many characters are missing."""

    @abstractmethod
    def _compute_min_completion_via(self, char_state: CharStateT, first: str, last: str) -> int | None:
        """The same if the next one is from `first` to `last`, that one included; None where no such one would do."""


class Alphabet:
    """The characters that text can be made of. Surrogates are in none: no UTF-8 text can hold them."""

    def __init__(self, spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            spellable: single characters; all there are if left out.
        """
        self._all, self._representatives = (
            _all_characters() if spellable is None else ("".join(sorted(set(spellable))),) * 2
        )
        self.has_match = lru_cache(CACHE_SIZE)(self._has_match)

    def count(self, first: str, last: str) -> int:
        """How many there are from `first` to `last`."""
        return bisect_right(self._all, last) - bisect_left(self._all, first)

    def _has_match(self, regex: re.Pattern[str], first: str = "\0", last: str = "\U0010ffff") -> bool:
        """Whether `regex`, which stands for one character, matches one from `first` to `last`.

        Args:
            first, last: of all those whose UTF-8 begins with the same bytes.
        """
        mentions_high_code_points = (
            "\\U" in regex.pattern or "\\N" in regex.pattern or max(regex.pattern) >= chr(_FIRST_HIGH_CODE_POINT)
        )
        characters = self._all if mentions_high_code_points else self._representatives
        return regex.search(characters, bisect_left(characters, first), bisect_right(characters, last)) is not None


@cache
def _all_characters() -> tuple[str, str]:
    """All characters, and those that a class can tell apart without naming any from U+40000 on.

    Those are no letters, digits or spaces and have no case: one stands for the 64 that differ in their last byte alone.
    A search takes a quarter of the time.
    """
    points = np.r_[0:0xD800, 0xE000:0x110000]
    distinct = points[(points < _FIRST_HIGH_CODE_POINT) | (points % 64 == 0)]
    return points.astype("<u4").tobytes().decode("utf-32-le"), distinct.astype("<u4").tobytes().decode("utf-32-le")


@lru_cache(1 << 12)
def characters_starting_with(utf8_prefix: bytes) -> tuple[str, str]:
    """The first and the last character whose UTF-8 begins with these bytes, one to three of them."""
    size = 2 + (utf8_prefix[0] >= 0xE0) + (utf8_prefix[0] >= 0xF0)
    point = utf8_prefix[0] & (0x7F >> size)
    for byte in utf8_prefix[1:]:
        point = point << 6 | byte & 0x3F
    bits = 6 * (size - len(utf8_prefix))
    first = max(point << bits, (0x80, 0x800, 0x10000)[size - 2])
    return chr(first), chr(min(((point + 1) << bits) - 1, 0x10FFFF))


def set_bits(mask: int) -> Iterator[int]:
    """The places of the ones, from the lowest."""
    digits = bin(mask)[:1:-1]
    position = digits.find("1")
    while position >= 0:
        yield position
        position = digits.find("1", position + 1)
