"""What pydantic says of a value, in plain words, and what to write instead."""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

from charlm.settings.layers import parse_value

_MAX_VALUE_LENGTH = 80  # characters of a value in a message
_MAX_DIGITS = 15  # of a number that is guessed
_POWERS_OF_TEN = {"": 0, "%": -2, "k": 3, "m": 6, "b": 9}  # powers of ten
_BOUNDS = {"ge": "{} or more", "gt": "more than {}", "le": "{} or less", "lt": "less than {}"}
_TYPE_MESSAGES = {
    "int_type": ("should be a whole number (an integer)", "write a number such as 2, without quotes"),
    "int_from_float": ("should be a whole number (an integer)", "write it without a decimal point"),
    "float_type": ("should be a number", "write a number such as 0.5, without quotes"),
    "bool_type": ("should be true or false", "write true or false, without quotes"),
    "finite_number": ("should be a finite number", "write a number such as 0.5"),
    "dict_type": ("should be a table", "set its keys"),
}


def explain_value_error(
    problem: str, message: str, value: object, context: dict[str, Any], assignment: str, *, is_table_list: bool
) -> tuple[str, str]:
    """What is wrong with a value, and the cure.

    Args:
        problem: pydantic's name for it.
        message: pydantic's own words.
        context: what pydantic says beside, such as the bound.
        assignment: how the setting is written, with {} for its value.
        is_table_list: whether the setting is a list of tables that are told apart by their `type`.
    """
    bound = next((name for name in _BOUNDS if name in context), None)
    if bound is not None:
        return _lower_first(message), f"give {_BOUNDS[bound].format(context[bound])}"
    if problem in ("too_short", "too_long"):
        number = context.get("min_length", context.get("max_length"))
        bound_words = "at least" if problem == "too_short" else "at most"
        entries = "entry" if number == 1 else "entries"
        return f"should have {bound_words} {number} {entries}", f"give {bound_words} {number}"
    if problem == "tuple_type":
        return "should be a list", f"write {assignment.format(as_list(value, is_table_list=is_table_list))}"
    if problem == "string_type":
        return "should be a text", f"write it in quotes: {assignment.format(as_toml(to_text(value)))}"
    what, cure = _TYPE_MESSAGES.get(problem) or (_lower_first(message), "give a value of that kind")
    is_integer = problem.startswith("int_")
    number_text = guess_number(to_text(value), is_integer=is_integer) if is_integer or problem == "float_type" else None
    return what, cure if number_text is None else f"write {assignment.format(number_text)}"


def guess_number(text: str, *, is_integer: bool) -> str | None:
    """The number that a person has written in another way than it is read: 1e3, 1k, 10 000, 0,7, 50%, "5".

    Args:
        is_integer: whether it has to be an integer; 1,000 is a thousand then.
    """
    match = re.fullmatch(
        rf"(?P<number>[+-]?\d{{1,{_MAX_DIGITS}}}(?:[.]\d+)?(?:e[+-]?\d)?)(?P<scale>[%kmb]?)",
        _normalize_number(text, is_integer),
    )
    if match is None:
        return None
    number = Decimal(match["number"]).scaleb(_POWERS_OF_TEN[match["scale"]])
    if is_integer:
        return str(int(number)) if number == int(number) else None
    return f"{number.normalize():f}"


def _normalize_number(text: str, is_integer: bool) -> str:
    """Without quotes and blanks, with a point instead of a comma; of a whole number, without marks of thousands."""
    bare = re.sub(r"[\s'\"_]", "", text).lower()
    if is_integer and re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", bare):
        return bare.replace(",", "")
    return bare.replace(",", ".")


def as_list(value: object, *, is_table_list: bool = False) -> str:
    """The list that was meant by a single value, or by several with commas between them: 1,4 -> [1, 4]; or, of tables,
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
    """A plain value as TOML writes it."""
    if isinstance(value, str):
        return shorten(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bool):
        return str(value).lower()
    return format_value(value) if isinstance(value, int | float) else "..."


def format_value(value: object) -> str:
    """A value as a message shows it, however long it is."""
    return shorten(to_text(value, repr))


def shorten(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[: _MAX_VALUE_LENGTH - 3]}..."


def to_text(value: object, write: Callable[[object], str] = str) -> str:
    """A value as text, whatever it is."""
    try:
        return write(value)
    except ValueError:  # a number of more than 4,300 digits
        return "a huge number"


def _lower_first(message: str) -> str:
    """In the middle of a sentence, and about the value rather than an "input"."""
    message = message.removeprefix("Input ").removeprefix("Value ")
    return message[:1].lower() + message[1:]
