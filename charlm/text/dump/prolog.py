"""What may stand before the root of an XML document: no DOCTYPE, so no entities; and no encoding but Unicode."""

import re
from collections.abc import Iterator
from typing import cast

from charlm.errors import DataError
from charlm.text.reading.unpacking import ReadableFile

MAX_MARKUP_CHARACTERS = 1_000_000
"""Characters in a comment or an attribute."""
_PROLOG = re.compile(r"\ufeff?(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_ENCODING = re.compile(r"\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([\w.-]+)")
_CODECS = {b"\xff\xfe": "utf-16-le", b"<\0": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\0<": "utf-16-be"}


def doctype_error(path: ReadableFile) -> DataError:
    return DataError(f"{path} declares a DOCTYPE or entities", "no MediaWiki dump does; get it from its wiki")


def reject_doctype(path: ReadableFile, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, after a look at all that precedes the root element, so that no DOCTYPE reaches the parser."""
    head = b""
    for chunk in chunks:
        head += chunk
        codec = _CODECS.get(head[:2], "utf-8")
        prolog = head.decode(codec, errors="replace")
        rest = prolog[cast("re.Match[str]", _PROLOG.match(prolog)).end() :]
        if rest.startswith("<!") and not "<!--".startswith(rest[:4]):
            raise doctype_error(path)
        declared = _ENCODING.match(prolog.removeprefix("\ufeff"))
        if declared and not declared[1].lower().startswith(codec[:6].rstrip("-")):
            raise DataError(f"{path} is declared as {declared[1]}", "give a dump in UTF-8 or UTF-16")
        if rest and not rest.startswith(("<!", "<?")) and rest != "<":
            break  # the root element, or what the parser will call malformed
        if len(head) > MAX_MARKUP_CHARACTERS:
            raise DataError(
                f"{path} has more than {MAX_MARKUP_CHARACTERS:,} bytes before its first tag", "get the dump anew"
            )
    yield head
    yield from chunks
