"""JSON files -> rows: one object a line, a list of objects, or objects one after the other; also in packed files.

    file ── unpacked ──> lines ──> values ── objects, items of lists ──> rows

Each row has its own columns, so that columns of mixed types, and columns that appear late, do no harm. `datasets`
refuses both, and refuses lone surrogates without naming the row.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from charlm.errors import DataError
from charlm.text.reading.chunks import read_chunks

_NO_SPACE = re.compile(r"\S")


def read_json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a JSON file as `read_numbered_rows` does, without numbers."""
    return (row for _, row in read_numbered_rows(path))


def read_numbered_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the objects of a JSON file, in order, each with the number of its line; in a file whose first line is not a
    whole value that number is 1. A string in the place of an object is a row with the column `text`.

    A file whose first line is not a whole value (a list or objects on several lines) is read into memory.

    Raises:
        DataError: a line is not JSON, or not an object; or the file is damaged.
        StorageError: the file cannot be read.
    """
    lines = _lines(read_chunks(path))
    for number, line in enumerate(lines, 1):
        try:
            values = _parse(line)
        except (ValueError, RecursionError) as error:
            place = f"line {number} of {path}"
            if number > 1 or not _is_incomplete(error, line):
                raise _not_json(place, error) from error
            try:
                values = _parse(b"\n".join((line, *lines)))
            except (ValueError, RecursionError) as later_error:
                raise _not_json(str(path), later_error) from later_error
        for value in values:
            for row in value if isinstance(value, list) else [value]:
                yield number, _as_row(path, row)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    pieces: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        pieces.append(first)
        for start_of_next in others:
            yield b"".join(pieces)
            pieces = [start_of_next]
    yield b"".join(pieces)


def _parse(content: bytes) -> list[Any]:
    """Return the values in some JSON: one, none in a blank line, or several one after the other."""
    if not content.strip():
        return []
    try:
        return [json.loads(content)]
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
    values: list[Any] = []
    text = content.decode(json.detect_encoding(content), "surrogatepass")
    decoder = json.JSONDecoder()
    start = _skip_space(text, 0)
    while start < len(text):
        value, end = decoder.raw_decode(text, start)
        values.append(value)
        start = _skip_space(text, end)
    return values


def _skip_space(text: str, start: int) -> int:
    found = _NO_SPACE.search(text, start)
    return found.start() if found else len(text)


def _is_incomplete(error: Exception, line: bytes) -> bool:
    """Return whether a value begins in the line and may end in a later one."""
    return isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc.rstrip()) and bool(line.strip())


def _not_json(place: str, error: Exception) -> DataError:
    return DataError(f"{place} is not JSON: {error}", "repair it, or leave it out")


def _as_row(path: Path, value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise DataError(
            f"{path} has {value!r:.40} instead of an object with columns", "give a file of JSON objects, one a line"
        )
    return value
