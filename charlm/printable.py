"""Text for display: characters that would control a terminal or reverse its text are escaped."""

import re

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Escape all control characters except line feeds and tabs."""
    return _CONTROL_CHARACTERS.sub(lambda found: escape_character(found[0]), text)


def escape_character(character: str) -> str:
    r"""The escape of a character in Python: \x1b, \u202e."""
    return character.encode("unicode_escape").decode()


def one_line(text: str) -> str:
    """Replace line ends, control characters and lone surrogates by \ufffd."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
