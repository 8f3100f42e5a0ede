"""The base class of all settings, and the settings classes in a field's type."""

import types
import typing
from collections.abc import Iterator
from typing import Any, Union, cast, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, model_validator


class Settings(BaseModel):
    """Base of all settings: frozen, strict (the string "2" is not the number 2), without unknown keys or NaN."""

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
        tree = dict(cast("dict[str, Any]", content))
        for name, info in cls.model_fields.items():
            value = tree.get(name)
            if isinstance(value, dict) and "type" not in value:
                default_type = getattr(info.get_default(call_default_factory=True, validated_data={}), "type", None)
                if default_type is not None:
                    tree[name] = {"type": default_type, **cast("dict[str, Any]", value)}
        return tree


def settings_classes(annotation: Any) -> Iterator[type[Settings]]:
    """Yield the settings classes in a field's type: the class itself, or the members of a union or a list."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, typing.Annotated, tuple):
        for argument in get_args(annotation):
            yield from settings_classes(argument)


def type_names(union: Any) -> list[str]:
    """Return the `type` of each member of a union."""
    return [kind.model_fields["type"].default for kind in settings_classes(union)]


def to_toml(settings: Settings) -> str:
    """Return the settings as TOML, with all defaults, without values that are None."""
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))
