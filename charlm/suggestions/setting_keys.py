"""The keys and values of a settings class, and which of them was meant by one that it does not have.

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
    """The types that have to be chosen for the key to exist, but for those that are chosen by default."""

    @property
    def types(self) -> list[str]:
        """The values of its `type`, where it is a table that has one."""
        return [type_of(table) for table in _tables(self.annotation) if type_of(table)]


def suggest_key(key: str, settings_class: type[BaseModel], names: Sequence[str], introduction: str) -> str:
    """The cure for a key that is not there: the nearest of the `names` of its table; or else the full keys that end
    as it does, as `training.optimizer.lr` does where only `lr` was given."""
    name = key.rpartition(".")[2].lstrip("-")
    listing = suggest(name, names, introduction)
    if similar(name, names, SIMILAR_CUTOFF):
        return listing
    full = [other for other in find_keys(name, settings_class, TYPO_CUTOFF) if other != key]
    return f"did you mean {' or '.join(full)}? ({listing})" if full else listing


def find_keys(name: str, settings_class: type[BaseModel], cutoff: float = 1.0) -> list[str]:
    """The full keys that end in a name, or where none does, in what is as similar to it as `cutoff` says: those that
    are least deep, so that no setting of an inner part is meant. None where they are too many to name."""
    keys = all_keys(settings_class)
    leaves = {key.rpartition(".")[2] for key in keys}
    meant = [name] if name in leaves else similar(name, leaves, cutoff)
    fitting = [key for key in keys if key.rpartition(".")[2] in meant]
    full = [key for key in fitting if key.count(".") == min(other.count(".") for other in fitting)]
    return full if len(full) <= _MAX_KEYS else []


def all_keys(settings_class: type[BaseModel]) -> list[str]:
    """The dotted keys of all settings below a class, whatever the types of its unions. Those of the entries of a list
    are left out, since `--set` does not reach them."""
    return list(dict.fromkeys(setting.key for setting in _walk(settings_class)))


def type_names_at(key: str, settings_class: type[BaseModel]) -> list[str]:
    """The values of `key.type`, where the setting is a table that has one."""
    return list(dict.fromkeys(name for each in _walk(settings_class) if each.key == key for name in each.types))


def find_assignment(value: str, settings_class: type[BaseModel]) -> list[Assignment] | None:
    """What to set for a word to be a value somewhere, as `bpe` is one of `corpus.vocab.model_type` where
    `corpus.vocab.type` is `sentencepiece`; None unless one place is the simplest."""
    found: list[list[Assignment]] = []
    for setting in _walk(settings_class):
        if value in setting.types:
            found.append([*setting.needed, (f"{setting.key}.type", value)])
        if not setting.key.endswith(".type") and value in get_args(setting.annotation):
            found.append([*setting.needed, (setting.key, value)])
    found.sort(key=len)
    return found[0] if found and (len(found) == 1 or len(found[1]) > len(found[0])) else None


def type_of(table: type[BaseModel]) -> str:
    """The `type` that tells a class from the others of its union; empty where it has none."""
    return table.model_fields["type"].default if "type" in table.model_fields else ""


def _walk(settings_class: type[BaseModel], prefix: str = "", needed: tuple[Assignment, ...] = ()) -> Iterator[_Setting]:
    for name, info in settings_class.model_fields.items():
        key = f"{prefix}{name}"
        yield _Setting(key, info.annotation, needed)
        for table in _tables(info.annotation):
            is_default = type_of(table) in ("", getattr(info.default, "type", ""))
            yield from _walk(table, f"{key}.", needed if is_default else (*needed, (f"{key}.type", type_of(table))))


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """The classes of a setting that is a table; none of a list of tables."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, typing.Annotated):
        for argument in get_args(annotation):
            yield from _tables(argument)
