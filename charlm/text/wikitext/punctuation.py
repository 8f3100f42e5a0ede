"""Closes the gaps that dropped markup leaves in a line: "( , x)", double spaces, " ,", ",,"."""

import re

_ANY_GAP = re.compile(
    r"\([ ,;:、，；،)）]|（[ ,;:、，；،)）]|\)(?<=[ ,;、，；].)|）(?<=[ ,;、，；].)"
    r"|,(?: ?[,;]|(?<= .)(?:\s|$))|;(?= ?[,;])|\.(?<= .)(?:\s|$)|“ ?”|« ?»|\[[ ,;]|— [—–]|– [—–]"
)
"""Finds lines that need work; most do not. Every branch begins with a literal character, which makes `re` six times
faster than a set would."""
# brackets after ASCII, as in main(), belong to a name
_EMPTY_BRACKETS = re.compile(r"(?<![!-'*-~])\([ ,;:،]*+\) ?|（[ ,;:、，；]*+）|(?<!\S)\[[ ,;]+\] ?|“ ?”|« ?»")
_GAP_AFTER_OPENING = re.compile(r"([(（])[ ,;、，；]++(?=\S)")
_GAP_BEFORE_CLOSING = re.compile(r"(?<![ ,;、，；])[ ,;、，；]++(?=[)）])")
_STRAY_SPACE = re.compile(r"(?<=\S) (?=[,.](?:\s|$))")
_REPEATED_COMMAS = re.compile(r"[,;](?: ?[,;])+")
_DASHES = re.compile(r"([—–])(?: [—–])+(?=\s)")
_SPACES = re.compile("  +")
_MAX_ROUNDS = 4


def close_gaps(line: str) -> str:
    """Return the line without gaps; text without gaps is unchanged."""
    if "  " in line:
        line = _SPACES.sub(" ", line)
    return _replace_gaps(line) if _ANY_GAP.search(line) else line


def _replace_gaps(line: str) -> str:
    for _ in range(_MAX_ROUNDS):  # removing one gap can leave another
        previous = line
        line = _EMPTY_BRACKETS.sub("", line)
        line = _GAP_AFTER_OPENING.sub(r"\1", line)
        line = _GAP_BEFORE_CLOSING.sub("", line)
        line = _STRAY_SPACE.sub("", line)
        line = _REPEATED_COMMAS.sub(_one_sign, line)
        line = _DASHES.sub(r"\1", line)
        line = _SPACES.sub(" ", line)
        if line == previous:
            break
    return line


def _one_sign(match: re.Match[str]) -> str:
    return ";" if ";" in match[0] else ","
