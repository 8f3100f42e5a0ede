"""What precedes the root element of an export: refused before it reaches the parser if it may do harm."""

import re
from collections.abc import Iterator
from typing import cast

from charlm.errors import DataError
from charlm.text.reading.unpacking import ReadableFile, is_json, json_error

MAX_MARKUP_CHARACTERS = 1_000_000
"""Characters of a comment or an attribute, at most."""
_PROLOG = re.compile(r"\ufeff?(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_ENCODING = re.compile(r"\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([\w.-]+)")
_CODECS = {b"\xff\xfe": "utf-16-le", b"<\0": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\0<": "utf-16-be"}


def doctype_error(path: ReadableFile) -> DataError:
    return DataError(
        f"{path} declares a DOCTYPE or entities, which no MediaWiki dump does", "download the dump from its wiki"
    )


def check_prolog(path: ReadableFile, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, once what precedes the root element is known to be harmless.

    Raises:
        DataError: a DOCTYPE, an encoding other than UTF-8 or UTF-16, or JSON.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        codec = _CODECS.get(head[:2], "utf-8")
        prolog = head.decode(codec, errors="replace")
        rest = prolog[cast("re.Match[str]", _PROLOG.match(prolog)).end() :]
        if rest.startswith("<!") and not "<!--".startswith(rest[:4]):
            raise doctype_error(path)
        if is_json(rest):
            raise json_error(path)
        declared = _ENCODING.match(prolog.removeprefix("\ufeff"))
        if declared and not declared[1].lower().startswith(codec[:6].rstrip("-")):
            raise DataError(f"{path} declares the encoding {declared[1]}", "give a dump in UTF-8 or UTF-16")
        if rest and not rest.startswith(("<!", "<?")) and rest != "<":
            break  # the root element, or something that the parser reports as malformed
        if len(head) > MAX_MARKUP_CHARACTERS:
            raise DataError(
                f"{path} has more than {MAX_MARKUP_CHARACTERS:,} bytes before its first tag", "download the dump again"
            )
    yield head
    yield from chunks
