"""Text that is safe to show: characters that are invisible, command a terminal or change the direction are written out.

These are the characters with Grapheme_Cluster_Break=Control (UAX 29): control characters, line and paragraph
separators, marks of direction, byte order marks. Joiners and accents belong to their cluster and stay.
"""

import regex

from charlm.printable import escape_character

_SYMBOLS = {"\n": "⏎", "\r": "␍", "\t": "⇥"}
_INVISIBLE = regex.compile(r"[\p{GCB=Control}\p{GCB=CR}\p{GCB=LF}]")
_COMBINING = regex.compile(r"[\p{M}\p{Emoji_Modifier}]")
_BLANK = regex.compile(r"[\p{Zs}--[ ]]", regex.VERSION1)
_DOTTED_CIRCLE = "\u25cc"
_SPACE = "␣"


def escape_invisible(text: str) -> str:
    """Return `text` in one line. Spaces stay."""
    return _INVISIBLE.sub(lambda found: _SYMBOLS.get(found[0]) or escape_character(found[0]), text)


def escape_invisible_lines(text: str) -> str:
    """Return `text` with a visible sign before each line feed."""
    return "\n".join(escape_invisible(line + "\n") for line in text.split("\n"))[:-1]


def display_name(symbol: str) -> str:
    """Return the name of a token, with visible spaces and joiners; an accent is put on a dotted circle."""
    if regex.fullmatch(r"\p{Cf}", symbol):
        return escape_character(symbol)
    visible = _BLANK.sub(lambda found: escape_character(found[0]), escape_invisible(symbol)).replace(" ", _SPACE)
    return _DOTTED_CIRCLE + visible if _COMBINING.match(visible) else visible


def format_percent(probability: float) -> str:
    """Return three digits, or five above 99 %: 99.987 %, 4.25 %, 0.0031 %."""
    percentage = 100 * probability
    return f"{percentage:.{5 if percentage > 99 else 3}g} %"
