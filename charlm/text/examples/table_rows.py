"""A file with a table -> its rows, each with its place for messages.

.csv   cells in double quotes may hold commas, line ends and doubled quotes (RFC 4180)
.tsv   cells end at tabs and line ends; quotation marks are ordinary characters
.json, .jsonl, .ndjson, .parquet, .arrow   as the hub source reads them
"""

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charlm.errors import DataError, SettingsError
from charlm.text.examples.example import ExampleCounts
from charlm.text.examples.example_files import ExampleFile
from charlm.text.examples.settings import TableSettings
from charlm.text.reading.inputs import strip_compression_suffix
from charlm.text.reading.lines import strip_end
from charlm.text.sources.hub.json_rows import read_numbered_rows
from charlm.text.sources.hub.local_files import file_format, read_batches

Column = str | int


class TableRow(NamedTuple):
    """A row. Its columns have names, or numbers from 1 where there is no line of names."""

    number: int
    """The number of its first line, or of the row in a format without lines; from 1."""
    place: str
    cells: Mapping[Column, Any]


def read_table(
    file: ExampleFile, settings: TableSettings, columns: Sequence[Column], counts: ExampleCounts
) -> Iterator[TableRow]:
    """Yield the rows of a file; columns that are not wanted may be left out.

    Raises:
        SettingsError: columns are given by number, but the format has names.
        DataError: the file is damaged, or does not have the format of its name.
    """
    format_name = file_format([file.path])
    if format_name == "csv":
        yield from _read_delimited(file, settings, columns, counts)
        return
    if any(isinstance(column, int) for column in map(_as_number, columns)):
        raise SettingsError(f"{file.path} has columns with names", "name the columns, instead of giving numbers")
    names = [str(column) for column in columns]
    if format_name == "json":
        has_lines = not strip_compression_suffix(file.path.name.lower()).endswith(".json")  # .json may hold a list
        for count, (line, row) in enumerate(read_numbered_rows(file.path), 1):
            if has_lines:
                yield TableRow(line, f"{file.path}:{line}", {**row})
            else:
                yield TableRow(count, f"row {count} of {file.path}", {**row})
    else:
        number = 0
        for batch in read_batches([file.path], names):
            for row in batch.rows:
                number += 1
                yield TableRow(number, f"row {number} of {file.path}", {**dict.fromkeys(batch.columns), **row})
    file.check_unchanged()


def _read_delimited(
    file: ExampleFile, settings: TableSettings, columns: Sequence[Column], counts: ExampleCounts
) -> Iterator[TableRow]:
    wanted = [_as_number(column) for column in columns]
    if any(isinstance(column, int) and column < 1 for column in wanted):
        raise SettingsError(f"columns {' and '.join(map(repr, columns))}: columns are numbered from 1", "count from 1")
    by_number = all(isinstance(column, int) for column in wanted)
    if not by_number and (settings.header == "no" or any(isinstance(column, int) for column in wanted)):
        raise SettingsError(
            f"columns {' and '.join(map(repr, columns))}: a table without a line of names has numbers for columns",
            "give numbers from 1, such as --text-column 1 --label-column 2",
        )
    lines = file.lines(settings.encoding, settings.errors, counts)
    is_tsv = strip_compression_suffix(file.path.name.lower()).endswith(".tsv")
    rows = _split_tabs(lines) if is_tsv else _parse_csv(file.path, lines)
    header: list[str] | None = None
    if not by_number or settings.header == "yes":
        header = next(rows, (0, []))[1]
        if len(set(header)) != len(header):
            raise DataError(f"{file.path}:1 names a column twice", "give each column a name of its own")
    width = len(header) if header is not None and not by_number else 0
    for number, cells in rows:
        place = f"{file.path}:{number}"
        if width and len(cells) != width:
            raise DataError(f"{place} has {len(cells)} cells, and the first line has {width}", _cells_cure(is_tsv))
        missing = next((column for column in wanted if isinstance(column, int) and column > len(cells)), None)
        if missing is not None:
            raise DataError(f"{place} has {len(cells)} cells, so there is no column {missing}", _cells_cure(is_tsv))
        found: dict[Column, str] = {}
        if by_number:
            found = {column: cells[int(number_of) - 1] for column, number_of in zip(columns, wanted, strict=True)}
        elif header is not None:
            found = {**dict(zip(header, cells, strict=True))}
        yield TableRow(number, place, found)


def _as_number(column: Column) -> Column:
    """Return the number of a column that is given by number, from 1; or its name."""
    return int(column) if isinstance(column, str) and column.isdecimal() and int(column) > 0 else column


def _cells_cure(is_tsv: bool) -> str:
    if is_tsv:
        return "separate the cells by single tabs, or repair that line"
    return "put cells that hold commas into double quotes, or repair that line"


def _split_tabs(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1):
        if content := strip_end(line):
            yield number, content.split("\t")


def _parse_csv(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(sys.maxsize)  # a text may be of any length
    reader = csv.reader(lines, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}:{number} is not CSV: {error}", "repair that line, or give a .tsv file") from error
        if cells is None:
            return
        if cells:
            yield number, cells
