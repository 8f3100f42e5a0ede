"""TOML file and `--set` overrides -> one frozen, fully typed settings object, or an error that names the place.

    file ──tomllib──> nested dict <── merge ── flags, --set key.path=value
                          └── Settings.model_validate (strict) ──> object   or   SettingsError: file:line, key, cure

Every package keeps its settings classes in its own torch-free `settings.py`. A kind of thing (cell, vocabulary,
source) is a union of classes told apart by `type`; where `type` is left out, the field's default decides.
"""

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from charlm.errors import SettingsError

Tree = dict[str, Any]
_LONGEST_SHOWN = 80  # characters of a value in a message
S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Base of all settings: frozen, strict (the string "2" is not the number 2), no unknown keys, no NaN."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _default_types(cls, content: object) -> object:
        """Give each table of a union the `type` of the field's default where it names none."""
        if not isinstance(content, dict):
            return content
        tree = dict(cast("Tree", content))
        for name, info in cls.model_fields.items():
            value = tree.get(name)
            if isinstance(value, dict) and "type" not in value:
                default_type = getattr(info.get_default(call_default_factory=True, validated_data={}), "type", None)
                if default_type is not None:
                    tree[name] = {"type": default_type, **cast("Tree", value)}
        return tree


@dataclass(frozen=True)
class Layer:
    """Raw settings and where each key came from, so that an error can point at it."""

    tree: Tree = field(default_factory=dict[str, Any])
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    """Dotted key -> "file:line" or the flag that set it."""

    def over(self, lower: "Layer") -> "Layer":
        """This layer's keys on top of `lower`'s."""
        return Layer(_merge(lower.tree, self.tree), {**lower.places, **self.places})


def read_toml(path: Path) -> Layer:
    """Parse a TOML file.

    Raises:
        SettingsError: the file is missing, not UTF-8, or not TOML.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 (byte {error.start})", "save it as UTF-8") from error
    except (ValueError, RecursionError) as error:  # a ValueError alone: a number of more than 4,300 digits
        raise SettingsError(f"{path} is not TOML: {error}", "mend that place") from error
    return Layer(freeze_lists(tree), dict(_key_lines(path, text)))


def parse_override(override: str) -> Layer:
    """`key.path=value` -> a layer. The value is read as TOML; what is not TOML is a string."""
    key, equals, raw = override.partition("=")
    key = key.strip()
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key):
        raise SettingsError(f"--set {override!r} is not KEY=VALUE", "write it like --set training.max_steps=1000")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):
        value = raw
    return place(key, freeze_lists(value), "--set")


def place(key: str, value: object, origin: str) -> Layer:
    """One value under a dotted key."""
    tree: Tree = {}
    *parents, name = key.split(".")
    table = tree
    for parent in parents:
        table = table.setdefault(parent, {})
    table[name] = value
    return Layer(tree, {key: origin})


def stack(layers: Iterable[Layer]) -> Layer:
    """Merge layers; later ones win."""
    merged = Layer()
    for layer in layers:
        merged = layer.over(merged)
    return merged


def validate(kind: type[S], layer: Layer) -> S:
    """Check the raw settings against `kind`.

    Raises:
        SettingsError: names file and line, key, what is allowed, and the nearest spelling.
    """
    try:
        return kind.model_validate(layer.tree)
    except ValidationError as error:
        raise _located(kind, layer, error) from None


def to_toml(settings: Settings) -> str:
    """The settings as TOML, defaults spelled out; what is None is left out."""
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`key: old -> new`, one line for every leaf in which two trees differ."""
    lines: list[str] = []
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(cast("Tree", before), cast("Tree", after), f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {before} -> {after}")
    return lines


def _merge(lower: Tree, upper: Tree) -> Tree:
    """Deep merge. A table that changes its `type` starts afresh: the old kind's keys would not fit the new one.

    Where only one of the two names a type both are kept, so that `--set` counts in any order; what does not fit is
    refused by name, never dropped.
    """
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            other_kind = "type" in below and value.get("type", below["type"]) != below["type"]
            merged[key] = value if other_kind else _merge(below, value)  # type: ignore[arg-type]
        else:
            merged[key] = value
    return merged


def freeze_lists(value: Any) -> Any:
    """TOML's and JSON's lists as the tuples that settings hold."""
    if isinstance(value, dict):
        return {key: freeze_lists(item) for key, item in cast("Tree", value).items()}
    if isinstance(value, list):
        return tuple(freeze_lists(item) for item in cast("list[Any]", value))
    return value


def _key_lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """Dotted key -> "file:line", from table headers and `key =` lines (a multi-line string may add harmless ones)."""
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            table = header[1] + "."
            yield header[1], f"{path}:{number}"
        elif key := re.match(r"\s*([\w.-]+)\s*=", line):
            yield table + key[1], f"{path}:{number}"


def _located(kind: type[Settings], layer: Layer, error: ValidationError) -> SettingsError:
    """The first problem of a ValidationError, in the user's terms."""
    problem = error.errors(include_url=False)[0]
    keys, owner = _resolve(kind, problem["loc"])
    if problem["type"] == "union_tag_invalid":
        keys.append("type")
    key = ".".join(keys)
    prefixes = (".".join(keys[:length]) for length in range(len(keys), 0, -1))
    origin = next((layer.places[prefix] for prefix in prefixes if prefix in layer.places), "")
    where = f"{origin}: " if origin else ""
    context = problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        names = list(owner.model_fields) if owner else []
        return SettingsError(f"{where}there is no setting {key!r}", suggest(keys[-1], names, "the settings there are"))
    if problem["type"] in ("union_tag_invalid", "literal_error"):
        raw = context.get("expected_tags") or context.get("expected") or ""
        allowed = re.findall(r"'([^']*)'", str(raw)) or [str(raw)]
        found = context.get("tag", problem["input"])
        return SettingsError(
            f"{where}{key} = {_shown(found)} is not one of its values", suggest(str(found), allowed, "allowed are")
        )
    if problem["type"] in ("model_type", "model_attributes_type") and owner:
        inner = next(settings_classes(owner.model_fields[keys[-1]].annotation))
        example = f"{key}.{next(iter(inner.model_fields))}"
        return SettingsError(f"{where}{key} = {_shown(problem['input'])} is not a table", f"set its keys: {example}")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return SettingsError(f"{where}{key + ': ' if key else ''}{message}", "give another value")
    return SettingsError(
        f"{where}{key} = {_shown(problem['input'])}: {message[0].lower()}{message[1:]}", "give a value of that kind"
    )


def _shown(value: object) -> str:
    """A value as a message shows it, however long it is."""
    try:
        text = repr(value)
    except ValueError:  # a number of more than 4,300 digits
        return "a huge number"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def suggest(found: str, allowed: Sequence[str], introduction: str) -> str:
    """The cure for a misspelled word: the nearest one, and all of them."""
    close = difflib.get_close_matches(found, allowed, n=1, cutoff=0.6)
    listing = f"{introduction} {', '.join(allowed)}" if allowed else "remove it"
    return f'did you mean "{close[0]}"? ({listing})' if close else listing


def _resolve(kind: type[Settings], location: Sequence[int | str]) -> tuple[list[str], type[Settings] | None]:
    """Pydantic's location -> the user's dotted key (without union tags), and the class that owns its last part."""
    keys: list[str] = []
    owner: type[Settings] | None = None
    candidates: list[type[Settings]] = [kind]
    for part in location:
        tagged = [c for c in candidates if "type" in c.model_fields and c.model_fields["type"].default == part]
        if len(candidates) > 1 and tagged:  # the tag that chose a member of the union, not a key
            candidates = tagged
            continue
        keys.append(str(part))
        owner = candidates[0] if candidates else None
        info = owner.model_fields.get(str(part)) if owner else None
        candidates = list(settings_classes(info.annotation)) if info else []
    return keys, owner


def settings_classes(annotation: Any) -> Iterator[type[Settings]]:
    """The settings classes that a field's type names: itself, or the members of its union."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, typing.Annotated, tuple):
        for argument in get_args(annotation):
            yield from settings_classes(argument)
