"""The keys and values of a settings class, and the search for the one that a wrong name means.

A settings class is a pydantic model. A field whose type is another one, or a union of several told apart by `type`, is
a table: its fields are keys below it.
"""

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from charlm.suggestions.words import SIMILAR_CUTOFF, TYPO_CUTOFF, similar, suggest

_MAX_KEYS = 3

Assignment = tuple[str, str]
"""A dotted key, and a value for it."""


@dataclass(frozen=True)
class _Setting:
    """One field below a settings class."""

    key: str
    annotation: Any
    needed: tuple[Assignment, ...]
    """The types that have to be chosen for the key to exist, except those that are chosen by default."""

    @property
    def types(self) -> list[str]:
        """The values of its `type`, if it is a table that has one."""
        return [type_of(table) for table in _tables(self.annotation) if type_of(table)]


def suggest_key(key: str, settings_class: type[BaseModel], names: Sequence[str], introduction: str) -> str:
    """Return the cure for an unknown key: the nearest of the `names` of its table, or the only one that ends in it,
    such as `vocab_size` for `size`; else the full keys with the same last part, such as `training.optimizer.lr`."""
    name = key.rpartition(".")[2].lstrip("-")
    listing = suggest(name, names, introduction)
    if similar(name, names, SIMILAR_CUTOFF):
        return listing
    longer = [other for other in names if other.endswith(f"_{name}")]
    if len(longer) == 1:
        return suggest(longer[0], names, introduction)
    full = [other for other in find_keys(name, settings_class, TYPO_CUTOFF) if other != key]
    return f"did you mean {' or '.join(full)}? ({listing})" if full else listing


def find_keys(name: str, settings_class: type[BaseModel], cutoff: float = 1.0) -> list[str]:
    """Return the full keys whose last part is `name`, or is as similar to it as `cutoff` says: the least deep ones,
    since a setting of an inner part is rarely meant. The list is empty if there are too many to name."""
    keys = list(dict.fromkeys(all_keys(settings_class)))
    leaves = {key.rpartition(".")[2] for key in keys}
    meant = [name] if name in leaves else similar(name, leaves, cutoff)
    fitting = [key for key in keys if key.rpartition(".")[2] in meant]
    full = [key for key in fitting if key.count(".") == min(other.count(".") for other in fitting)]
    return full if len(full) <= _MAX_KEYS else []


def all_keys(settings_class: type[BaseModel]) -> list[str]:
    """Return the dotted keys of all settings below a class, once for each type of a union that has them. Keys of the
    entries of a list are left out, since `--set` does not reach them."""
    return [setting.key for setting in _walk(settings_class)]


def type_names_at(key: str, settings_class: type[BaseModel]) -> list[str]:
    """Return the values of `key.type`, if the setting is a table that has one."""
    return list(dict.fromkeys(name for each in _walk(settings_class) if each.key == key for name in each.types))


def find_assignment(value: str, settings_class: type[BaseModel]) -> list[Assignment] | None:
    """Return the assignments that use a word as a value: `bpe` needs `corpus.vocab.type` to be `sentencepiece` and is
    a value of `corpus.vocab.model_type`. None if no setting has it, or if several equally simple ones do."""
    found: list[list[Assignment]] = []
    for setting in _walk(settings_class):
        if value in setting.types:
            found.append([*setting.needed, (f"{setting.key}.type", value)])
        if not setting.key.endswith(".type") and value in get_args(setting.annotation):
            found.append([*setting.needed, (setting.key, value)])
    found.sort(key=len)
    return found[0] if found and (len(found) == 1 or len(found[1]) > len(found[0])) else None


def type_of(table: type[BaseModel]) -> str:
    """Return the `type` of a class in a union, or an empty string if it has none."""
    return table.model_fields["type"].default if "type" in table.model_fields else ""


def _walk(settings_class: type[BaseModel], prefix: str = "", needed: tuple[Assignment, ...] = ()) -> Iterator[_Setting]:
    for name, info in settings_class.model_fields.items():
        key = f"{prefix}{name}"
        yield _Setting(key, info.annotation, needed)
        for table in _tables(info.annotation):
            is_default = type_of(table) in ("", getattr(info.default, "type", ""))
            yield from _walk(table, f"{key}.", needed if is_default else (*needed, (f"{key}.type", type_of(table))))


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the classes of a setting that is a table; a list of tables has none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, typing.Annotated):
        for argument in get_args(annotation):
            yield from _tables(argument)
