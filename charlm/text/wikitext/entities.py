"""Character references: &eacute; -> é."""

import html
import re
from html.entities import html5

_ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,7}|[a-zA-Z][a-zA-Z0-9]{1,31});")


def decode_entities(text: str) -> str:
    """Decode each reference once ("&amp;lt;" becomes "&lt;"); unknown references stay."""
    return _ENTITY.sub(_decode, text) if "&" in text else text


def _decode(found: re.Match[str]) -> str:
    entity = found[0]
    return html.unescape(entity) if entity[1] == "#" else html5.get(entity[1:], entity)
