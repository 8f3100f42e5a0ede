"""Closes the gaps that dropped markup leaves in a line: `(GAP; 1 May)` -> `(1 May)`. Other signs stay as written."""

import re

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
_SPACES = re.compile("  +")
_MAX_ROUNDS = 4


def close_gaps(line: str) -> str:
    """Return the line without gaps and with single blanks."""
    if GAP in line:
        line = _close(line)
    return _SPACES.sub(" ", line) if "  " in line else line


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
