"""The base of all text automata: they read UTF-8, and reject at once a text that cannot be completed.

    start ──step(bytes)──> state ──step(bytes)──> state ...      None: no continuation is accepted
                             └──distance──> the number of characters still missing

States are values: they can be kept, compared and returned to. They are computed when a text leads there and cached, in
bounded number.
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
    """The state of an automaton after a text."""

    char_state: CharStateT
    """The state after the complete characters; its type depends on the automaton."""
    pending: bytes
    """The first bytes of an unfinished character."""


class TextAutomaton(ABC, Generic[CharStateT]):
    """Reads UTF-8; a subclass defines the states of complete characters."""

    def __init__(self, start: CharStateT, alphabet: "Alphabet") -> None:
        self.start = TextState(start, b"")
        self.alphabet = alphabet
        self.next_state = lru_cache(CACHE_SIZE)(self._compute_next_state)
        self.min_completion = lru_cache(CACHE_SIZE)(self._compute_min_completion)
        self._min_completion_via = lru_cache(CACHE_SIZE)(self._compute_min_completion_via)

    def step(self, state: TextState[CharStateT], data: bytes) -> TextState[CharStateT] | None:
        """The state after more bytes; None if they are not UTF-8, or no continuation is accepted."""
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
        """The number of missing characters, an unfinished one included; 0 if the text is accepted.

        While it is above 0, some next character lowers it by one, and the bytes of that character do not raise it.
        """
        if not state.pending:
            return self.min_completion(state.char_state)
        distance = self._min_completion_via(state.char_state, *characters_starting_with(state.pending))
        assert distance is not None, "a state that `step` has not given"
        return distance

    @abstractmethod
    def restrict_to(self, spellable: Iterable[str]) -> Self:
        """The automaton for text of these characters only.

        Raises:
            UsageError: no text of these characters is accepted.
        """

    @abstractmethod
    def _compute_next_state(self, char_state: CharStateT, character: str) -> CharStateT | None:
        """The state after a character; None if no continuation is accepted."""

    @abstractmethod
    def _compute_min_completion(self, char_state: CharStateT) -> int:
        """The number of missing characters."""

    @abstractmethod
    def _compute_min_completion_via(self, char_state: CharStateT, first: str, last: str) -> int | None:
        """The number of missing characters if the next one is between `first` and `last`, that one included; None if no
        character between them is accepted."""


class Alphabet:
    """The characters that text can consist of. Surrogates are never among them: UTF-8 cannot encode them."""

    def __init__(self, spellable: Iterable[str] | None = None) -> None:
        """
        Args:
            spellable: single characters; all if left out.
        """
        self._all, self._representatives = (
            _all_characters() if spellable is None else ("".join(sorted(set(spellable))),) * 2
        )
        self.has_match = lru_cache(CACHE_SIZE)(self._has_match)

    def count(self, first: str, last: str) -> int:
        """The number of characters from `first` to `last`."""
        return bisect_right(self._all, last) - bisect_left(self._all, first)

    def _has_match(self, regex: re.Pattern[str], first: str = "\0", last: str = "\U0010ffff") -> bool:
        """Whether `regex`, a class of single characters, matches one from `first` to `last`.

        Args:
            first, last: the ends of a range of characters whose UTF-8 begins with the same bytes.
        """
        mentions_high_code_points = (
            "\\U" in regex.pattern or "\\N" in regex.pattern or max(regex.pattern) >= chr(_FIRST_HIGH_CODE_POINT)
        )
        characters = self._all if mentions_high_code_points else self._representatives
        return regex.search(characters, bisect_left(characters, first), bisect_right(characters, last)) is not None


@cache
def _all_characters() -> tuple[str, str]:
    """All characters, and the representatives that suffice for classes that name no character from U+40000 on.

    Characters from there on are not letters, digits or spaces and have no case: one represents the 64 that differ in
    the last byte of their UTF-8. Searching the representatives takes a quarter of the time.
    """
    points = np.r_[0:0xD800, 0xE000:0x110000]
    distinct = points[(points < _FIRST_HIGH_CODE_POINT) | (points % 64 == 0)]
    return points.astype("<u4").tobytes().decode("utf-32-le"), distinct.astype("<u4").tobytes().decode("utf-32-le")


@lru_cache(1 << 12)
def characters_starting_with(utf8_prefix: bytes) -> tuple[str, str]:
    """The first and the last character whose UTF-8 begins with these one to three bytes."""
    size = 2 + (utf8_prefix[0] >= 0xE0) + (utf8_prefix[0] >= 0xF0)
    point = utf8_prefix[0] & (0x7F >> size)
    for byte in utf8_prefix[1:]:
        point = point << 6 | byte & 0x3F
    bits = 6 * (size - len(utf8_prefix))
    first = max(point << bits, (0x80, 0x800, 0x10000)[size - 2])
    return chr(first), chr(min(((point + 1) << bits) - 1, 0x10FFFF))


def set_bits(mask: int) -> Iterator[int]:
    """Yield the positions of the set bits, from the lowest."""
    digits = bin(mask)[:1:-1]
    position = digits.find("1")
    while position >= 0:
        yield position
        position = digits.find("1", position + 1)
