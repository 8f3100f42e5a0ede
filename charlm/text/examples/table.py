"""Tables -> examples, one for each row.

file ── by its suffix ──> rows with line numbers ── columns ──> text, label or tags ──> Example
"""

from collections.abc import Iterator
from typing import Any

from charlm.errors import SettingsError
from charlm.suggestions.words import suggest
from charlm.text.examples.cells import read_label, read_tags, read_text
from charlm.text.examples.example import Example, ExampleCounts, ExampleSource, TargetKind
from charlm.text.examples.example_files import ExampleFile, describe_files, list_example_files
from charlm.text.examples.settings import TableSettings
from charlm.text.examples.table_rows import TableRow, read_table


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
            f"{target}_column": settings.label_column if target == "label" else settings.tags_column,
        }

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
        text_column, target_column = self._columns.values()
        place = row.place
        text = read_text(row.cells.get(text_column), place, str(text_column), self._settings.errors, counts)
        if not text:
            counts.dropped["empty"] += 1
            return None
        cell, label, tags = row.cells.get(target_column), None, None
        if self._target == "label":
            label = read_label(cell, place, str(target_column))
        else:
            tags = read_tags(cell, text, place, str(target_column))
        if label is None and not any(tag is not None for tag in tags or ()):
            counts.dropped["no label" if self._target == "label" else "no tags"] += 1
            return None
        return Example(f"{file.name}:{row.number}", text, label, tags, file.split)

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
