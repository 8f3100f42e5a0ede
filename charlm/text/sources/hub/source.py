"""A dataset of the Hugging Face hub, or local files in one of its formats -> documents, one for each row.

settings ── resolve: commit, config ──┐
local files ── by their suffixes ─────┴── access.open_rows ──> rows ── columns, checks ──> documents
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import DataError, SettingsError, UsageError
from charlm.storage import sha256
from charlm.suggestions.words import suggest
from charlm.text.document import Document, DownloadPlan, PageCounts, Source
from charlm.text.reading.documents import rechunk_text
from charlm.text.reading.inputs import suggest_file
from charlm.text.settings import HubSettings
from charlm.text.sources.hub import access
from charlm.text.sources.hub.access import DatasetVersion
from charlm.text.sources.hub.json_rows import surrogate_error

_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


class HubSource(Source):
    """The rows of one split of a dataset, in order."""

    def __init__(self, settings: HubSettings) -> None:
        """
        Raises:
            UsageError: an input does not exist.
        """
        self._settings = settings
        self._dataset_version: DatasetVersion | None = None
        self._files: list[dict[str, Any]] | None = None
        self._inputs = tuple(Path(name).expanduser() for name in settings.input)
        for path in self._inputs:
            if not path.exists():
                raise UsageError(f"there is no file {path}", suggest_file(path) or "check the path given with --input")
        if len(self._inputs) > 1 and any(path.is_dir() for path in self._inputs):
            raise UsageError(
                "--input names a folder and something else, but a folder is a whole dataset",
                "give one folder, or only files",
            )

    def download_plan(self) -> DownloadPlan | None:
        """Find the commit. Return None: rows are streamed, or stored in the cache of the hub's client."""
        self.dataset_version()
        return None

    def dataset_version(self) -> DatasetVersion:
        """Return the commit and the config; the hub is asked at most once.

        Raises:
            NetworkError: no answer, or the dataset does not exist or is private.
            SettingsError: the revision or the config does not exist.
        """
        if self._dataset_version is None:
            self._dataset_version = access.resolve_version(self._settings, self._inputs)
        return self._dataset_version

    def resolved_settings(self) -> dict[str, Any]:
        """Return the commit and the newest config, once they are known."""
        located = self._dataset_version
        return {"revision": located.revision, "config": located.config} if located and located.revision else {}

    def origin(self) -> dict[str, Any]:
        settings, dataset_version = self._settings, self.dataset_version()
        origin: dict[str, Any] = {"source": "hub", "config": dataset_version.config, "split": settings.split}
        origin["column"] = settings.column
        if self._inputs:
            local = {"name": self._inputs[0].name, "files": self._file_entries(), "fingerprint": self.fingerprint()}
            return {**origin, **local}
        return {
            **origin,
            "name": settings.dataset,
            "revision": dataset_version.revision,
            "urls": [f"https://huggingface.co/datasets/{settings.dataset}/tree/{dataset_version.revision}"],
            "licence": access.licence(settings.dataset, dataset_version.revision),
        }

    def fingerprint(self) -> str | None:
        """Return a hash of local files; None for a dataset of the hub, which its commit identifies."""
        return hashlib.sha256(str(self._file_entries()).encode()).hexdigest() if self._inputs else None

    def read(self, page_counts: PageCounts) -> Iterator[Document]:
        """
        Raises:
            SettingsError: the split or a column does not exist.
            NetworkError: the hub stopped answering.
            DataError: damaged, or a value that is not text; names the row, counted from 0.
        """
        settings = self._settings
        cells = _CellReader(settings, page_counts)
        columns: _Columns | None = None
        characters = 0
        for number, row in enumerate(access.open_rows(settings, self.dataset_version(), self._inputs)):
            columns = columns or _Columns.of(settings, row)
            page_counts.pages += 1
            text = cells.text(number, row[columns.text])
            if not text:
                page_counts.dropped["empty"] += 1
                continue
            identifier = str(number) if columns.id is None else cells.label(number, row, columns.id)
            title, url = (cells.label(number, row, name) if name else "" for name in (columns.title, columns.url))
            for piece, is_last in rechunk_text([text]):
                yield Document(identifier, title, piece, url, is_last)
            characters += len(text)
            if settings.max_characters is not None and characters >= settings.max_characters:
                page_counts.notes.append(f"reading stopped after {characters:,} characters (max_characters)")
                return

    def _file_entries(self) -> list[dict[str, Any]]:
        """Return name, size and hash of each local file."""
        if self._files is None:
            self._files = [
                {"name": name, "bytes": path.stat().st_size, "sha256": sha256(path)}
                for given in self._inputs
                for name, path in _list_files(given)
            ]
        return self._files


@dataclass(frozen=True, slots=True)
class _CellReader:
    """Reads the texts in the cells of rows and checks them for lone surrogates."""

    settings: HubSettings
    page_counts: PageCounts

    def text(self, number: int, value: object) -> str:
        """Return the text of a document."""
        if not isinstance(value, str):
            found = "no value" if value is None else f"{value!r:.40}, which is not text,"
            raise DataError(
                f"row {number} has {found} in the column {self.settings.column!r}",
                "give the column with the text by --set corpus.source.column=NAME",
            )
        return self._without_surrogates(number, value)

    def label(self, number: int, row: Mapping[str, Any], column: str) -> str:
        """Return an id, a title or an address; the number of the row if the cell is empty."""
        value = row[column]
        if value is None and column == self.settings.id_column:
            raise DataError(
                f"row {number} has no value in the column {column!r}", "set another corpus.source.id_column"
            )
        return self._without_surrogates(number, str(number if value is None else value))

    def _without_surrogates(self, number: int, text: str) -> str:
        clean = text.translate(_SURROGATES) if not text.isascii() else text
        if clean != text:
            if self.settings.errors == "strict":
                raise surrogate_error(number)
            count = sum(old != new for old, new in zip(text, clean, strict=True))
            self.page_counts.notes.append(f"row {number}: {count:,} lone surrogates were replaced by U+FFFD")
        return clean


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that are read; None for a column that does not exist."""

    text: str
    id: str | None
    title: str | None
    url: str | None

    @classmethod
    def of(cls, settings: HubSettings, row: Mapping[str, Any]) -> "_Columns":
        """Return the columns of the settings, or the default ones.

        Raises:
            SettingsError: a column of the settings does not exist; names those that do.
        """
        requested = {"column": settings.column, **{key: getattr(settings, key) for key in _OPTIONAL}}
        for key, name in requested.items():
            if name and name not in row:
                raise SettingsError(
                    f"corpus.source.{key} = {name!r}: the dataset has no such column",
                    suggest(name, list(row), "there are"),
                )
        found = [requested[key] or (default if default in row else None) for key, default in _OPTIONAL.items()]
        return cls(settings.column, *found)


_OPTIONAL = {"id_column": "id", "title_column": "title", "url_column": "url"}


def _list_files(given: Path) -> Iterator[tuple[str, Path]]:
    if not given.is_dir():
        yield given.name, given
        return
    for path in sorted(path for path in given.rglob("*") if path.is_file()):
        yield path.relative_to(given).as_posix(), path
