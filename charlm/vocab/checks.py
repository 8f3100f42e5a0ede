"""Checks of what a vocabulary is given: ids to decode, the training text, and the content of vocab.json."""

from collections.abc import Iterable
from operator import index
from typing import cast

from charlm.errors import DataError, UsageError


def check_ids(ids: Iterable[int], size: int) -> list[int]:
    """Return ids as a list. A negative one would count from the end of a table, and a float would be cut.

    Raises:
        UsageError: these are not ids of a vocabulary of this size.
    """
    try:
        found = list(map(index, ids))
    except TypeError as error:
        raise UsageError(f"these are not ids: {error}", "give whole numbers, such as `encode` returns") from error
    wrong = next((token for token in found if not 0 <= token < size), None)
    if wrong is not None:
        cure = f"give ids from 0 to {size - 1:,}, such as `encode` returns"
        raise UsageError(f"{wrong} is not an id of this vocabulary", cure)
    return found


def check_distinct_characters(distinct_characters: int) -> None:
    """Check that there is something to predict.

    Raises:
        DataError: the text has fewer than two different characters.
    """
    if distinct_characters < 2:
        raise DataError(
            f"the training text has {distinct_characters} different characters",
            "give text with at least two different characters",
        )


def check_strings(content: object) -> list[str]:
    """Return a list of strings from vocab.json; TypeError or ValueError if it is not one, or has lone surrogates."""
    items = cast("list[object]", content) if isinstance(content, list) else None
    if items is None or not all(isinstance(item, str) for item in items):
        raise TypeError("not a list of strings")
    texts = cast("list[str]", items)
    "".join(texts).encode("utf-8")  # UnicodeEncodeError is a ValueError
    return texts
