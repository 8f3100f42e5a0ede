"""The text of a file -> one document, or one for each block or line; long documents come in pieces.

    text in fragments ── rechunk_text ──> pieces of at most MAX_PART_CHARACTERS             documents = "file"
                      ── lines ── groups ── rechunk_text ──> pieces of each block or line   documents = "block", "line"

Only `\\n` and `\\r\\n` end a line; `\\r` alone, U+0085 and U+2028 are ordinary characters.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Literal, NamedTuple

from charlm.text.document import Document, PageCounts
from charlm.text.split import MAX_PART_CHARACTERS

DocumentUnit = Literal["file", "block", "line"]


class _Line(NamedTuple):
    """A line, or a piece of a long line; `end` is empty in all pieces but the last."""

    number: int
    text: str
    end: str
    blank: bool
    """Whether it has only spaces and tabs."""


def read_documents(
    name: str, title: str, texts: Iterable[str], unit: DocumentUnit, page_counts: PageCounts
) -> Iterator[Document]:
    """Yield the documents of one file and count them; ids are `name`, or `name:N` for block or line N, from 1."""
    if unit == "file":
        page_counts.pages += 1
        text = None
        for text, is_last in rechunk_text(texts):
            yield Document(name, title, text, is_last_piece=is_last)
        page_counts.dropped.update({"empty": 1} if text is None else {})
        return
    lines = _lines(texts)
    numbered = _by_line(lines) if unit == "line" else _by_block(lines)
    for number, group in groupby(numbered, itemgetter(0)):
        page_counts.pages += 1
        for text, is_last in rechunk_text(fragment for _, fragment in group):
            yield Document(f"{name}:{number}", f"{title}:{number}", text, is_last_piece=is_last)


def rechunk_text(fragments: Iterable[str], size: int = MAX_PART_CHARACTERS) -> Iterator[tuple[str, bool]]:
    """Yield the text in pieces of `size` characters, each with whether it is the last; nothing for an empty text."""
    buffer: list[str] = []
    length = 0
    for fragment in fragments:
        buffer.append(fragment)
        length += len(fragment)
        if length > size:
            text = "".join(buffer)
            *starts, last = range(0, length, size)
            for start in starts:
                yield text[start : start + size], False
            buffer, length = [text[last:]], length - last
    if length:
        yield "".join(buffer), True


def _by_line(lines: Iterable[_Line]) -> Iterator[tuple[int, str]]:
    for line in lines:
        if not line.blank:
            yield line.number, line.text


def _by_block(lines: Iterable[_Line]) -> Iterator[tuple[int, str]]:
    """Yield the lines between blank lines, with the line ends between them, each with the number of its block."""
    number, separator = 0, None
    for line in lines:
        if line.blank:
            separator = None
            continue
        if separator is None:
            number += 1
        yield number, (separator or "") + line.text
        separator = line.end


def _lines(texts: Iterable[str]) -> Iterator[_Line]:
    number, partial_line, in_long_line = 1, "", False
    for text in texts:
        *lines, partial_line = (partial_line + text).split("\n")
        for line in lines:
            content = line.removesuffix("\r")
            yield _Line(
                number, content, "\r\n" if content != line else "\n", not in_long_line and not content.strip(" \t")
            )
            number, in_long_line = number + 1, False
        if len(partial_line) > MAX_PART_CHARACTERS:  # keep the last character: it may be the `\r` of a line end
            yield _Line(number, partial_line[:-1], "", blank=False)
            partial_line, in_long_line = partial_line[-1], True
    if partial_line:
        yield _Line(number, partial_line, "", not in_long_line and not partial_line.strip(" \t"))
