"""enwik8 or enwik9 in chunks of bytes -> the text of text8, in pieces: words of `a` to `z`, each after one space.

    chunks ── cut after each `>` ──> inside <text ...>, no redirect ── _RULES ──> lower case, digits as words

The rules are those that Matt Mahoney published with text8 (https://mattmahoney.net/dc/textdata.html, Appendix A). They
keep what a reader sees in a browser, with captions and link texts, but without tables, references and links to other
languages. Their order matters, because each works on the result of the previous one. They see bytes, not characters:
an accented letter is a gap between words. Every rule takes linear time, also on hostile text: after a search without
success up to the next bracket it does not start again before that bracket.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from charlm.errors import DataError

_MAX_RECORD_BYTES = 64 << 20
"""Bytes without a `>`, at most; the longest article of any wiki has 2 MB."""
_REDIRECT = re.compile(rb"#redirect", re.IGNORECASE)


_Rule = Callable[[bytes], bytes]


def _remove(pattern: bytes) -> _Rule:
    """Return a rule that removes the matches of a pattern, whatever their case."""
    find = re.compile(pattern, re.IGNORECASE)
    return lambda text: find.sub(b"", text)


def _replace_up_to(closing: bytes, pattern: bytes, replacement: bytes) -> _Rule:
    """Return a rule that replaces matches; `pattern` must match at each of its beginnings if `closing` follows.

    `closing` is one character.
    """
    find = re.compile(pattern)

    def rule(text: bytes) -> bytes:
        end = (
            text.rfind(closing) + 1
        )  # nothing matches after it, and every beginning would be tried to the end of the text
        return find.sub(replacement, text[:end]) + text[end:]

    return rule


def _replace_closed(pattern: bytes, replacement: Callable[[re.Match[bytes]], bytes], flags: int = 0) -> _Rule:
    """Return a rule that replaces matches with the last, optional group. Matches without it are kept and not searched
    again, because no match that begins inside can have the group either."""
    find = re.compile(pattern, flags)
    return lambda text: find.sub(lambda found: found[0] if found[find.groups] is None else replacement(found), text)


_RULES: tuple[_Rule, ...] = (
    lambda text: re.sub(rb"<ref[^<]*</ref>", b"", text),
    _replace_up_to(b">", rb"<[^>]*>", b""),  # a tag
    lambda text: re.sub(rb"\[http:[^\] ]*", b"[", text),  # the address of a link, not its text
    _remove(rb"\|thumb"),
    _remove(rb"\|left"),
    _remove(rb"\|right"),
    _remove(rb"\|[0-9]+px"),
    _remove(rb"\[\[image:[^\[\]]*\|"),  # an image, but not its caption
    _replace_closed(rb"\[\[category:([^|\]]*+)[^\]]*+(\]\])?", lambda found: b"[[" + found[1] + b"]]", re.IGNORECASE),
    _replace_closed(rb"\[\[[a-z-]*:[^\]]*+(\]\])?", lambda _: b""),  # a link to another language or project
    _replace_closed(rb"\[\[[^|\]]*+(\|)?", lambda _: b"[["),  # the target of a link, not its text
    _replace_closed(rb"\{\{[^}]*+(\}\})?", lambda _: b""),  # a template
    _replace_up_to(b"}", rb"\{[^}]*\}", b""),  # a table
    lambda text: text.translate(None, b"[]"),
    _replace_up_to(b";", rb"&[^;]*;", b" "),  # an entity
)
_DIGITS = tuple(
    (str(digit).encode(), b" %s " % name)
    for digit, name in enumerate(b"zero one two three four five six seven eight nine".split())
)
_LETTERS = bytes(byte | 0x20 if chr(byte).isascii() and chr(byte).isalpha() else 0x20 for byte in range(256))
"""Table of bytes: A-Z become a-z, a-z stay, all others become a space."""


def text8_words(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text in pieces, each empty or ` word word ... word`.

    Raises:
        DataError: not XML: 64 MB without a `>`.
    """
    in_text = False
    for record in _records(chunks):
        if b"<text " in record:
            in_text = True
        if in_text and _REDIRECT.search(record):
            in_text = False
        if in_text:
            in_text = b"</text>" not in record
            yield _words(record)


def _records(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes, cut after each `>`."""
    buffer: list[bytes] = []
    buffered_bytes = 0
    for chunk in chunks:
        *records, rest = chunk.split(b">")
        for record in records:
            yield b"".join((*buffer, record, b">"))
            buffer, buffered_bytes = [], 0
        buffer.append(rest)
        buffered_bytes += len(rest)
        if buffered_bytes > _MAX_RECORD_BYTES:
            raise DataError(
                f"{_MAX_RECORD_BYTES:,} bytes without an XML tag", "give enwik8 or enwik9 in the published form"
            )
    yield b"".join(buffer)


def _words(record: bytes) -> bytes:
    """Return the words of one record of wikitext in the form of text8."""
    text = _without_xml_tag(record).replace(b"&amp;", b"&").replace(b"&lt;", b"<").replace(b"&gt;", b">")
    for rule in _RULES:
        text = rule(text)
    for digit, name in _DIGITS:
        text = text.replace(digit, name)
    words = text.translate(_LETTERS).split()
    return b" " + b" ".join(words) if words else b""


def _without_xml_tag(record: bytes) -> bytes:
    """Return a record without the tag in its last line, from the first `<` to the final `>`."""
    start = record.find(b"<", record.rfind(b"\n") + 1)
    return record[:start] if start >= 0 and record.endswith(b">") else record
