"""enwik8 or enwik9 in chunks of bytes -> the text of text8, in pieces: the words `a` to `z`, each after one space.

    chunks ── cut behind each `>` ──> within <text ...>, no redirect ── _RULES ──> lower case, digits spelled

The rules are those Matt Mahoney published with text8 (https://mattmahoney.net/dc/textdata.html, Appendix A: what a
reader sees in a browser, captions and link texts among it, without tables, references and links to other languages),
in his order, since each works on what the last has left. They see bytes, not characters: a letter with an accent is a
gap between words. Here every rule takes time in proportion to the text, however it was made up: where one has looked
in vain as far as the next bracket, it does not start again before it.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from charlm.errors import DataError

_MAX_RECORD_BYTES = 64 << 20
"""Bytes without a `>`: the longest article of any wiki has 2 MB."""
_REDIRECT = re.compile(rb"#redirect", re.IGNORECASE)


_Rule = Callable[[bytes], bytes]


def _remove(pattern: bytes) -> _Rule:
    """Without what fits, in capitals or not."""
    find = re.compile(pattern, re.IGNORECASE)
    return lambda text: find.sub(b"", text)


def _replace_up_to(closing: bytes, pattern: bytes, replacement: bytes) -> _Rule:
    """`replacement` for what fits; `pattern` must fit wherever it begins and `closing`, one character, follows."""
    find = re.compile(pattern)

    def rule(text: bytes) -> bytes:
        end = text.rfind(closing) + 1  # behind it nothing fits, and every beginning would be tried to the text's end
        return find.sub(replacement, text[:end]) + text[end:]

    return rule


def _replace_closed(pattern: bytes, replacement: Callable[[re.Match[bytes]], bytes], flags: int = 0) -> _Rule:
    """`replacement` for what fits with the last, optional group; what fits without it is kept and not searched again:
    nothing that begins there can end better."""
    find = re.compile(pattern, flags)
    return lambda text: find.sub(lambda found: found[0] if found[find.groups] is None else replacement(found), text)


_RULES: tuple[_Rule, ...] = (
    lambda text: re.sub(rb"<ref[^<]*</ref>", b"", text),
    _replace_up_to(b">", rb"<[^>]*>", b""),  # a tag
    lambda text: re.sub(rb"\[http:[^\] ]*", b"[", text),  # an address, but not its text
    _remove(rb"\|thumb"),
    _remove(rb"\|left"),
    _remove(rb"\|right"),
    _remove(rb"\|[0-9]+px"),
    _remove(rb"\[\[image:[^\[\]]*\|"),  # all but the caption
    _replace_closed(rb"\[\[category:([^|\]]*+)[^\]]*+(\]\])?", lambda found: b"[[" + found[1] + b"]]", re.IGNORECASE),
    _replace_closed(rb"\[\[[a-z-]*:[^\]]*+(\]\])?", lambda _: b""),  # a link to another language or project
    _replace_closed(rb"\[\[[^|\]]*+(\|)?", lambda _: b"[["),  # a link's target, but not its text
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
"""A-Z to a-z, a-z as they are, all else to a space."""


def text8_words(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text in pieces, each empty or ` word word ... word`.

    Raises:
        DataError: this is no XML: 64 MB without a `>`.
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
    """The bytes cut behind each `>`."""
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
                f"{_MAX_RECORD_BYTES:,} bytes without an XML tag", "give enwik8 or enwik9 as they were published"
            )
    yield b"".join(buffer)


def _words(record: bytes) -> bytes:
    """One record of wikitext as text8 has it."""
    text = _without_xml_tag(record).replace(b"&amp;", b"&").replace(b"&lt;", b"<").replace(b"&gt;", b">")
    for rule in _RULES:
        text = rule(text)
    for digit, name in _DIGITS:
        text = text.replace(digit, name)
    words = text.translate(_LETTERS).split()
    return b" " + b" ".join(words) if words else b""


def _without_xml_tag(record: bytes) -> bytes:
    """Without what stands between the first `<` and the `>` of the record's last line."""
    start = record.find(b"<", record.rfind(b"\n") + 1)
    return record[:start] if start >= 0 and record.endswith(b">") else record
