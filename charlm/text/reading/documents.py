"""The text of a file as it is read -> documents: one, or one for each block or line; long ones in pieces.

    text in fragments ──in_pieces──> pieces of at most MAX_PART characters            documents = "file"
                      ──lines──> lines ──grouped──> in_pieces for each block or line             "block", "line"

Only `\\n` and `\\r\\n` end a line; `\\r` alone, U+0085 and U+2028 are characters like others.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Literal, NamedTuple

from charlm.text.document import Census, Document
from charlm.text.split import MAX_PART

Unit = Literal["file", "block", "line"]


class _Line(NamedTuple):
    """A line, or a piece of a long one: then `end` is empty but in the last."""

    number: int
    text: str
    end: str
    blank: bool
    """Nothing but spaces and tabs."""


def read_documents(name: str, title: str, texts: Iterable[str], unit: Unit, census: Census) -> Iterator[Document]:
    """The documents of one file, counted; their ids are `name`, or `name:N` for the N-th block or line, from 1."""
    if unit == "file":
        census.pages += 1
        text = None
        for text, ends in in_pieces(texts):
            yield Document(name, title, text, ends=ends)
        census.dropped.update({"empty": 1} if text is None else {})
        return
    lines = _lines(texts)
    numbered = _by_line(lines) if unit == "line" else _by_block(lines)
    for number, group in groupby(numbered, itemgetter(0)):
        census.pages += 1
        for text, ends in in_pieces(fragment for _, fragment in group):
            yield Document(f"{name}:{number}", f"{title}:{number}", text, ends=ends)


def in_pieces(fragments: Iterable[str], size: int = MAX_PART) -> Iterator[tuple[str, bool]]:
    """The same text in pieces of `size` characters, the last one shorter, and whether it is that; none if empty."""
    held: list[str] = []
    length = 0
    for fragment in fragments:
        held.append(fragment)
        length += len(fragment)
        if length > size:
            text = "".join(held)
            *starts, last = range(0, length, size)
            for start in starts:
                yield text[start : start + size], False
            held, length = [text[last:]], length - last
    if length:
        yield "".join(held), True


def _by_line(lines: Iterable[_Line]) -> Iterator[tuple[int, str]]:
    for line in lines:
        if not line.blank:
            yield line.number, line.text


def _by_block(lines: Iterable[_Line]) -> Iterator[tuple[int, str]]:
    """Lines between blank ones, with the line ends between them."""
    number, between = 0, None
    for line in lines:
        if line.blank:
            between = None
            continue
        if between is None:
            number += 1
        yield number, (between or "") + line.text
        between = line.end


def _lines(texts: Iterable[str]) -> Iterator[_Line]:
    number, kept, begun = 1, "", False
    for text in texts:
        *lines, kept = (kept + text).split("\n")
        for line in lines:
            content = line.removesuffix("\r")
            yield _Line(number, content, "\r\n" if content != line else "\n", not begun and not content.strip(" \t"))
            number, begun = number + 1, False
        if len(kept) > MAX_PART:  # all but the last character, which may be half of a line's end
            yield _Line(number, kept[:-1], "", blank=False)
            kept, begun = kept[-1], True
    if kept:
        yield _Line(number, kept, "", not begun and not kept.strip(" \t"))
