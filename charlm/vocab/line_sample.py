"""Texts -> a random sample of their lines, of bounded size.

Each line gets a priority from the hash of its text and its index in it; the lines with the lowest priorities are kept.
So the sample does not depend on the order of the texts, nor on the number of processes that read them.
"""

import hashlib
from collections.abc import Iterator

MAX_LINE_LENGTH = 4_000
"""Characters; longer lines are cut into several."""

_MASK = (1 << 64) - 1
_NO_LIMIT = 1 << 64


class LineSample:
    """A sample of the lines added so far, of at most `max_characters`."""

    def __init__(self, max_characters: int) -> None:
        self._max_characters = max_characters
        self._candidates: list[tuple[int, str]] = []
        self._size = 0
        self._threshold = _NO_LIMIT  # lines of this priority or above are not in the sample

    def add(self, text: str) -> None:
        seed = int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")
        for index, line in enumerate(_lines(text)):
            priority = _splitmix64(seed + index)
            if priority < self._threshold:
                self._candidates.append((priority, line))
                self._size += len(line)
        if self._size > 2 * self._max_characters:
            self._truncate()

    def merge(self, other: "LineSample") -> None:
        self._candidates += other._candidates
        self._threshold = min(self._threshold, other._threshold)
        self._truncate()

    def lines(self) -> list[str]:
        self._truncate()
        return [line for _, line in self._candidates]

    def _truncate(self) -> None:
        """Keep the lowest priorities up to the first line that does not fit, and no line from there on."""
        self._candidates.sort()
        self._size = 0
        for index, (priority, line) in enumerate(self._candidates):
            if priority >= self._threshold or self._size + len(line) > self._max_characters:
                self._threshold = min(priority, self._threshold)
                del self._candidates[index:]
                return
            self._size += len(line)


def _lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        for start in range(0, len(line), MAX_LINE_LENGTH):
            yield line[start : start + MAX_LINE_LENGTH]


def _splitmix64(number: int) -> int:
    """Return the splitmix64 hash of a number (Steele et al., 2014)."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)
