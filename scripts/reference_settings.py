"""The settings in the reference: a heading for each root and for each type of a table, with a list of names.

settings class ──> fields ──> name, values in plain words, default, docstring
                     └── a table, or one of several types: the same again, under a heading
"""

import inspect
import json
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from reference_markdown import anchor, escaped, items, prose

from charlm.evaluation.baselines.settings import BaselineSettings
from charlm.evaluation.settings import TuneSettings
from charlm.experiment import DEFAULT_CONFIG, Experiment
from charlm.settings import Settings, settings_classes

SETTINGS_INTRODUCTION = f"""
A setting has a dotted name. In a config, which is a TOML file, the parts of the name are tables; on the command line,
write `--set NAME=VALUE`, where a text needs no quotes. Some tables have several types, which their `type` chooses; each
type has a heading with its settings.

`charlm prepare` reads `corpus`; `charlm train` reads `corpus`, `model` and `training`. A default applies if neither the
config nor an option nor `--set` gives a value. Without `--config`, `charlm train` [chooses](training.md), or
uses the config `{DEFAULT_CONFIG}` for a budget that is not in minutes.
"""

KINDS = {
    bool: ("true or false", "truth values"),
    int: ("whole number", "whole numbers"),
    float: ("number", "numbers"),
    str: ("text", "texts"),
}


def settings() -> Iterator[str]:
    yield "## Settings"
    yield prose(SETTINGS_INTRODUCTION)
    for name, info in Experiment.model_fields.items():
        (kind,) = settings_classes(info.annotation)
        yield f"## Settings: {name}"
        yield from table(kind, f"{name}.", "###", given=info.default)
    for command, kind in (("baseline", BaselineSettings), ("tune", TuneSettings)):
        yield f"## Settings of charlm {command}"
        yield prose(f"For `--config` and `--set` of `charlm {command}`.")
        yield from table(kind, "", "###")


def table(
    kind: type[Settings], prefix: str, marks: str, *, given: Settings | None = None, is_chosen: bool = False
) -> Iterator[str]:
    """Yield the settings of a class, followed by those of the tables in it.

    Args:
        prefix: the prefix of their names.
        marks: the marks of the headings below.
        given: the settings that apply if no setting of the class is given.
        is_chosen: whether its `type` chooses the class, so that `type` is not listed.
    """
    yield prose(inspect.getdoc(kind) or "")
    rows: list[tuple[str, str]] = []
    below: list[str] = []
    for name, info in kind.model_fields.items():
        key = f"{prefix}{name}"
        inner = list(settings_classes(info.annotation))
        if name == "type" and is_chosen:
            continue
        if not inner:
            own_default = getattr(given, name, info.default)
            facts = f"{describe_values(info.annotation, info.metadata)}; {default_of(info)}"
            if given is not None and own_default != info.default:
                facts += f", but {value(own_default)} if no setting of {prefix.rstrip('.')} is given"
            rows.append((f"`{key}`", _sentences(facts, info.description)))
            continue
        rows.append(_row_of_tables(key, info, inner))
        if key in _DOCUMENTED_ELSEWHERE:
            continue
        inner_prefix = "" if is_list(info) else f"{key}."
        for member in inner:
            below.append(f"{marks} {_heading(key, member, inner)}")
            below += table(member, inner_prefix, f"{marks}#", is_chosen=len(inner) > 1)
    if rows:
        yield items(rows)
    yield from below


_DOCUMENTED_ELSEWHERE = {"corpus.source.sources": "corpus.source"}
"""Lists of tables whose types have their headings elsewhere."""


def _row_of_tables(key: str, info: FieldInfo, inner: list[type[Settings]]) -> tuple[str, str]:
    """Return the row of a setting that is a table, a table of one of several types, or a list of tables."""
    if len(inner) == 1:
        return f"`{key}`", _sentences("a table, whose settings are listed below", info.description)
    chosen = ", ".join(_link(key, member, inner) for member in inner)
    if is_list(info):
        facts = f"{list_of('tables', info.metadata)}, each of a `type`: {chosen}; {default_of(info)}"
        return f"`{key}`", _sentences(facts, info.description)
    default = "no default" if info.default is None else f"default `{info.default.type}`"
    return f"`{key}.type`", _sentences(f"{chosen}; {default}", info.description)


def _link(key: str, member: type[Settings], inner: list[type[Settings]]) -> str:
    return f"[`{type_of(member)}`](#{anchor(_heading(_DOCUMENTED_ELSEWHERE.get(key, key), member, inner))})"


def _heading(key: str, member: type[Settings], inner: list[type[Settings]]) -> str:
    return key if len(inner) == 1 else f"{key}: {type_of(member)}"


def type_of(kind: type[Settings]) -> str:
    return kind.model_fields["type"].default


def is_list(info: FieldInfo) -> bool:
    return get_origin(info.annotation) is tuple


def _sentences(facts: str, description: str | None) -> str:
    """Join the facts of a setting and, on a new line, its description."""
    return f"{facts}.\n{escaped(description or '')}".rstrip()


# ---- values in words


def describe_values(annotation: Any, constraints: Sequence[Any], *, plural: bool = False) -> str:
    """Describe the values that a setting takes."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        own = [limit for extra in arguments[1:] for limit in getattr(extra, "metadata", [extra])]
        return describe_values(arguments[0], [*constraints, *own], plural=plural)
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not types.NoneType]
        return " or ".join(describe_values(argument, constraints, plural=plural) for argument in inner)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    if origin is tuple:
        return list_of(describe_values(arguments[0], (), plural=True), constraints)
    limit = bounds(*(_limit(constraints, name) for name in ("ge", "le", "gt", "lt")))
    return KINDS[annotation][plural] + (f", {'each ' if plural else ''}{limit}" if limit else "")


def _limit(constraints: Sequence[Any], name: str) -> Any:
    return next((getattr(each, name) for each in constraints if getattr(each, name, None) is not None), None)


def list_of(what: str, constraints: Sequence[Any]) -> str:
    least, most = _limit(constraints, "min_length"), _limit(constraints, "max_length")
    phrase = f"list of {what}" + (f", {most} at most" if most is not None else "")
    return phrase if least is None else f"{phrase}, {least} at least"


def bounds(least: Any, most: Any, above: Any, below: Any) -> str:
    if least is not None and most is not None:
        return f"{format_number(least)} to {format_number(most)}"
    limits = (("{} or more", least), ("more than {}", above), ("at most {}", most), ("less than {}", below))
    return ", ".join(form.format(format_number(limit)) for form, limit in limits if limit is not None)


def format_number(figure: float) -> str:
    for power in (31, 40, 63):
        if figure in (2**power, 2**power - 1):
            return f"2^{power}" + (" - 1" if figure % 2 else "")
    return f"{figure:,}"


def default_of(info: FieldInfo) -> str:
    if info.is_required():
        return "must be given"
    return "not set by default" if info.default is None else f"default {value(info.default)}"


def value(default: Any) -> str:
    """Return a default as it is written after `--set NAME=`."""
    return f"`{default}`" if isinstance(default, str) and default else f"`{_toml(default)}`"


def _toml(content: Any) -> str:
    if isinstance(content, Settings):
        return f"{{type={json.dumps(type_of(type(content)))}}}"
    if isinstance(content, tuple):
        return f"[{', '.join(map(_toml, typing.cast('tuple[Any, ...]', content)))}]"
    return json.dumps(content, ensure_ascii=False)
