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
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Generic, Self, TypeVar

import numpy as np

REMEMBERED = 1 << 16
_FIRST_FAR = 0x40000

Live = TypeVar("Live", bound=Hashable)


@dataclass(frozen=True, slots=True)
class TextState(Generic[Live]):
    """Where a text has led."""

    live: Live
    """After its whole characters; what it is each kind of automaton says."""
    pending: bytes
    """The first bytes of a character that is not finished."""


class TextAutomaton(ABC, Generic[Live]):
    """Reads UTF-8. What is wanted of whole characters each kind says itself."""

    def __init__(self, start: Live, alphabet: "Alphabet") -> None:
        self.start = TextState(start, b"")
        self.alphabet = alphabet
        self.after = lru_cache(REMEMBERED)(self._find_after)
        self.missing = lru_cache(REMEMBERED)(self._find_missing)
        self._within = lru_cache(REMEMBERED)(self._find_within)

    def step(self, state: TextState[Live], data: bytes) -> TextState[Live] | None:
        """The state after more bytes; None where they are no UTF-8, or no continuation would do."""
        data = state.pending + data
        try:
            text, used = codecs.utf_8_decode(data, "strict", False)
        except UnicodeDecodeError:
            return None
        live = state.live
        for character in text:
            after = self.after(live, character)
            if after is None:
                return None
            live = after
        if used < len(data) and self._within(live, *characters_with(data[used:])) is None:
            return None
        return TextState(live, data[used:])

    def distance(self, state: TextState[Live]) -> int:
        """Characters that are missing, an unfinished one among them; 0 where the text is as wanted.

        As long as it is not 0, some next character lowers it by one, and its bytes do not raise it.
        """
        if not state.pending:
            return self.missing(state.live)
        distance = self._within(state.live, *characters_with(state.pending))
        assert distance is not None, "a state that `step` has not given"
        return distance

    @abstractmethod
    def spelled_with(self, spellable: Iterable[str]) -> Self:
        """The same for text that can be made of these characters alone.

        Raises:
            UsageError: no such text is as wanted.
        """

    @abstractmethod
    def _find_after(self, live: Live, character: str) -> Live | None:
        """Where a character leads; None where no continuation would do."""

    @abstractmethod
    def _find_missing(self, live: Live) -> int:
        """How many characters are missing."""

    @abstractmethod
    def _find_within(self, live: Live, first: str, last: str) -> int | None:
        """The same if the next one is from `first` to `last`, that one included; None where no such one would do."""


class Alphabet:
    """The characters that text can be made of. Surrogates are in none: no UTF-8 text can hold them."""

    def __init__(self, spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            spellable: single characters; all there are if left out.
        """
        self._all, self._distinct = _everything() if spellable is None else ("".join(sorted(set(spellable))),) * 2
        self.has_match = lru_cache(REMEMBERED)(self._has_match)

    def count(self, first: str, last: str) -> int:
        """How many there are from `first` to `last`."""
        return bisect_right(self._all, last) - bisect_left(self._all, first)

    def _has_match(self, regex: re.Pattern[str], first: str = "\0", last: str = "\U0010ffff") -> bool:
        """Whether `regex`, which stands for one character, matches one from `first` to `last`.

        Args:
            first, last: of all those whose UTF-8 begins with the same bytes.
        """
        names_far_ones = "\\U" in regex.pattern or "\\N" in regex.pattern or max(regex.pattern) >= chr(_FIRST_FAR)
        characters = self._all if names_far_ones else self._distinct
        return regex.search(characters, bisect_left(characters, first), bisect_right(characters, last)) is not None


@cache
def _everything() -> tuple[str, str]:
    """All characters, and those that a class can tell apart without naming any from U+40000 on.

    Those are no letters, digits or spaces and have no case: one stands for the 64 that differ in their last byte alone.
    A search takes a quarter of the time.
    """
    points = np.r_[0:0xD800, 0xE000:0x110000]
    distinct = points[(points < _FIRST_FAR) | (points % 64 == 0)]
    return points.astype("<u4").tobytes().decode("utf-32-le"), distinct.astype("<u4").tobytes().decode("utf-32-le")


@lru_cache(1 << 12)
def characters_with(begun: bytes) -> tuple[str, str]:
    """The first and the last character whose UTF-8 begins with these bytes, one to three of them."""
    size = 2 + (begun[0] >= 0xE0) + (begun[0] >= 0xF0)
    point = begun[0] & (0x7F >> size)
    for byte in begun[1:]:
        point = point << 6 | byte & 0x3F
    bits = 6 * (size - len(begun))
    first = max(point << bits, (0x80, 0x800, 0x10000)[size - 2])
    return chr(first), chr(min(((point + 1) << bits) - 1, 0x10FFFF))
