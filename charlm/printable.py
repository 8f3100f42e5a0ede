"""Text that is safe to show: characters that could command a terminal, or turn its text around, are written out."""

import re

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` with control characters as escapes. Line feeds and tabs stay."""
    return _CONTROL_CHARACTERS.sub(lambda found: escape_character(found[0]), text)


def escape_character(character: str) -> str:
    r"""The escape of a character in Python: \x1b, \u202e."""
    return character.encode("unicode_escape").decode()


def one_line(text: str) -> str:
    """The text with what cannot be shown (line ends, control characters, half characters) replaced by �."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
