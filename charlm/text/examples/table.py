"""Tables -> examples, one for each row.

file ── by its suffix ──> rows with line numbers ── columns ──> text; label, tags or target ──> Example
"""

from collections.abc import Iterator
from typing import Any

from charlm.errors import SettingsError
from charlm.suggestions.words import suggest
from charlm.text.examples.cells import read_text
from charlm.text.examples.example import Example, ExampleCounts, ExampleSource, TargetKind
from charlm.text.examples.example_files import ExampleFile, describe_files, list_example_files
from charlm.text.examples.settings import TableSettings
from charlm.text.examples.table_rows import TableRow, read_table
from charlm.text.examples.target_cells import read_target, read_weight


class TableSource(ExampleSource):
    """The rows of all files, in order."""

    def __init__(self, settings: TableSettings, target: TargetKind) -> None:
        """
        Raises:
            SettingsError, UsageError, DataError: as `list_example_files`.
        """
        self._settings = settings
        self._target: TargetKind = target
        self._files = list_example_files(settings, settings.type)
        self._label_columns = settings.label_columns if target == "labels" else ()
        key = "label_columns" if self._label_columns else f"{target}_column"
        self._target_columns: dict[str, tuple[str | int, ...]] = {key: self._label_columns or (getattr(settings, key),)}
        self._has_weights = target == "target" and settings.weight_column != ""

    def local_files(self) -> list[dict[str, Any]]:
        return [file.entry() for file in self._files]

    def origin(self) -> dict[str, Any]:
        (key, columns), *_ = self._target_columns.items()
        named: dict[str, Any] = {"text_column": self._settings.text_column}
        named[key] = list(columns) if self._label_columns else columns[0]
        if self._has_weights:
            named["weight_column"] = self._settings.weight_column
        return {"source": "table", **named, **describe_files(self.local_files())}

    def read(self, counts: ExampleCounts) -> Iterator[Example]:
        """
        Raises:
            SettingsError: a column is missing.
            DataError: a file is damaged, a cell is of the wrong kind, or tags do not fit their text.
        """
        for file in self._files:
            columns: dict[str | int, None] = {}
            num_rows = 0
            for row in read_table(file, self._settings, [column for _, column in self._columns()], counts):
                columns |= dict.fromkeys(row.cells)
                num_rows += 1
                example = self._read_row(file, row, counts)
                if example is not None:
                    yield example
            if num_rows:
                self._check_columns(file, [*columns])

    def _read_row(self, file: ExampleFile, row: TableRow, counts: ExampleCounts) -> Example | None:
        counts.read += 1
        text_column, place = self._settings.text_column, row.place
        text = read_text(row.cells.get(text_column), place, str(text_column), self._settings.errors, counts)
        if not text:
            counts.dropped["empty"] += 1
            return None
        ((_, columns),) = self._target_columns.items()
        cells = {column: row.cells.get(column) for column in columns}
        cell = cells if self._label_columns else cells[columns[0]]
        errors = self._settings.errors
        found = read_target(self._target, cell, text, place, str(columns[0]), errors, counts)
        if found is None:
            return None
        weight, column = 1.0, self._settings.weight_column
        if self._has_weights:
            if column not in row.cells:
                raise missing_column("weight_column", column, [*row.cells], place)
            weight = read_weight(row.cells[column], place, str(column))
        return Example(f"{file.name}:{row.number}", text, **found._asdict(), weight=weight, split=file.split)

    def _columns(self) -> Iterator[tuple[str, str | int]]:
        """Yield the columns that are read, each with the setting that names it."""
        yield "text_column", self._settings.text_column
        for key, columns in self._target_columns.items():
            yield from ((key, column) for column in columns)
        if self._has_weights:
            yield "weight_column", self._settings.weight_column

    def _check_columns(self, file: ExampleFile, found: list[str | int]) -> None:
        for key, column in self._columns():
            if column not in found:
                raise missing_column(key, column, found, str(file.path))


def missing_column(key: str, column: str | int, found: list[str | int], where: str) -> SettingsError:
    """Return the error for a column of the settings that a table does not have."""
    option = f"--{key.removesuffix('s').replace('_', '-')}"
    return SettingsError(
        f"{where} has no column {column!r} (corpus.source.{key})",
        f"{suggest(str(column), [*map(str, found)], 'its columns are')}; name another with {option}",
    )
