"""Raw settings -> typed ones, or one line that says where they are wrong, in what, and what to write instead.

Layer ── pydantic, strict ──> Settings
            └── ValidationError, its first problem ── wording ──> WHAT; CURE   ── places ──> file:line or flag
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from charlm.errors import SettingsError
from charlm.settings.base import Settings, settings_classes
from charlm.settings.layers import Layer
from charlm.settings.messages import as_toml, explain_value_error, format_value, to_text
from charlm.settings.suggestions import find_assignment, nearest, suggest, suggest_key

S = TypeVar("S", bound=Settings)


def validate(settings_class: type[S], layer: Layer) -> S:
    """Check the raw settings against `settings_class`.

    Raises:
        SettingsError: names file and line, key, what is allowed, and the nearest spelling.
    """
    try:
        return settings_class.model_validate(layer.tree)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        error_location = _locate(settings_class, problem["loc"])
        is_missing = problem["type"] == "missing"  # then it is the table that somebody has set
        origin = _find_origin(layer, error_location.keys[:-1] if is_missing else error_location.keys, problem["msg"])
        what, cure = _explain(settings_class, error_location, problem, in_file=":" in origin)
        raise SettingsError(f"{origin}: {what}" if origin else what, cure) from None


@dataclass(frozen=True)
class _ErrorLocation:
    """Where pydantic stopped."""

    keys: list[str]
    """The parts of the key, without the tags of unions."""
    owner_classes: list[type[Settings]]
    """The classes that may own the last part; one, unless its table has no valid type."""
    sibling_classes: list[type[Settings]]
    """The members of the union that the owner is one of; empty where it is of none."""
    value_classes: list[type[Settings]]
    """The classes that the key itself may hold."""

    @property
    def key(self) -> str:
        return _format_key(self.keys)

    def assignment(self, *, in_file: bool) -> str:
        """How the setting is written, with {} for its value. `--set` does not reach into the entries of a list."""
        if self.keys[-1].isdecimal():
            return "{}"
        return f"{self.keys[-1]} = {{}}" if in_file or "[" in self.key else f"--set '{self.key}={{}}'"

    @property
    def table(self) -> str:
        """The owner as a person calls it: `the cell lstm`; empty where it is not chosen by a type."""
        type_of_owner = (
            self.owner_classes[0].model_fields["type"].default if self.sibling_classes and self.owner_classes else ""
        )
        *_, before, name = ["", "", *self.keys[:-1]]
        name = before.removesuffix("s") if name.isdecimal() else name  # an entry of `sources` is a source
        return f"{name} {type_of_owner}" if type_of_owner else ""


def _locate(settings_class: type[Settings], location: Iterable[int | str]) -> _ErrorLocation:
    """Pydantic's location -> the user's key, and the classes around it."""
    keys: list[str] = []
    owner_classes: list[type[Settings]] = []
    sibling_classes: list[type[Settings]] = []
    candidates: list[type[Settings]] = [settings_class]
    union: list[type[Settings]] = []
    for part in location:
        tagged = [c for c in candidates if "type" in c.model_fields and c.model_fields["type"].default == part]
        if len(candidates) > 1 and tagged:  # the tag that chose a member of the union, not a key
            union, candidates = candidates, tagged
            continue
        keys.append(str(part))
        if isinstance(part, int):  # an entry of a list: the same classes
            continue
        owner_classes, sibling_classes = candidates, union
        info = owner_classes[0].model_fields.get(part) if owner_classes else None
        candidates, union = list(settings_classes(info.annotation)) if info else [], []
    return _ErrorLocation(keys, owner_classes, sibling_classes, candidates)


def _explain(
    settings_class: type[Settings], error_location: _ErrorLocation, problem: ErrorDetails, *, in_file: bool
) -> tuple[str, str]:
    """What is wrong, and what to do: in the file that it came from, or else on the command line."""
    context: dict[str, Any] = problem.get("ctx", {})
    key, value, problem_type = error_location.key, problem["input"], problem["type"]
    if problem_type == "extra_forbidden":
        return _explain_unknown_key(settings_class, error_location)
    if problem_type == "union_tag_not_found":
        allowed = [member.model_fields["type"].default for member in error_location.value_classes]
        return f"{key} has no type", f"write type = {' or '.join(repr(name) for name in allowed)} in it"
    if problem_type in ("union_tag_invalid", "literal_error"):
        key = f"{key}.type" if problem_type == "union_tag_invalid" else key
        raw = context.get("expected_tags") or context.get("expected") or ""
        allowed = re.findall(r"'([^']*)'", str(raw)) or [str(raw)]
        value = context.get("tag", value)
        return f"{key} = {format_value(value)} is not one of its values", _suggest_value(
            settings_class, to_text(value), allowed, in_file
        )
    if problem_type in ("model_type", "model_attributes_type") and error_location.value_classes:
        return f"{key} = {format_value(value)} is not a table", _suggest_table_key(
            error_location, value, in_file=in_file
        )
    if problem_type == "missing":
        return f"{key} is missing", f"set {key}"
    if problem_type == "value_error":
        message, _, cure = problem["msg"].removeprefix("Value error, ").partition("; ")
        return f"{key}: {message}" if key else message, cure or "give another value"
    assignment = error_location.assignment(in_file=in_file)
    is_table_list = any("type" in member.model_fields for member in error_location.value_classes)
    message, cure = explain_value_error(
        problem_type, problem["msg"], value, context, assignment, is_table_list=is_table_list
    )
    return f"{key} = {format_value(value)}: {message}", cure


def _suggest_value(settings_class: type[Settings], value: str, allowed: list[str], in_file: bool) -> str:
    """The cure for a value that a setting does not have: another one may, or else a similar one is meant."""
    elsewhere = find_assignment(value, settings_class)
    if elsewhere is None:
        return suggest(value, allowed, "allowed are")
    meant = [f"{key} = {as_toml(word)}" if in_file else f"--set {key}={word}" for key, word in elsewhere]
    return f"did you mean {' '.join(meant)}? (allowed here are {', '.join(allowed)})"


def _suggest_table_key(error_location: _ErrorLocation, value: object, *, in_file: bool) -> str:
    """The cure for a value in the place of a table: the `type` that it names, or may have meant; or else some key."""
    types = [
        member.model_fields["type"].default for member in error_location.value_classes if "type" in member.model_fields
    ]
    meant = nearest(value, types) if isinstance(value, str) else None
    if meant is None or error_location.keys[-1].isdecimal():
        return f"set its keys: {_example_key(error_location, next(iter(error_location.value_classes[0].model_fields)))}"
    of_type = replace(error_location, keys=[*error_location.keys, "type"])
    replacement = f'{error_location.keys[-1]}.type = "{meant}"' if in_file else f"--set {of_type.key}={meant}"
    return f"write {replacement} (its types are {', '.join(types)})"


def _example_key(error_location: _ErrorLocation, name: str) -> str:
    if not error_location.keys:
        return name
    return f'{{{name} = "..."}}' if error_location.keys[-1].isdecimal() else f"{error_location.key}.{name}"


def _explain_unknown_key(settings_class: type[Settings], error_location: _ErrorLocation) -> tuple[str, str]:
    """A key that its table does not have; some other type of the table may."""
    name = error_location.keys[-1]
    names = list(error_location.owner_classes[0].model_fields) if error_location.owner_classes else []
    others = [
        member
        for member in error_location.sibling_classes
        if name in member.model_fields and member not in error_location.owner_classes
    ]
    chosen = error_location.table
    what = f"there is no setting {error_location.key!r}" + (f" of the {chosen}" if chosen else "")
    introduction = f"the settings of {'.type '.join(chosen.split())} are" if chosen else "the settings there are"
    if not others:
        return what, suggest_key(".".join(error_location.keys), settings_class, names, introduction)
    types = " and ".join(member.model_fields["type"].default for member in others)
    listing = f"{introduction} {', '.join(names)}"
    return what, f"it belongs to {chosen.split()[0]}.type {types}; {listing}; set that type, or leave it out"


def _format_key(keys: list[str]) -> str:
    """Dotted, with the number of an entry in brackets: sources[0].type."""
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(keys))


def _find_origin(layer: Layer, keys: list[str], message: str) -> str:
    """Where the key was set. Of a table: where what the message names was set, by the uppermost layer that did; or
    else what that layer has set in it."""
    key = ".".join(keys)
    keys_below = [other for other in layer.origins if not key or other == key or other.startswith(f"{key}.")]
    if keys_below:
        named = [other for other in keys_below if re.search(rf"\b{re.escape(other.rpartition('.')[2])}\b", message)]
        last = layer.origins[(named or keys_below)[-1]]
        header = layer.origins.get(key, "")
        same_file = header.rpartition(":")[0] == last.rpartition(":")[0] != ""
        return header if same_file and not named else last
    prefixes = (".".join(keys[:length]) for length in range(len(keys) - 1, 0, -1))
    return next((layer.origins[prefix] for prefix in prefixes if prefix in layer.origins), "")
