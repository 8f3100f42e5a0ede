"""What a person sees: results on stdout, notes on stderr, one JSON object for programs.

On a terminal, what could command it (escape sequences in generated or downloaded text) is shown as escapes.
"""

import sys
from typing import Any, cast

import typer

from charlm.formatting import format_number
from charlm.printable import printable
from charlm.storage import to_json


def note(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr)


def confirm() -> bool:
    """Ask a terminal; where there is none, nobody minds."""
    return not sys.stdin.isatty() or typer.confirm("go on?", err=True)


def write(text: str) -> None:
    """Text as it is into a pipe; on a terminal, control characters (which could command it) are escaped."""
    if sys.stdout.isatty():
        text = printable(text)
    sys.stdout.write(text)
    sys.stdout.flush()


def print_json(content: dict[str, Any]) -> None:
    """One object, on one line."""
    print(to_json(content, indent=None))


def print_table(content: dict[str, Any]) -> None:
    """Name and value, a line each; nested tables as one, their names joined; what is empty left out."""
    flat = _flatten(content)
    width = max(map(len, flat))
    for name, value in flat.items():
        print(f"{name.replace('_', ' '):<{width}}  {format_value(value)}")


def _flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(cast("dict[str, Any]", value), f"{prefix}{name} ")
        elif isinstance(value, list | tuple):
            flat |= {f"{prefix}{name}": "; ".join(map(str, cast("list[Any]", value)))} if value else {}
        elif value != "":
            flat[f"{prefix}{name}"] = value
    return flat


def format_value(value: object) -> str:
    """A value as tables show it; what is not known as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return format_number(value)
