"""Unicode's normal form C (NFC) in linear time, for texts that come whole or in pieces.

    text ── long runs of combining marks, cut ──> slices ── NFC ──> joined text, number of such runs

To sort the marks of one run takes a time that grows with the square of their number. No language needs more than about
ten marks on a character, and Unicode's stream-safe form allows 30 (https://www.unicode.org/reports/tr15, section 13).
"""

import functools
import re
import sys
import unicodedata

MAX_MARKS = 256
"""Combining marks in a row that are sorted together. A longer run is normalised in slices of this length."""

_HANGUL_VOWELS_AND_FINALS = "".join(map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))))
"""They compose with the syllable before them by a rule, not by a table."""
_MAYBE_LONG_RUN = re.compile(rf"(?<![^\0-\u02ff])[^\0-\u02ff]{{{MAX_MARKS + 1}}}")  # U+0300 is the first mark


def normalize_nfc(text: str) -> tuple[str, int]:
    """Return the text in NFC, and the number of its runs of more than MAX_MARKS combining marks.

    Between two slices of such a run nothing is sorted or composed.
    """
    if text.isascii():
        return text, 0
    slices: list[str] = []
    start = num_runs = 0
    for run in _runs_of_marks().finditer(text) if _MAYBE_LONG_RUN.search(text) else ():
        if run.end() - run.start() <= MAX_MARKS:
            continue
        num_runs += 1
        for end in range(run.start() + MAX_MARKS, run.end(), MAX_MARKS):
            slices.append(unicodedata.normalize("NFC", text[start:end]))
            start = end
    slices.append(unicodedata.normalize("NFC", text[start:]))
    return "".join(slices), num_runs


def find_boundary(text: str) -> int:
    """Return the last place where the text can be cut and its two sides normalised apart; 0 if there is none."""
    joining = _joining_set()
    return next((place for place in range(len(text) - 1, 0, -1) if text[place] not in joining), 0)


@functools.cache
def _runs_of_marks() -> re.Pattern[str]:
    marks, _ = _joining_characters()
    return re.compile(f"[{marks}]++")


@functools.cache
def _joining_set() -> frozenset[str]:
    return frozenset("".join(_joining_characters()) + _HANGUL_VOWELS_AND_FINALS)


@functools.cache
def _joining_characters() -> tuple[str, str]:
    """Return the combining marks, and the other characters that may compose with the character before them."""
    marks: list[str] = []
    seconds: set[str] = set()
    beginnings: dict[str, str] = {}  # a character -> the first one of its full decomposition
    for character in map(chr, range(0x300, sys.maxunicode + 1)):
        if unicodedata.combining(character):
            marks.append(character)
            continue
        decomposition = unicodedata.decomposition(character)
        if decomposition and decomposition[0] != "<":  # otherwise it is only compatible with that
            beginnings[character] = unicodedata.normalize("NFD", character)[0]
            seconds.update(chr(int(code, 16)) for code in decomposition.split()[1:])
    marks += (character for character, first in beginnings.items() if unicodedata.combining(first))
    seconds |= {character for character, first in beginnings.items() if first in seconds}
    return "".join(marks), "".join(sorted(seconds - set(marks)))
