"""Raw settings -> typed settings, or an error that names the line or option, what is wrong, and what to write.

Layer ── pydantic, strict ──> Settings
            └── ValidationError, its first problem ── suggestions ──> WHAT; CURE   ── origins ──> file:line or flag
"""

import re
from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from charlm.errors import SettingsError
from charlm.settings.base import Settings, settings_classes
from charlm.settings.layers import Layer
from charlm.settings.renamed import SETTINGS
from charlm.suggestions.setting_errors import ErrorLocation, explain
from charlm.suggestions.setting_keys import type_of

S = TypeVar("S", bound=Settings)


def validate(settings_class: type[S], layer: Layer) -> S:
    """Return the raw settings as an object of `settings_class`.

    Raises:
        SettingsError: a key or value is wrong; names file and line, the key, what is allowed, and the nearest spelling.
    """
    try:
        return settings_class.model_validate(layer.tree)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        location = _locate(settings_class, problem["loc"])
        is_missing = problem["type"] == "missing"  # then the table is what was set
        origin = _find_origin(layer, location.keys[:-1] if is_missing else location.keys, problem["msg"])
        what, cure = explain(settings_class, location, problem, in_file=":" in origin)
        if problem["type"] == "extra_forbidden" and location.key in SETTINGS:
            cure = f"it is called {SETTINGS[location.key]} now"
        raise SettingsError(f"{origin}: {what}" if origin else what, cure) from None


def _locate(settings_class: type[Settings], parts: Iterable[int | str]) -> ErrorLocation:
    """Turn pydantic's location into the user's key and the classes around it."""
    keys: list[str] = []
    owner_classes: list[type[BaseModel]] = []
    sibling_classes: list[type[BaseModel]] = []
    candidates: list[type[BaseModel]] = [settings_class]
    union: list[type[BaseModel]] = []
    for part in parts:
        tagged = [member for member in candidates if type_of(member) == part != ""]
        if len(candidates) > 1 and tagged:  # the tag that chose a member of the union, not a key
            union, candidates = candidates, tagged
            continue
        keys.append(str(part))
        if isinstance(part, int):  # an entry of a list: the same classes
            continue
        owner_classes, sibling_classes = candidates, union
        info = owner_classes[0].model_fields.get(part) if owner_classes else None
        candidates, union = list(settings_classes(info.annotation)) if info else [], []
    return ErrorLocation(keys, owner_classes, sibling_classes, candidates)


def _find_origin(layer: Layer, keys: list[str], message: str) -> str:
    """Return the origin of a key. For a table it is the origin of the key in it that the message names, in the
    uppermost layer; or else of the last key in it."""
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
