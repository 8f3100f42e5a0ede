"""Raw settings, and the line or option that each came from: read, merged and compared, but not checked.

    file, options, --set ──> Layer ── merge_layers, later ones win ──> Layer

A key is dotted; an entry of an array of tables has its number as a part: `corpus.source.sources.0.type`.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from charlm.errors import SettingsError
from charlm.suggestions.values import parse_value

Tree = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """Raw settings and the origin of each key, which errors point at."""

    tree: Tree = field(default_factory=dict[str, Any])
    origins: Mapping[str, str] = field(default_factory=dict[str, str])
    """Dotted key -> "file:line", or the option that set it; lower layers first."""

    def merge_over(self, lower: "Layer") -> "Layer":
        """Merge this layer over `lower`: its keys win."""
        tree = _merge(lower.tree, self.tree)
        kept = {
            key: origin
            for key, origin in lower.origins.items()
            if key not in self.origins and _has_key(tree, key.split("."))
        }
        return Layer(tree, {**kept, **self.origins})


def read_toml(path: Path) -> Layer:
    """Parse a TOML file.

    Raises:
        SettingsError: the file is missing, not UTF-8, or not TOML.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}", "check the path") from error
    try:
        text = content.decode("utf-8")
        tree = tomllib.loads(text)
    except UnicodeDecodeError as error:
        cure = "name a TOML file; this file is not text" if b"\0" in content else "save it as UTF-8"
        raise SettingsError(f"{path} is not UTF-8 (byte {error.start})", cure) from error
    except (ValueError, RecursionError) as error:  # a plain ValueError: a number of more than 4,300 digits
        is_twice = "Cannot overwrite" in str(error) or "twice" in str(error)
        cure = "remove one of the two lines of that key" if is_twice else "correct that line"
        raise SettingsError(f"{path} is not TOML: {error}", cure) from error
    return Layer(lists_to_tuples(tree), dict(_key_origins(path, text)))


def parse_override(override: str) -> Layer:
    """Parse `key.path=value` into a layer. The value is read as TOML; if it is not TOML it is a string."""
    key, equals, raw = override.partition("=")
    key = key.strip()
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key):
        raise SettingsError(f"--set {override!r} is not KEY=VALUE", f"write it like {_suggest_assignment(override)}")
    return single_value_layer(key, lists_to_tuples(parse_value(raw)), "--set")


def _suggest_assignment(override: str) -> str:
    """Correct an assignment: `training.max_steps: 5` -> `--set training.max_steps=5`, or else give an example."""
    found = re.fullmatch(r"\s*([\w-]+(?:\.[\w-]+)+)\s*(?:[:\s]\s*([\w.+-]+))?\s*", override)
    return f"--set {found[1]}={found[2] or 'VALUE'}" if found else "--set training.max_steps=1000"


def single_value_layer(key: str, value: object, origin: str) -> Layer:
    """Return a layer of one value; the origin holds for each key of a table."""
    tree: Tree = {}
    *parents, name = key.split(".")
    table = tree
    for parent in parents:
        table = table.setdefault(parent, {})
    table[name] = value
    return Layer(tree, dict.fromkeys([key, *_keys_below(key, value)], origin))


def merge_layers(layers: Iterable[Layer]) -> Layer:
    """Merge layers; later ones win."""
    merged = Layer()
    for layer in layers:
        merged = layer.merge_over(merged)
    return merged


@dataclass(frozen=True, slots=True)
class Difference:
    """A leaf that differs between two trees; the value is None in a tree that does not have it."""

    key: str
    old: object
    new: object

    def __str__(self) -> str:
        return f"{self.key}: {self.old} -> {self.new}"


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[Difference]:
    """Return all leaves in which two trees differ."""
    found: list[Difference] = []
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(cast("Tree", before), cast("Tree", after), f"{prefix}{key}.")
        elif before != after:
            found.append(Difference(f"{prefix}{key}", before, after))
    return found


def lists_to_tuples(value: Any) -> Any:
    """Turn the lists of TOML and JSON into the tuples that settings hold."""
    if isinstance(value, dict):
        return {key: lists_to_tuples(item) for key, item in cast("Tree", value).items()}
    if isinstance(value, list):
        return tuple(lists_to_tuples(item) for item in cast("list[Any]", value))
    return value


def _merge(lower: Tree, upper: Tree) -> Tree:
    """Merge deeply. A table whose `type` changes replaces the lower one, whose keys would not fit it.

    If only one of the two names a type, the keys of both are kept, so that the order of `--set` does not matter;
    validation refuses the keys that do not fit.
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


def _has_key(content: Any, parts: list[str]) -> bool:
    """Whether a tree has a key."""
    for part in parts:
        if isinstance(content, dict) and part in content:
            content = cast("Tree", content)[part]
        elif isinstance(content, tuple) and part.isdecimal() and int(part) < len(cast("tuple[Any, ...]", content)):
            content = cast("tuple[Any, ...]", content)[int(part)]
        else:
            return False
    return True


def _keys_below(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in cast("Tree", value).items():
            yield f"{key}.{name}"
            yield from _keys_below(f"{key}.{name}", inner)


def _key_origins(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """Yield each dotted key with "file:line", found by headers and `key =` (a multi-line string may add others)."""
    table = ""
    counts: dict[str, int] = {}  # tables of each array so far
    for number, line in enumerate(text.splitlines(), start=1):
        origin = f"{path}:{number}"
        if header := re.match(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]", line):
            is_entry = header[1] == "[["
            name = _number_entries(header[2], counts, is_entry)
            if is_entry:
                yield name, origin
                counts[name] = counts.get(name, 0) + 1
                name = f"{name}.{counts[name] - 1}"
            table = f"{name}."
            yield name, origin
        elif key := re.match(r"\s*([\w.-]+)\s*=", line):
            yield table + key[1], origin


def _number_entries(header: str, counts: Mapping[str, int], is_entry: bool) -> str:
    """Return the key of a table's header; inside an array of tables it has the number of the last entry."""
    name = ""
    parts = header.split(".")
    for position, part in enumerate(parts, start=1):
        name = f"{name}.{part.strip()}" if name else part.strip()
        if name in counts and not (is_entry and position == len(parts)):
            name = f"{name}.{counts[name] - 1}"
    return name
