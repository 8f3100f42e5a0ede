"""The cells of a table -> the text, the label and the tags of an example. Errors say where the cell is.

place   the row, as a message names it: `names.tsv:12` or `row 12 of names.parquet`
"""

import math
from collections.abc import Sequence
from typing import cast

from charlm.errors import DataError
from charlm.text.examples.example import ExampleCounts
from charlm.text.reading.decoding import OnError

NO_TAG = "_"
"""Stands for no tag, in a text of tags."""

_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def read_text(value: object, place: str, column: str, on_error: OnError, counts: ExampleCounts) -> str:
    """Return a text; empty if there is none.

    Raises:
        DataError: it is not text, or has a lone surrogate, which UTF-8 cannot encode.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(
            f"{place} has {value!r:.40}, which is not text, in the column {column!r}", "name the column with the text"
        )
    clean = value if value.isascii() else value.translate(_SURROGATES)
    if clean != value:
        if on_error == "strict":
            raise DataError(
                f"{place} has a lone surrogate, which is not a character", "add --errors replace, or repair the row"
            )
        counts.notes.append(f"{place}: lone surrogates were replaced by U+FFFD")
    return clean


def read_label(value: object, place: str, column: str) -> str | None:
    """Return a label: a text, a number or a truth value as text; None if the cell is empty.

    Raises:
        DataError: it is something else.
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str | int | float):
        raise DataError(
            f"{place} has {value!r:.40}, which is not one label, in the column {column!r}",
            "name the column with the label; several labels for a document are not supported",
        )
    return _check_utf8(str(value), place)


def read_tags(value: object, text: str, place: str, column: str) -> tuple[str | None, ...]:
    """Return the tags of a text, one for each character, None where there is none.

    Raises:
        DataError: they are not tags, or their number is not that of the characters.
    """
    items: Sequence[object]
    if value is None:
        items = [None] * len(text)
    elif isinstance(value, str):
        items = [None if tag == NO_TAG else tag for tag in value.split()]
    elif isinstance(value, list):
        items = cast("list[object]", value)
    else:
        raise DataError(
            f"{place} has {value!r:.40} in the column {column!r}",
            "give a list of tags, or a text of tags with blanks between",
        )
    if len(items) != len(text):
        raise DataError(
            f"{place} has {len(items):,} tags for {len(text):,} characters",
            f"give a tag for each character of the text, blanks too; null in a list, or {NO_TAG} in a text of tags, is"
            " no tag",
        )
    return tuple(_read_tag(item, place) for item in items)


def _read_tag(item: object, place: str) -> str | None:
    if item is None or item == "":
        return None
    if not isinstance(item, str | int):
        raise DataError(f"{place} has {item!r:.40}, which is not a tag", "give tags as texts")
    return _check_utf8(str(item), place)


def _check_utf8(name: str, place: str) -> str:
    if not name.isascii() and name.translate(_SURROGATES) != name:
        raise DataError(f"{place} has a lone surrogate in {name!r}", "repair the row")
    return name
