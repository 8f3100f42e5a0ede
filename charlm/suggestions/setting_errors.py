"""Explain a validation error of pydantic: WHAT is wrong with a setting, and the CURE for its file or command line.

an unknown key  ──> the nearest key, or the type of the table that has it
a wrong word    ──> the nearest word, or the setting that has it among its values
a wrong value   ──> the value as it is read, in a line that can be copied
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from charlm.suggestions.setting_keys import find_assignment, suggest_key, type_of
from charlm.suggestions.values import as_list, as_toml, guess_number
from charlm.suggestions.words import format_value, nearest, suggest, to_text

Explanation = tuple[str, str]
"""WHAT and CURE."""

_BOUNDS = {"ge": "{} or more", "gt": "more than {}", "le": "{} or less", "lt": "less than {}"}
_TYPES: dict[str, Explanation] = {
    "int_type": ("should be a whole number (an integer)", "write a number such as 2, without quotes"),
    "int_from_float": ("should be a whole number (an integer)", "write it without a decimal point"),
    "float_type": ("should be a number", "write a number such as 0.5, without quotes"),
    "bool_type": ("should be true or false", "write true or false, without quotes"),
    "finite_number": ("should be a finite number", "write a number such as 0.5"),
    "dict_type": ("should be a table", "set its keys"),
}


@dataclass(frozen=True)
class ErrorLocation:
    """The key that a validation error is about, and the classes around it."""

    keys: list[str]
    """The parts of the key, without the tags of unions."""
    owner_classes: list[type[BaseModel]]
    """The classes that may own the last part: one class, unless its table has no valid type."""
    sibling_classes: list[type[BaseModel]]
    """The members of the owner's union; empty if it is not in a union."""
    value_classes: list[type[BaseModel]]
    """The classes that the key itself may hold."""

    @property
    def key(self) -> str:
        """Dotted, with the number of an entry in brackets: sources[0].type."""
        return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(self.keys))

    def assignment(self, *, in_file: bool) -> str:
        """Return how the setting is written, with {} for its value. `--set` does not reach the entries of a list."""
        if self.keys[-1].isdecimal():
            return "{}"
        return f"{self.keys[-1]} = {{}}" if in_file or "[" in self.key else f"--set '{self.key}={{}}'"

    @property
    def table(self) -> str:
        """The owner as a person calls it, such as `cell lstm`; empty if it is not chosen by a type."""
        type_of_owner = type_of(self.owner_classes[0]) if self.sibling_classes and self.owner_classes else ""
        *_, before, name = ["", "", *self.keys[:-1]]
        name = before.removesuffix("s") if name.isdecimal() else name  # an entry of `sources` is a source
        return f"{name} {type_of_owner}" if type_of_owner else ""


def explain(
    settings_class: type[BaseModel], location: ErrorLocation, problem: ErrorDetails, *, in_file: bool
) -> Explanation:
    """Return WHAT and CURE of pydantic's `problem`.

    Args:
        in_file: whether the setting is a line of a file, rather than an option.
    """
    context: dict[str, Any] = problem.get("ctx", {})
    key, value, kind = location.key, problem["input"], problem["type"]
    types = [type_of(member) for member in location.value_classes if type_of(member)]
    if kind == "extra_forbidden":
        return _explain_unknown_key(settings_class, location)
    if kind == "union_tag_not_found":
        return f"{key} has no type", f"write type = {' or '.join(map(repr, types))} in it"
    if kind in ("union_tag_invalid", "literal_error"):
        key = f"{key}.type" if kind == "union_tag_invalid" else key
        raw = str(context.get("expected_tags") or context.get("expected") or "")
        value = context.get("tag", value)
        cure = _suggest_value(settings_class, to_text(value), re.findall(r"'([^']*)'", raw) or [raw], in_file)
        return f"{key} = {format_value(value)} is not one of its values", cure
    if kind in ("model_type", "model_attributes_type") and location.value_classes:
        return f"{key} = {format_value(value)} is not a table", _suggest_table(location, value, types, in_file=in_file)
    if kind == "missing":
        return f"{key} is missing", f"set {key}"
    if kind == "value_error":
        message, _, cure = problem["msg"].removeprefix("Value error, ").partition("; ")
        return f"{key}: {message}" if key else message, cure or "give another value"
    assignment = location.assignment(in_file=in_file)
    what, cure = _explain_value(problem, context, assignment, is_table_list=bool(types))
    return f"{key} = {format_value(value)}: {what}", cure


def _explain_value(
    problem: ErrorDetails, context: dict[str, Any], assignment: str, *, is_table_list: bool
) -> Explanation:
    """Explain a wrong plain value or list; the cure is an `assignment` that can be copied."""
    kind, value = problem["type"], problem["input"]
    message = problem["msg"].removeprefix("Input ").removeprefix("Value ")
    message = message[:1].lower() + message[1:]
    bound = next((name for name in _BOUNDS if name in context), None)
    if bound is not None:
        return message, f"give {_BOUNDS[bound].format(context[bound])}"
    if kind in ("too_short", "too_long"):
        number = context.get("min_length", context.get("max_length"))
        amount = f"{'at least' if kind == 'too_short' else 'at most'} {number}"
        return f"should have {amount} {'entry' if number == 1 else 'entries'}", f"give {amount}"
    if kind == "tuple_type":
        return "should be a list", f"write {assignment.format(as_list(value, is_table_list=is_table_list))}"
    if kind == "string_type":
        return "should be a text", f"write it in quotes: {assignment.format(as_toml(to_text(value)))}"
    what, cure = _TYPES.get(kind) or (message, "give a value of that kind")
    is_integer = kind.startswith("int_")
    number = guess_number(to_text(value), is_integer=is_integer) if is_integer or kind == "float_type" else None
    return what, cure if number is None else f"write {assignment.format(number)}"


def _suggest_value(settings_class: type[BaseModel], value: str, allowed: list[str], in_file: bool) -> str:
    """Return the cure for a value that a setting does not allow: another setting that has it, or a similar value."""
    elsewhere = find_assignment(value, settings_class)
    if elsewhere is None:
        return suggest(value, allowed, "allowed are")
    meant = [f"{key} = {as_toml(word)}" if in_file else f"--set {key}={word}" for key, word in elsewhere]
    return f"did you mean {' '.join(meant)}? (allowed here are {', '.join(allowed)})"


def _suggest_table(location: ErrorLocation, value: object, types: list[str], *, in_file: bool) -> str:
    """Return the cure for a value instead of a table: the `type` that it means, or else an example of a key."""
    name = location.keys[-1] if location.keys else ""
    meant = nearest(value, types) if isinstance(value, str) else None
    if meant is None or name.isdecimal():
        first = next(iter(location.value_classes[0].model_fields))
        example = f'{{{first} = "..."}}' if name.isdecimal() else f"{location.key}.{first}".lstrip(".")
        return f"set its keys: {example}"
    of_type = replace(location, keys=[*location.keys, "type"])
    replacement = f'{name}.type = "{meant}"' if in_file else f"--set {of_type.key}={meant}"
    return f"write {replacement} (its types are {', '.join(types)})"


def _explain_unknown_key(settings_class: type[BaseModel], location: ErrorLocation) -> Explanation:
    """Explain a key that its table does not have; another type of the table may have it."""
    name, chosen = location.keys[-1], location.table
    names = list(location.owner_classes[0].model_fields) if location.owner_classes else []
    siblings = [member for member in location.sibling_classes if member not in location.owner_classes]
    types = " and ".join(type_of(member) for member in siblings if name in member.model_fields)
    what = f"there is no setting {location.key!r}" + (f" of the {chosen}" if chosen else "")
    introduction = f"the settings of {'.type '.join(chosen.split())} are" if chosen else "the settings there are"
    if not types:
        return what, suggest_key(".".join(location.keys), settings_class, names, introduction)
    listing = f"{introduction} {', '.join(names)}"
    return what, f"it belongs to {chosen.split()[0]}.type {types}; {listing}; set that type, or leave it out"
