"""Output: results on stdout for people or as one JSON object, notes on stderr.

On a terminal, control characters in generated or downloaded text, which could command it, are escaped.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from charlm.errors import UsageError
from charlm.formatting import BLOCKS, format_number
from charlm.printable import printable
from charlm.storage import storage_errors, to_json

STANDARD_INPUT = "standard input"


def note(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr)


def confirm() -> bool:
    """Ask whether to go on; assume yes where there is no terminal. The end of the input (Ctrl-D) is a no."""
    if not sys.stdin.isatty():
        return True
    print("go on? [y/N]: ", end="", file=sys.stderr, flush=True)
    return (read_line() or "").strip().lower() in ("y", "yes")


def read_line() -> str | None:
    """Return the next line of standard input without its line end, or None at the end. A byte that is not in the
    terminal's encoding is a lone surrogate.

    Raises:
        UsageError: standard input is closed.
        StorageError: it cannot be read.
    """
    with storage_errors(Path(STANDARD_INPUT), "read"):
        line = _open_stdin().readline()
    return line.removesuffix("\n") if line else None


def read_stdin() -> bytes:
    """Return all of standard input.

    Raises:
        UsageError: it is closed.
        StorageError: it cannot be read.
    """
    with storage_errors(Path(STANDARD_INPUT), "read"):
        return _open_stdin().buffer.read()


def read_stdin_lines() -> Iterator[bytes]:
    """Yield the lines of standard input as they come, each with its end; raises as `read_stdin`."""
    with storage_errors(Path(STANDARD_INPUT), "read"):
        yield from _open_stdin().buffer


def stdin_bytes() -> BinaryIO:
    """Return standard input for reading in parts.

    Raises:
        UsageError: it is closed.
    """
    return _open_stdin().buffer


def _open_stdin() -> TextIO:
    if not sys.stdin.readable():  # `cli` puts a file that cannot be read in the place of a closed one
        raise UsageError(f"{STANDARD_INPUT} is closed", "open it, or name a file instead")
    return sys.stdin


def has_blocks() -> bool:
    """Whether stdout can encode block characters, as bars need them."""
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def write(text: str) -> None:
    """Write text: unchanged into a pipe, with escaped control characters on a terminal."""
    if sys.stdout.isatty():
        text = printable(text)
    sys.stdout.write(text)
    sys.stdout.flush()


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on one line."""
    print(to_json(content, indent=None))


def print_table(content: dict[str, Any]) -> None:
    """Print a line for each name and value. Names in nested tables are joined; empty values are left out."""
    flat = flatten(content)
    width = max(map(len, flat))
    for name, value in flat.items():
        print(f"{name.replace('_', ' '):<{width}}  {format_value(value)}")


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a table and of the tables in it, by their joined names, without empty ones."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(cast("dict[str, Any]", value), f"{prefix}{name} ")
        elif isinstance(value, list | tuple):
            flat |= {f"{prefix}{name}": "; ".join(map(str, cast("list[Any]", value)))} if value else {}
        elif value != "":
            flat[f"{prefix}{name}"] = value
    return flat


def format_value(value: object) -> str:
    """Return a value as tables show it; None is a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return format_number(value)
