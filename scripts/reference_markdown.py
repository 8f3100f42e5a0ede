"""Markdown that reads well on a web page and in a pager: lists of terms and paragraphs, wrapped."""

import re
import textwrap
from collections.abc import Iterable

WIDTH = 100


def items(rows: Iterable[tuple[str, str]]) -> str:
    """A list of terms, each with what there is to say of it."""
    return "\n".join(_item(term, text) for term, text in rows)


def _item(term: str, text: str) -> str:
    first, _, description = text.partition("\n")
    lines = wrapped(f"- **{term}**: {first}", "", "  ")
    return f"{lines}\n{wrapped(description, '  ', '  ')}" if description else lines


def prose(text: str) -> str:
    """Paragraphs."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(wrapped(escaped(paragraph)) for paragraph in paragraphs)


def wrapped(text: str, first: str = "", indent: str = "") -> str:
    """Lines that are not too long, indented; none of them begins like an item of a list or a heading, and short code
    stays on one line."""
    unbroken = re.sub(r"`[^`]{1,60}`", lambda code: code[0].replace(" ", _NO_BREAK_SPACE), " ".join(text.split()))
    unbroken = re.sub(r"(?<=\S) (?=(?:[-+*>=]+|#+|\d+[.)])(?: |$))", _NO_BREAK_SPACE, unbroken)
    wrapper = textwrap.TextWrapper(WIDTH, first, indent, break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(unbroken).replace(_NO_BREAK_SPACE, " ")


_NO_BREAK_SPACE = "\0"


def escaped(text: str) -> str:
    """What Markdown would take for its own becomes code, where it is not marked as code already: tags, stars."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if number % 2 else re.sub(_MARKDOWN_SYNTAX, r"`\g<0>`", piece) for number, piece in enumerate(pieces)
    )


_MARKDOWN_SYNTAX = r"<[\w/]+>|[\w.{}]*[*\\][\w.*{}]*"


def anchor(heading: str) -> str:
    """What a web page calls a heading: lower case, hyphens for spaces, no other signs."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")
