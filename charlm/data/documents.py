"""Documents on disk: zstd parquet shards, open to `datasets`, pandas and duckdb.

parts ──DocumentWriter──> documents/SPLIT-00000.parquet, ...  (id, part, url, title, text; text of at most 64 MB each)
shards ──read_parts──> parts, in the order they were written
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from charlm import storage
from charlm.errors import DataError
from charlm.text.document import Document
from charlm.text.split import Part

_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "part": pa.int32(),
        "last": pa.bool_(),
        "url": pa.string(),
        "title": pa.string(),
        "text": pa.large_string(),
    }
)
_ROW_GROUP_CHARACTERS = 4_000_000
_SHARD_CHARACTERS = 64_000_000


class DocumentWriter:
    """Writes the parts of one split, in bounded memory, each shard whole or not at all."""

    def __init__(self, directory: Path, split: str) -> None:
        self._directory = directory
        self._split = split
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        self._shard = ExitStack()  # of the file and the ParquetWriter that are open, if any
        self._writer: Any = None
        self._shard_characters = 0
        self._num_shards = 0

    def __enter__(self) -> Self:
        storage.make_directory(self._directory)
        return self

    def add(self, part: Part) -> None:
        document = part.document
        self._rows.append(
            {"id": document.id, "part": part.part, "last": part.last, "url": document.url, "title": document.title}
            | {"text": document.text}
        )
        self._characters += len(document.text)
        if self._characters >= _ROW_GROUP_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            path = self._directory / f"{self._split}-{self._num_shards:05d}.parquet"
            file = self._shard.enter_context(storage.atomic_file(path))
            self._writer = self._shard.enter_context(pq.ParquetWriter(file, _SCHEMA, compression="zstd"))
            self._num_shards += 1
        with storage.storage_errors(self._directory):
            table = pa.Table.from_pylist(self._rows, _SCHEMA)
            self._writer.write_table(table, row_group_size=len(self._rows) or None)
        self._shard_characters += self._characters
        self._rows, self._characters = [], 0
        if self._shard_characters >= _SHARD_CHARACTERS:
            self._writer, self._shard_characters = None, 0
            self._shard.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._shard:  # on an error, this one or that of the last rows, no file appears
            if error is not None:
                raise error
            if self._rows or not self._num_shards:
                self._flush()


def read_parts(directory: Path, split: str) -> Iterator[Part]:
    """The parts of a split in order, a row group in memory at a time.

    Raises:
        DataError: a shard is missing or damaged.
    """
    shards = sorted(directory.glob(f"{split}-*.parquet"))
    if not shards:
        raise DataError(f"{directory} has no documents of the split {split!r}", "prepare the corpus again")
    for path in shards:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=64):
                    for row in batch.to_pylist():
                        document = Document(row["id"], row["title"], row["text"], row["url"])
                        yield Part(document, row["part"], row["last"])
        except (pa.ArrowException, KeyError) as error:
            raise DataError(f"{path} is damaged: {error}", "prepare the corpus again") from error
