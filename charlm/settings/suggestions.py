"""What a misspelled word was meant to be: among words that are allowed, or among all keys that there are."""

import difflib
from collections.abc import Iterator, Sequence

from charlm.settings.base import Settings, settings_classes

_MOST = 3


def suggest(found: str, allowed: Sequence[str], introduction: str) -> str:
    """The cure for a misspelled word: the nearest one, and all of them."""
    close = difflib.get_close_matches(found, allowed, n=1, cutoff=0.6)
    listing = f"{introduction} {', '.join(allowed)}" if allowed else "remove it"
    return f'did you mean "{close[0]}"? ({listing})' if close else listing


def suggest_key(key: str, kind: type[Settings], names: Sequence[str], introduction: str) -> str:
    """The cure for a key that is not there: the nearest of the `names` of its table; or else the full keys that end
    as it does, as `training.optimizer.lr` does where only `lr` was given."""
    name = key.rpartition(".")[2]
    if difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return suggest(name, names, introduction)
    keys = [other for other in dict.fromkeys(keys_of(kind)) if other != key]
    leaves = {other.rpartition(".")[2] for other in keys}
    nearest = [name] if name in leaves else difflib.get_close_matches(name, leaves, n=1, cutoff=0.8)
    fitting = [other for other in keys if other.rpartition(".")[2] in nearest]
    depth = min((other.count(".") for other in fitting), default=0)
    full = [other for other in fitting if other.count(".") == depth]  # not the same setting of some inner part
    if not 0 < len(full) <= _MOST:
        return suggest(name, names, introduction)
    return f"did you mean {' or '.join(full)}? ({suggest(name, names, introduction)})"


def keys_of(kind: type[Settings], prefix: str = "") -> Iterator[str]:
    """The dotted keys of all settings below a class, whatever the types of its unions; a key of several types stands
    there as often. Those of the entries of a list are left out, since `--set` does not reach them."""
    for name, info in kind.model_fields.items():
        yield f"{prefix}{name}"
        if not str(info.annotation).startswith("tuple["):
            for inner in settings_classes(info.annotation):
                yield from keys_of(inner, f"{prefix}{name}.")
