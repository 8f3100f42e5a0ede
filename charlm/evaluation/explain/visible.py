"""Text as it can be shown safely: what is invisible, or could command a terminal or turn text around, is written out.

Grapheme_Cluster_Break=Control (UAX 29) is just that: control characters, line and paragraph separators, marks of
direction, byte order marks. Joiners and accents belong to the cluster they stand in, and stay.
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
    """`text` in one line, spaces as they are."""
    return _INVISIBLE.sub(lambda found: _SYMBOLS.get(found[0]) or escape_character(found[0]), text)


def escape_invisible_lines(text: str) -> str:
    """`text` with a sign for each line feed, and the line feed itself."""
    return "\n".join(escape_invisible(line + "\n") for line in text.split("\n"))[:-1]


def display_name(symbol: str) -> str:
    """The name of a token: spaces can be seen too, a joiner by itself, and an accent has something to stand on."""
    if regex.fullmatch(r"\p{Cf}", symbol):
        return escape_character(symbol)
    visible = _BLANK.sub(lambda found: escape_character(found[0]), escape_invisible(symbol)).replace(" ", _SPACE)
    return _DOTTED_CIRCLE + visible if _COMBINING.match(visible) else visible


def format_percent(probability: float) -> str:
    """Three digits, more where it is nearly certain: 99.987 %, 4.25 %, 0.0031 %."""
    percentage = 100 * probability
    return f"{percentage:.{5 if percentage > 99 else 3}g} %"
