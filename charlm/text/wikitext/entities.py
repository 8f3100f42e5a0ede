"""Character references: &eacute; -> é."""

import html
import re
from functools import lru_cache
from html.entities import html5

_ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,7}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_BLOCK_MARKERS = frozenset("*#:;=- \n\xa0")


def decode_entities(text: str, mark: str = "") -> str:
    """Decode each reference once ("&amp;lt;" becomes "&lt;"); unknown references stay.

    `mark` precedes each decoded character that would begin a block at the start of a line, and follows an equals sign,
    which would end a heading.
    """
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda match: _decode(match[0], mark), text)


@lru_cache(maxsize=4096)
def _decode(entity: str, mark: str) -> str:
    decoded = html.unescape(entity) if entity[1] == "#" else html5.get(entity[1:], entity)
    if not mark or decoded[:1] not in _BLOCK_MARKERS:
        return decoded
    return f"{mark}={mark}" if decoded == "=" else mark + decoded.replace("\n", " ")
