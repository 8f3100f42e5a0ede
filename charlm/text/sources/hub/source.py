"""A dataset of the Hugging Face hub, or local files in one of its formats -> documents, one for each row.

settings ── resolve: commit, config ──┐
local files ── by their suffixes ─────┴── access.open_batches ──> rows ── columns, checks ──> documents
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charlm.errors import DataError, UsageError
from charlm.storage import expand_home
from charlm.text.document import Document, DownloadPlan, PageCounts, Source
from charlm.text.reading.input_files import InputFile, hash_inputs
from charlm.text.reading.inputs import no_file_error
from charlm.text.settings import HubSettings
from charlm.text.sources.hub import access
from charlm.text.sources.hub.access import DatasetVersion
from charlm.text.sources.hub.row_reader import RowReader, check_columns, wanted_columns


class HubSource(Source):
    """The rows of one split of a dataset, in order."""

    def __init__(self, settings: HubSettings) -> None:
        """
        Raises:
            UsageError: an input does not exist.
        """
        self._settings = settings
        self._dataset_version: DatasetVersion | None = None
        self._files: list[InputFile] | None = None
        self._inputs = tuple(expand_home(name) for name in settings.input)
        for path in self._inputs:
            if not path.exists():
                raise no_file_error(path)
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
            local = {"name": self._inputs[0].name, "files": self.local_files(), "fingerprint": self.fingerprint()}
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
        return hashlib.sha256(str(self.local_files()).encode()).hexdigest() if self._inputs else None

    def read(self, page_counts: PageCounts) -> Iterator[Document]:
        """
        Raises:
            SettingsError: the split or a column does not exist.
            NetworkError: the hub stopped answering.
            DataError: damaged, no value in the column of the text, or a value that is not text; names the row, counted
                from 0; or a local file that changed meanwhile.
        """
        files = self._local_files()
        yield from self._read_rows(page_counts)
        for file in files:
            file.check_unchanged()

    def _read_rows(self, page_counts: PageCounts) -> Iterator[Document]:
        settings, limit = self._settings, self._settings.max_characters
        reader = RowReader(settings, page_counts)
        columns: dict[str, None] = {}
        number = characters = 0
        others_empty = page_counts.dropped["empty"]
        for batch in access.open_batches(settings, self.dataset_version(), self._inputs, wanted_columns(settings)):
            columns |= dict.fromkeys(batch.columns)
            if not access.are_files(self._inputs):
                check_columns(settings, columns)
            elif settings.id_column:  # every row must have an id; other columns may begin in a later row
                check_columns(settings, columns, ("id_column",))
            for row in batch.rows:
                for document in reader.read(number, row):
                    characters += len(document.text)
                    yield document
                number += 1
                if limit is not None and characters >= limit:
                    page_counts.notes.append(f"reading stopped after {characters:,} characters (max_characters)")
                    return
        if columns:
            check_columns(settings, columns)
        if number and page_counts.dropped["empty"] - others_empty == number:
            raise DataError(
                f"the column {settings.column!r} has no text in any of {number:,} rows",
                f"give the column with the text by --set corpus.source.column=NAME; there are {', '.join(columns)}",
            )

    def local_files(self) -> list[dict[str, Any]]:
        return [file.entry() for file in self._local_files()]

    def _local_files(self) -> list[InputFile]:
        """Return the local files; they are hashed once."""
        if self._files is None:
            self._files = hash_inputs(named for given in self._inputs for named in _list_files(given))
        return self._files


def _list_files(given: Path) -> Iterator[tuple[str, Path]]:
    if not given.is_dir():
        yield given.name, given
        return
    for path in sorted(path for path in given.rglob("*") if path.is_file()):
        yield path.relative_to(given).as_posix(), path
