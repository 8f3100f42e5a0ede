"""Rewrite a value that a person wrote in another notation: 1e3, 1k, 10 000, 0,7, 50%, xz instead of a list."""

import json
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from charlm.formatting import shorten
from charlm.suggestions.words import MAX_VALUE_LENGTH, format_value

_MAX_DIGITS = 15  # of a number that is guessed
_POWERS_OF_TEN = {"": 0, "%": -2, "k": 3, "m": 6, "b": 9}


def guess_number(text: str, *, is_integer: bool) -> str | None:
    """Return the number that a person wrote in another notation (1e3, 1k, 10 000, 0,7, 50%, "5"), or None.

    Args:
        is_integer: whether the number has to be an integer; 1,000 then means a thousand.
    """
    bare = re.sub(r"[\s'\"_]", "", text).lower()
    has_thousands = is_integer and re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", bare)
    match = re.fullmatch(
        rf"(?P<number>[+-]?\d{{1,{_MAX_DIGITS}}}(?:[.]\d+)?(?:e[+-]?\d)?)(?P<scale>[%kmb]?)",
        bare.replace(",", "" if has_thousands else "."),
    )
    if match is None:
        return None
    number = Decimal(match["number"]).scaleb(_POWERS_OF_TEN[match["scale"]])
    if is_integer:
        return str(int(number)) if number == int(number) else None
    return f"{number.normalize():f}"


def parse_value(raw: str) -> Any:
    """Parse a value of TOML; if it is not TOML, return the string."""
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):
        return raw


def as_list(value: object, *, is_table_list: bool = False) -> str:
    """Write a single value, or several with commas between them, as a list: 1,4 -> [1, 4]; in a list of tables
    xz, bz2 -> [{type="xz"}, {type="bz2"}]."""
    if isinstance(value, Mapping):
        return f"[{_as_table(cast('Mapping[str, object]', value))}]"
    parts = [part.strip() for part in value.strip("()").split(",")] if isinstance(value, str) else [value]
    if is_table_list:
        return f"[{', '.join(_as_table({'type': part}) for part in parts)}]"
    return f"[{', '.join(as_toml(parse_value(part) if isinstance(part, str) else part) for part in parts)}]"


def _as_table(table: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}={as_toml(value)}" for key, value in table.items()) + "}"


def as_toml(value: object) -> str:
    """Write a plain value as TOML."""
    if isinstance(value, str):
        return shorten(json.dumps(value, ensure_ascii=False), MAX_VALUE_LENGTH)
    if isinstance(value, bool):
        return str(value).lower()
    return format_value(value) if isinstance(value, int | float) else "..."
