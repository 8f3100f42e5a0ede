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
        self._columns = {
            "text_column": settings.text_column,
            f"{target}_column": getattr(settings, f"{target}_column"),
        }
        if target == "target" and settings.weight_column != "":
            self._columns["weight_column"] = settings.weight_column

    def local_files(self) -> list[dict[str, Any]]:
        return [file.entry() for file in self._files]

    def origin(self) -> dict[str, Any]:
        return {"source": "table", **self._columns, **describe_files(self.local_files())}

    def read(self, counts: ExampleCounts) -> Iterator[Example]:
        """
        Raises:
            SettingsError: a column is missing.
            DataError: a file is damaged, a cell is of the wrong kind, or tags do not fit their text.
        """
        for file in self._files:
            columns: dict[str | int, None] = {}
            num_rows = 0
            for row in read_table(file, self._settings, [*self._columns.values()], counts):
                columns |= dict.fromkeys(row.cells)
                num_rows += 1
                example = self._read_row(file, row, counts)
                if example is not None:
                    yield example
            if num_rows:
                self._check_columns(file, [*columns])

    def _read_row(self, file: ExampleFile, row: TableRow, counts: ExampleCounts) -> Example | None:
        counts.read += 1
        text_column, target_column, *weight_columns = self._columns.values()
        place = row.place
        text = read_text(row.cells.get(text_column), place, str(text_column), self._settings.errors, counts)
        if not text:
            counts.dropped["empty"] += 1
            return None
        cell, errors = row.cells.get(target_column), self._settings.errors
        found = read_target(self._target, cell, text, place, str(target_column), errors, counts)
        if found is None:
            return None
        weight = 1.0
        for column in weight_columns:
            weight = read_weight(row.cells.get(column), place, str(column))
        return Example(
            f"{file.name}:{row.number}", text, found.label, found.tags, found.target, weight, split=file.split
        )

    def _check_columns(self, file: ExampleFile, found: list[str | int]) -> None:
        for key, column in self._columns.items():
            if column not in found:
                raise missing_column(key, column, found, str(file.path))


def missing_column(key: str, column: str | int, found: list[str | int], where: str) -> SettingsError:
    """Return the error for a column of the settings that a table does not have."""
    return SettingsError(
        f"{where} has no column {column!r} (corpus.source.{key})",
        f"{suggest(str(column), [*map(str, found)], 'its columns are')}; name another with --{key.replace('_', '-')}",
    )
