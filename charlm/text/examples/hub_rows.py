"""A dataset of the hub with a column of labels, tags or targets -> examples.

access.open_batches ──> rows of each split ── columns ──> text; label, tags or target ──> Example
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import SettingsError, UsageError
from charlm.text.examples.cells import read_text
from charlm.text.examples.example import Example, ExampleCounts, ExampleSource, GivenSplit, TargetKind
from charlm.text.examples.table import missing_column
from charlm.text.examples.target_cells import read_target
from charlm.text.settings import HubSettings
from charlm.text.sources.hub import access
from charlm.text.sources.hub.source import HubSource


@dataclass(frozen=True, slots=True)
class _Part:
    """A split of the dataset, and the split of the corpus that it is; None: the text decides."""

    name: str
    split: GivenSplit | None


class HubExamples(ExampleSource):
    """The rows of the splits of a dataset, in order."""

    def __init__(self, settings: HubSettings, target: TargetKind) -> None:
        """
        Raises:
            SettingsError: the column of the target is not named, or a test split has no validation split beside it.
            UsageError: an input does not exist.
        """
        self._settings = settings
        self._target: TargetKind = target
        self._column: str = getattr(settings, f"{target}_column")
        if not self._column:
            raise SettingsError(
                f"--source hub needs the column of the {'tags' if target == 'tags' else f'{target}s'}",
                f"name it with --{target}-column NAME",
            )
        if settings.test_split and not settings.valid_split:
            raise SettingsError(
                "corpus.source.test_split needs corpus.source.valid_split",
                "set both; or neither, and the hash of the texts makes the splits",
            )
        self._inputs = tuple(Path(name).expanduser() for name in settings.input)
        if settings.valid_split and access.are_files(self._inputs):
            raise UsageError(
                "corpus.source.valid_split is for datasets, and --input names files",
                "give files of each split with --source table --train FILE --valid FILE",
            )
        self._rows = HubSource(settings)

    def local_files(self) -> list[dict[str, Any]]:
        return self._rows.origin()["files"] if self._inputs else []

    def fingerprint(self) -> str | None:
        return self._rows.fingerprint()

    def origin(self) -> dict[str, Any]:
        origin = {**self._rows.origin(), f"{self._target}_column": self._column}
        return origin | {key: value for key in ("valid_split", "test_split") if (value := getattr(self._settings, key))}

    def read(self, counts: ExampleCounts) -> Iterator[Example]:
        """
        Raises:
            SettingsError: a split or a column does not exist.
            NetworkError: the hub stopped answering.
            DataError: a file is damaged, a cell is of the wrong kind, or tags do not fit their text.
        """
        for part in self._parts():
            settings = self._settings.model_copy(update={"split": part.name})
            columns: dict[str, None] = {}
            characters = number = 0
            wanted = frozenset((settings.column, self._column))
            for batch in access.open_batches(settings, self._rows.dataset_version(), self._inputs, wanted):
                columns |= dict.fromkeys(batch.columns)
                for row in batch.rows:
                    example = self._read_row(part, number, row, counts)
                    number += 1
                    if example is not None:
                        characters += len(example.text)
                        yield example
                if settings.max_characters is not None and characters >= settings.max_characters:
                    counts.notes.append(f"reading stopped after {characters:,} characters (max_characters)")
                    break
            for key, column in (("column", settings.column), (f"{self._target}_column", self._column)):
                if number and column not in columns:
                    raise missing_column(key, column, [*columns], f"the dataset {settings.name}")

    def _parts(self) -> list[_Part]:
        settings = self._settings
        if not settings.valid_split:
            return [_Part(settings.split, None)]
        test = [_Part(settings.test_split, "test")] if settings.test_split else []
        return [_Part(settings.split, "train"), _Part(settings.valid_split, "valid"), *test]

    def _read_row(self, part: _Part, number: int, row: Mapping[str, Any], counts: ExampleCounts) -> Example | None:
        counts.read += 1
        place = f"row {number} of {part.name}"
        text = read_text(row.get(self._settings.column), place, self._settings.column, self._settings.errors, counts)
        if not text:
            counts.dropped["empty"] += 1
            return None
        cell, errors = row.get(self._column), self._settings.errors
        found = read_target(self._target, cell, text, place, self._column, errors, counts)
        if found is None:
            return None
        return Example(f"{part.name}/{number}", text, **found._asdict(), split=part.split)
