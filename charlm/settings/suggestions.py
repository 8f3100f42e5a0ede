"""What a misspelled word was meant to be: among words that are allowed, among all keys, among all values there are."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from charlm.settings.base import Settings, settings_classes

_MAX_KEYS = 3
_TYPO_CUTOFF, _SIMILAR_CUTOFF = 0.8, 0.6  # difflib's ratios: a slip of the finger, and what is worth a question
_MIN_STEM_LENGTH = 3

Assignment = tuple[str, str]
"""A dotted key, and a value for it."""


def suggest(found: str, allowed: Sequence[str], introduction: str) -> str:
    """The cure for a misspelled word: the nearest one, and all of them."""
    close = nearest(found, allowed)
    listing = f"{introduction} {', '.join(allowed)}" if allowed else "remove it"
    return f'did you mean "{close}"? ({listing})' if close is not None else listing


def nearest(found: str, allowed: Iterable[str], cutoff: float = _SIMILAR_CUTOFF) -> str | None:
    """The word that was meant: in other letters, misspelled (by as much as `cutoff`, difflib's ratio, says), longer or
    shorter by its end, or without the folder before it (`gru` for `ideas/gru`)."""
    words = {word.lower(): word for word in allowed}
    asked = found.lower()
    closest = difflib.get_close_matches(asked, words, n=1, cutoff=_TYPO_CUTOFF)
    stem = [word for word in words if min(len(word), len(asked)) >= _MIN_STEM_LENGTH and _is_affix(word, asked)]
    similar = difflib.get_close_matches(asked, words, n=1, cutoff=cutoff)
    return next((words[word] for word in (*closest, *stem, *similar)), None)


def _is_affix(word: str, other: str) -> bool:
    return word.startswith(other) or other.startswith(word) or word.endswith(f"/{other}")


def suggest_key(key: str, settings_class: type[Settings], names: Sequence[str], introduction: str) -> str:
    """The cure for a key that is not there: the nearest of the `names` of its table; or else the full keys that end
    as it does, as `training.optimizer.lr` does where only `lr` was given."""
    name = key.rpartition(".")[2].lstrip("-")
    if difflib.get_close_matches(name, names, n=1, cutoff=_SIMILAR_CUTOFF):
        return suggest(name, names, introduction)
    full = [other for other in find_keys(name, settings_class, _TYPO_CUTOFF) if other != key]
    if not full:
        return suggest(name, names, introduction)
    return f"did you mean {' or '.join(full)}? ({suggest(name, names, introduction)})"


def find_keys(name: str, settings_class: type[Settings], cutoff: float = 1.0) -> list[str]:
    """The full keys that end in a name, or where none does, in what is as similar to it as `cutoff` says: those that
    are least deep, so that no setting of an inner part is meant. None where they are too many to name."""
    keys = list(dict.fromkeys(all_keys(settings_class)))
    leaves = {key.rpartition(".")[2] for key in keys}
    meant = [name] if name in leaves else difflib.get_close_matches(name, leaves, n=1, cutoff=cutoff)
    fitting = [key for key in keys if key.rpartition(".")[2] in meant]
    depth = min((key.count(".") for key in fitting), default=0)
    full = [key for key in fitting if key.count(".") == depth]
    return full if len(full) <= _MAX_KEYS else []


def all_keys(settings_class: type[Settings], prefix: str = "") -> Iterator[str]:
    """The dotted keys of all settings below a class, whatever the types of its unions; a key of several types stands
    there as often. Those of the entries of a list are left out, since `--set` does not reach them."""
    for name, info in settings_class.model_fields.items():
        yield f"{prefix}{name}"
        for inner in _table_classes(info.annotation):
            yield from all_keys(inner, f"{prefix}{name}.")


def type_names_at(key: str, settings_class: type[Settings]) -> list[str]:
    """The values of `key.type`, where the setting is a table that has one."""
    first, _, rest = key.partition(".")
    tables = (
        list(_table_classes(settings_class.model_fields[first].annotation))
        if first in settings_class.model_fields
        else []
    )
    if rest:
        return list(dict.fromkeys(name for table in tables for name in type_names_at(rest, table)))
    return [table.model_fields["type"].default for table in tables if "type" in table.model_fields]


def find_assignment(value: str, settings_class: type[Settings]) -> list[Assignment] | None:
    """What to set for a word to be a value somewhere, as `bpe` is one of `corpus.vocab.model_type` where
    `corpus.vocab.type` is `sentencepiece`; None unless one place is the simplest."""
    found = sorted((list(each) for each in _find_assignments(value, settings_class, "", ())), key=len)
    if not found or (len(found) > 1 and len(found[1]) == len(found[0])):
        return None
    return found[0]


def _find_assignments(
    value: str, settings_class: type[Settings], prefix: str, needed: tuple[Assignment, ...]
) -> Iterator[tuple[Assignment, ...]]:
    for name, info in settings_class.model_fields.items():
        key = f"{prefix}{name}"
        default = getattr(info.default, "type", None)
        for inner in _table_classes(info.annotation):
            own_type = inner.model_fields["type"].default if "type" in inner.model_fields else None
            chosen = (*needed, (f"{key}.type", own_type)) if own_type not in (None, default) else needed
            if own_type == value:
                yield chosen if chosen != needed else (*needed, (f"{key}.type", value))
            yield from _find_assignments(value, inner, f"{key}.", chosen)
        if name != "type" and value in get_args(info.annotation):
            yield (*needed, (key, value))


def _table_classes(annotation: Any) -> Iterator[type[Settings]]:
    """The classes of a setting that is a table; none of a list of tables."""
    if not str(annotation).startswith("tuple["):
        yield from settings_classes(annotation)
