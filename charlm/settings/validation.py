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
from charlm.settings.messages import as_toml, plain, shown, written
from charlm.settings.suggestions import nearest, settings_with, suggest, suggest_key

S = TypeVar("S", bound=Settings)


def validate(kind: type[S], layer: Layer) -> S:
    """Check the raw settings against `kind`.

    Raises:
        SettingsError: names file and line, key, what is allowed, and the nearest spelling.
    """
    try:
        return kind.model_validate(layer.tree)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        found = _resolve(kind, problem["loc"])
        is_missing = problem["type"] == "missing"  # then it is the table that somebody has set
        origin = _origin(layer, found.keys[:-1] if is_missing else found.keys, problem["msg"])
        what, cure = _explain(kind, found, problem, in_file=":" in origin)
        raise SettingsError(f"{origin}: {what}" if origin else what, cure) from None


@dataclass(frozen=True)
class _Place:
    """Where pydantic stopped."""

    keys: list[str]
    """The parts of the key, without the tags of unions."""
    owners: list[type[Settings]]
    """The classes that may own the last part; one, unless its table has no valid type."""
    siblings: list[type[Settings]]
    """The members of the union that the owner is one of; empty where it is of none."""
    inner: list[type[Settings]]
    """The classes that the key itself may hold."""

    @property
    def key(self) -> str:
        return _readable(self.keys)

    def assignment(self, *, in_file: bool) -> str:
        """How the setting is written, with {} for its value. `--set` does not reach into the entries of a list."""
        if self.keys[-1].isdecimal():
            return "{}"
        return f"{self.keys[-1]} = {{}}" if in_file or "[" in self.key else f"--set '{self.key}={{}}'"

    @property
    def table(self) -> str:
        """The owner as a person calls it: `the cell lstm`; empty where it is not chosen by a type."""
        type_of_owner = self.owners[0].model_fields["type"].default if self.siblings and self.owners else ""
        *_, before, name = ["", "", *self.keys[:-1]]
        name = before.removesuffix("s") if name.isdecimal() else name  # an entry of `sources` is a source
        return f"{name} {type_of_owner}" if type_of_owner else ""


def _resolve(kind: type[Settings], location: Iterable[int | str]) -> _Place:
    """Pydantic's location -> the user's key, and the classes around it."""
    keys: list[str] = []
    owners: list[type[Settings]] = []
    siblings: list[type[Settings]] = []
    candidates: list[type[Settings]] = [kind]
    union: list[type[Settings]] = []
    for part in location:
        tagged = [c for c in candidates if "type" in c.model_fields and c.model_fields["type"].default == part]
        if len(candidates) > 1 and tagged:  # the tag that chose a member of the union, not a key
            union, candidates = candidates, tagged
            continue
        keys.append(str(part))
        if isinstance(part, int):  # an entry of a list: the same classes
            continue
        owners, siblings = candidates, union
        info = owners[0].model_fields.get(part) if owners else None
        candidates, union = list(settings_classes(info.annotation)) if info else [], []
    return _Place(keys, owners, siblings, candidates)


def _explain(kind: type[Settings], found: _Place, problem: ErrorDetails, *, in_file: bool) -> tuple[str, str]:
    """What is wrong, and what to do: in the file that it came from, or else on the command line."""
    context: dict[str, Any] = problem.get("ctx", {})
    key, value, problem_type = found.key, problem["input"], problem["type"]
    if problem_type == "extra_forbidden":
        return _unknown(kind, found)
    if problem_type == "union_tag_not_found":
        allowed = [member.model_fields["type"].default for member in found.inner]
        return f"{key} has no type", f"write type = {' or '.join(repr(name) for name in allowed)} in it"
    if problem_type in ("union_tag_invalid", "literal_error"):
        key = f"{key}.type" if problem_type == "union_tag_invalid" else key
        raw = context.get("expected_tags") or context.get("expected") or ""
        allowed = re.findall(r"'([^']*)'", str(raw)) or [str(raw)]
        value = context.get("tag", value)
        return f"{key} = {shown(value)} is not one of its values", _other_value(kind, written(value), allowed, in_file)
    if problem_type in ("model_type", "model_attributes_type") and found.inner:
        return f"{key} = {shown(value)} is not a table", _key_instead(found, value, in_file=in_file)
    if problem_type == "missing":
        return f"{key} is missing", f"set {key}"
    if problem_type == "value_error":
        message, _, cure = problem["msg"].removeprefix("Value error, ").partition("; ")
        return f"{key}: {message}" if key else message, cure or "give another value"
    assignment = found.assignment(in_file=in_file)
    of_tables = any("type" in member.model_fields for member in found.inner)
    message, cure = plain(problem_type, problem["msg"], value, context, assignment, of_tables=of_tables)
    return f"{key} = {shown(value)}: {message}", cure


def _other_value(kind: type[Settings], value: str, allowed: list[str], in_file: bool) -> str:
    """The cure for a value that a setting does not have: another one may, or else a similar one is meant."""
    elsewhere = settings_with(value, kind)
    if elsewhere is None:
        return suggest(value, allowed, "allowed are")
    meant = [f"{key} = {as_toml(word)}" if in_file else f"--set {key}={word}" for key, word in elsewhere]
    return f"did you mean {' '.join(meant)}? (allowed here are {', '.join(allowed)})"


def _key_instead(found: _Place, value: object, *, in_file: bool) -> str:
    """The cure for a value in the place of a table: the `type` that it names, or may have meant; or else some key."""
    types = [member.model_fields["type"].default for member in found.inner if "type" in member.model_fields]
    meant = nearest(value, types) if isinstance(value, str) else None
    if meant is None or found.keys[-1].isdecimal():
        return f"set its keys: {_example(found, next(iter(found.inner[0].model_fields)))}"
    of_type = replace(found, keys=[*found.keys, "type"])
    written_so = f'{found.keys[-1]}.type = "{meant}"' if in_file else f"--set {of_type.key}={meant}"
    return f"write {written_so} (its types are {', '.join(types)})"


def _example(found: _Place, name: str) -> str:
    if not found.keys:
        return name
    return f'{{{name} = "..."}}' if found.keys[-1].isdecimal() else f"{found.key}.{name}"


def _unknown(kind: type[Settings], found: _Place) -> tuple[str, str]:
    """A key that its table does not have; some other type of the table may."""
    name = found.keys[-1]
    names = list(found.owners[0].model_fields) if found.owners else []
    others = [member for member in found.siblings if name in member.model_fields and member not in found.owners]
    chosen = found.table
    what = f"there is no setting {found.key!r}" + (f" of the {chosen}" if chosen else "")
    introduction = f"the settings of {'.type '.join(chosen.split())} are" if chosen else "the settings there are"
    if not others:
        return what, suggest_key(".".join(found.keys), kind, names, introduction)
    types = " and ".join(member.model_fields["type"].default for member in others)
    listing = f"{introduction} {', '.join(names)}"
    return what, f"it belongs to {chosen.split()[0]}.type {types}; {listing}; set that type, or leave it out"


def _readable(keys: list[str]) -> str:
    """Dotted, with the number of an entry in brackets: sources[0].type."""
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(keys))


def _origin(layer: Layer, keys: list[str], message: str) -> str:
    """Where the key was set. Of a table: where what the message names was set, by the uppermost layer that did; or
    else what that layer has set in it."""
    key = ".".join(keys)
    below = [other for other in layer.places if not key or other == key or other.startswith(f"{key}.")]
    if below:
        named = [other for other in below if re.search(rf"\b{re.escape(other.rpartition('.')[2])}\b", message)]
        last = layer.places[(named or below)[-1]]
        header = layer.places.get(key, "")
        same_file = header.rpartition(":")[0] == last.rpartition(":")[0] != ""
        return header if same_file and not named else last
    prefixes = (".".join(keys[:length]) for length in range(len(keys) - 1, 0, -1))
    return next((layer.places[prefix] for prefix in prefixes if prefix in layer.places), "")
