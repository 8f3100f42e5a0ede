"""Text and numbers as a person may see them: what could command a terminal, or turn its text around, is an escape."""

import re

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_TOO_SMALL, _TOO_LARGE = 0.001, 1e15


def printable(text: str) -> str:
    """Line feeds and tabs stay."""
    return _CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def readable(number: float) -> str:
    """With thousands apart and four decimals; what is too large or too small for that, with four digits and a power."""
    if isinstance(number, int) or (number.is_integer() and abs(number) < _TOO_LARGE):
        return f"{int(number):,}"
    return f"{number:,.4f}" if _TOO_SMALL <= abs(number) < _TOO_LARGE else f"{number:.4g}"
