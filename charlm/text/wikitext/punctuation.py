"""Closes the gaps that dropped markup leaves in a line: `(GAP; 1 May)` -> `(1 May)`. Other signs stay as written."""

import re
from functools import lru_cache

from charlm.text.wikitext.marks import GAP

_SIGNS = " ,;:、，；"
_GAPS = rf"[{_SIGNS}]*{GAP}[{_SIGNS}{GAP}]*+"
"""Signs and blanks around one or more gaps."""
_EMPTY_BRACKETS = re.compile(rf"\({_GAPS}\)|（{_GAPS}）|\[{_GAPS}\]|“ *{GAP}[ {GAP}]*+”|« *{GAP}[ {GAP}]*+»")
_GAP_AFTER_OPENING = re.compile(rf"([(（])(?:{_GAPS})(?=\S)")
_GAP_BEFORE_CLOSING = re.compile(rf"{_GAPS}(?=[)）])")
_GAP_AT_START = re.compile(rf"^ *{GAP}(?:[ {GAP}]|[,;.:、，；](?=[\s{GAP}]))*+")
_GAP_BETWEEN_SIGNS = re.compile(rf"([,;])[ ,;]*{GAP}[ ,;{GAP}]*?([,;])(?![ ,;]*{GAP})")
_GAP_BETWEEN_DASHES = re.compile(rf"([—–]) *{GAP}[ {GAP}]*+[—–](?=\s)")
_GAP_BEFORE_SIGN = re.compile(rf" *{GAP}[ {GAP}]*+(?=[,.;:](?:\s|$))")
_OPENING = "([（“«—–"  # and the start of a line, ""
_CLOSING = ")]）”»—–."
_MAYBE_GAP = re.compile(
    rf"{GAP}(?:(?<=[ {re.escape(_OPENING)}]{GAP})|(?<=\A{GAP})| *(?:[{re.escape(_CLOSING)}{_SIGNS}]|\Z))"
)
"""Finds all that `_is_gap` says yes to, and some more, faster."""
_MAX_ROUNDS = 4


def close_gaps(line: str) -> str:
    """Return the line without gaps and with single blanks."""
    if GAP in line:
        parts = line.split(GAP) if _MAYBE_GAP.search(line) else []
        line = _close_near_gaps(line) if any(map(_is_gap, parts, parts[1:])) else line.replace(GAP, "")
    while "  " in line:  # a few times at most: runs of blanks get half as long
        line = line.replace("  ", " ")
    return line


def _is_gap(before: str, after: str) -> bool:
    """Return whether the text around a GAP may need a change other than a blank less."""
    last, first = before.rstrip(" ")[-1:], after.lstrip(" ")[:1]
    return last in _OPENING or first in _CLOSING or (first in _SIGNS and (last in _SIGNS or before[-1:] == " "))


def _close_near_gaps(line: str) -> str:
    """Close all gaps of a line: of each, only the signs up to the nearest letters or digits matter."""
    pieces: list[str] = []
    position = 0
    gap = line.find(GAP)
    while gap >= 0:
        start, end = gap, gap + 1
        while start and not line[start - 1].isalnum():
            start -= 1
        while end < len(line) and not line[end].isalnum():
            end += 1
        pieces.append(line[position:start])
        pieces.append(_close_between(line[start:end], starts_line=not start, ends_line=end == len(line)))
        position = end
        gap = line.find(GAP, end)
    pieces.append(line[position:])
    return "".join(pieces)


@lru_cache(maxsize=4096)
def _close_between(signs: str, *, starts_line: bool, ends_line: bool) -> str:
    """Close the gaps among the signs between two words of a line. Which words, does not matter."""
    before, after = "" if starts_line else "a", "" if ends_line else "a"
    return _close(before + signs + after).removeprefix(before).removesuffix(after)


def _close(line: str) -> str:
    for _ in range(_MAX_ROUNDS):  # emptied brackets are a gap themselves
        previous = line
        line = _EMPTY_BRACKETS.sub(GAP, line)
        if line == previous:
            break
    line = _GAP_AFTER_OPENING.sub(r"\1", line)
    line = _GAP_BEFORE_CLOSING.sub("", line)
    line = _GAP_AT_START.sub("", line)
    line = _GAP_BETWEEN_SIGNS.sub(lambda match: ";" if ";" in match[0] else ",", line)
    line = _GAP_BETWEEN_DASHES.sub(r"\1", line)
    line = _GAP_BEFORE_SIGN.sub("", line)
    return line.replace(GAP, "")
