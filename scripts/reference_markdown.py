"""Markdown that is readable on a web page and in a pager: wrapped lists of terms and paragraphs."""

import re
import textwrap
from collections.abc import Iterable

WIDTH = 100


def items(rows: Iterable[tuple[str, str]]) -> str:
    """Return a list of terms with their descriptions."""
    return "\n".join(_item(term, text) for term, text in rows)


def _item(term: str, text: str) -> str:
    first, _, description = text.partition("\n")
    lines = wrapped(f"- **{term}**: {first}", "", "  ")
    return f"{lines}\n{wrapped(description, '  ', '  ')}" if description else lines


def prose(text: str) -> str:
    """Return text as wrapped paragraphs."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(wrapped(escaped(paragraph)) for paragraph in paragraphs)


def wrapped(text: str, first: str = "", indent: str = "") -> str:
    """Wrap and indent text. No line begins like an item of a list or a heading, and short code is not broken."""
    unbroken = re.sub(r"`[^`]{1,60}`", lambda code: code[0].replace(" ", _NO_BREAK_SPACE), " ".join(text.split()))
    unbroken = re.sub(r"(?<=\S) (?=(?:[-+*>=]+|#+|\d+[.)])(?: |$))", _NO_BREAK_SPACE, unbroken)
    wrapper = textwrap.TextWrapper(WIDTH, first, indent, break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(unbroken).replace(_NO_BREAK_SPACE, " ")


_NO_BREAK_SPACE = "\0"


def escaped(text: str) -> str:
    """Mark tags and stars, which Markdown would interpret, as code, unless they are marked already."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if number % 2 else re.sub(_MARKDOWN_SYNTAX, r"`\g<0>`", piece) for number, piece in enumerate(pieces)
    )


_MARKDOWN_SYNTAX = r"<[\w/]+>|[\w.{}]*[*\\][\w.*{}]*"


def anchor(heading: str) -> str:
    """Return the anchor of a heading on a web page: lower case, hyphens for spaces, no other signs."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")
