"""A line with the gaps that dropped markup leaves -> one without: "( , x)", double spaces, " ,", ",,"."""

import re

_SUSPECT = re.compile(
    r"\([ ,;:、，；،)）]|（[ ,;:、，；،)）]|\)(?<=[ ,;、，；].)|）(?<=[ ,;、，；].)"
    r"|,(?: ?[,;]|(?<= .)(?:\s|$))|;(?= ?[,;])|\.(?<= .)(?:\s|$)|“ ?”|« ?»|\[[ ,;]|— [—–]|– [—–]"
)
"""One look at a line, which is enough for most. Branches begin with literals, not with sets: so `re` skips to the
signs themselves, six times faster."""
# glued to ASCII, as in main(), it belongs to a name
_EMPTY = re.compile(r"(?<![!-'*-~])\([ ,;:،]*+\) ?|（[ ,;:、，；]*+）|(?<!\S)\[[ ,;]+\] ?|“ ?”|« ?»")
_OPENED = re.compile(r"([(（])[ ,;、，；]++(?=\S)")
_CLOSED = re.compile(r"(?<![ ,;、，；])[ ,;、，；]++(?=[)）])")
_STRAY_SPACE = re.compile(r"(?<=\S) (?=[,.](?:\s|$))")
_REPEATED = re.compile(r"[,;](?: ?[,;])+")
_DASHES = re.compile(r"([—–])(?: [—–])+(?=\s)")
_SPACES = re.compile("  +")
_MAX_ROUNDS = 4


def mend(line: str) -> str:
    """Close the gaps in a line; plain prose stays as it is."""
    if "  " in line:
        line = _SPACES.sub(" ", line)
    return _mended(line) if _SUSPECT.search(line) else line


def _mended(line: str) -> str:
    for _ in range(_MAX_ROUNDS):  # what is emptied may have stood in what is empty now
        before = line
        line = _EMPTY.sub("", line)
        line = _OPENED.sub(r"\1", line)
        line = _CLOSED.sub("", line)
        line = _STRAY_SPACE.sub("", line)
        line = _REPEATED.sub(_one_sign, line)
        line = _DASHES.sub(r"\1", line)
        line = _SPACES.sub(" ", line)
        if line == before:
            break
    return line


def _one_sign(found: re.Match[str]) -> str:
    return ";" if ";" in found[0] else ","
