"""The fields of a JSON object, with their types and ranges checked; null is the same as a field that is left out.

{"n": 2, "echo": null} ──JsonFields──> .whole_number("n", ...), .boolean("echo")       anything else: status 400
"""

from collections.abc import Collection, Mapping
from typing import Any, cast

from charlm.serving.api_error import invalid_field, out_of_range
from charlm.suggestions.words import format_value, suggest


class JsonFields:
    """The fields of one object."""

    def __init__(self, content: Mapping[str, Any], known: Collection[str]) -> None:
        """
        Args:
            known: the names of all fields that the object may have.

        Raises:
            ApiError: it has another one.
        """
        for name in content:
            if name not in known:
                raise invalid_field(name, f"{format_value(name)} is not known", suggest(name, [*known], "there are"))
        self._content = content

    def raw(self, name: str) -> Any:
        """A field of any type; None if it is left out."""
        return self._content.get(name)

    def text(self, name: str) -> str | None:
        value = self.raw(name)
        if value is not None and not isinstance(value, str):
            raise _wrong_type(name, value, "a string")
        return value

    def boolean(self, name: str) -> bool:
        """A truth value; False if it is left out."""
        value = self.raw(name)
        if value is not None and not isinstance(value, bool):
            raise _wrong_type(name, value, "true or false")
        return bool(value)

    def whole_number(self, name: str, low: int, high: int) -> int | None:
        value = self.raw(name)
        if value is None:
            return None
        if not is_whole_number(value):
            raise _wrong_type(name, value, "a whole number")
        if not low <= value <= high:
            raise out_of_range(name, value, f"give {low} to {high:,}")
        return value

    def number(self, name: str, low: float, high: float) -> float | None:
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(name, value, "a number")
        if not low <= value <= high:
            raise out_of_range(name, value, f"give {low:g} to {high:g}")
        return float(value)

    def texts(self, name: str, max_count: int, max_characters: int) -> tuple[str, ...]:
        """Several texts, or a single one without a list."""
        value = self.raw(name)
        items = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in cast("list[object]", items)):
            raise _wrong_type(name, value, "a string or a list of strings")
        texts = cast("list[str]", items)
        if len(texts) > max_count:
            raise invalid_field(name, f"{name} has {len(texts):,} strings", f"give at most {max_count}")
        if any(len(text) > max_characters for text in texts):
            cure = f"give at most {max_characters} characters each"
            raise invalid_field(name, f"{name} has a string that is too long", cure)
        return tuple(texts)

    def objects(self, name: str) -> dict[str, Any]:
        """An object within the object; empty if it is left out."""
        value = self.raw(name)
        if value is not None and not isinstance(value, dict):
            raise _wrong_type(name, value, "an object")
        return cast("dict[str, Any]", value or {})


def is_whole_number(value: object) -> bool:
    """Whether a value is an integer; a truth value is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_type(name: str, value: object, expected: str) -> Exception:
    return invalid_field(name, f"{name} {format_value(value)} has a wrong type", f"give {expected}")
