"""Documents on disk: Parquet shards (zstd), which `datasets`, pandas and duckdb can read.

parts ──DocumentWriter──> documents/SPLIT-00000.parquet, ...  (id, part, last, url, title, text; label, tags or target)
shards ──read_parts, or RowGroup.parts──> parts, in the order in which they were written
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from charlm import storage
from charlm.errors import DataError
from charlm.text.document import Document
from charlm.text.examples.example import TargetKind
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
_TARGET_FIELDS: dict[TargetKind, list[pa.Field]] = {
    "label": [pa.field("label", pa.string())],
    "labels": [pa.field("labels", pa.list_(pa.string()))],
    "tags": [pa.field("tags", pa.list_(pa.string()))],
    "target": [pa.field("target", pa.large_string()), pa.field("weight", pa.float64())],
}
_ROW_GROUP_CHARACTERS = 4_000_000
_SHARD_CHARACTERS = 64_000_000
_READ_BATCH_ROWS = 64
EXAMPLE_COST = 200
"""Characters that an example counts for besides its text, as examples may be single words."""


class RowWriter:
    """Writes rows with a `text` to a Parquet file, in bounded memory; the file appears when it is complete."""

    def __init__(self, path: Path, schema: pa.Schema, row_cost: int = 0, *, plain: bool = False) -> None:
        """
        Args:
            row_cost: how many characters a row counts for besides its text, which bounds the memory of short rows.
            plain: whether to write no dictionaries and no statistics. That takes a third less time, and suits files
                that only charlm reads.
        """
        self._path = path
        self._schema = schema
        self._row_cost = row_cost
        self._has_dictionaries = not plain
        self._file_stack = ExitStack()
        self._rows: list[Mapping[str, Any]] = []
        self._num_buffered_characters = 0
        self.num_characters = 0
        """What was written so far, with the cost of the rows."""

    def __enter__(self) -> Self:
        file = self._file_stack.enter_context(storage.atomic_file(self._path))
        self._writer = self._file_stack.enter_context(
            pq.ParquetWriter(
                file,
                self._schema,
                compression="zstd",
                use_dictionary=self._has_dictionaries,
                write_statistics=self._has_dictionaries,
            )
        )
        return self

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        self._num_buffered_characters += len(row["text"]) + len(row.get("target") or "") + self._row_cost
        if self._num_buffered_characters >= _ROW_GROUP_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        with storage.storage_errors(self._path):
            table = pa.Table.from_pylist(self._rows, self._schema)
            self._writer.write_table(table, row_group_size=len(self._rows) or None)
        self.num_characters += self._num_buffered_characters
        self._rows, self._num_buffered_characters = [], 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file_stack:  # after an error, also in the last flush, no file appears
            if error is not None:
                raise error
            self._flush()


class DocumentWriter:
    """Writes the parts of a split to shards of about 64 million characters."""

    def __init__(self, directory: Path, split: str, target: TargetKind | None = None) -> None:
        """
        Args:
            target: the column that examples have more than texts.
        """
        self._directory = directory
        self._split = split
        self._target: TargetKind | None = target
        self._shard_stack = ExitStack()
        self._writer: RowWriter | None = None
        self._num_shards = 0

    def __enter__(self) -> Self:
        storage.make_directory(self._directory)
        return self

    def add(self, part: Part) -> None:
        document = part.document
        writer = self._writer or self._next_shard()
        row: dict[str, Any] = {
            "id": document.id,
            "part": part.part,
            "last": part.is_last_part,
            "url": document.url,
            "title": document.title,
            "text": document.text,
        }
        target_fields = _TARGET_FIELDS[self._target] if self._target is not None else []
        writer.add(row | {field.name: getattr(part, field.name) for field in target_fields})
        if writer.num_characters >= _SHARD_CHARACTERS:
            self._writer = None
            self._shard_stack.close()

    def _next_shard(self) -> RowWriter:
        path = self._directory / f"{self._split}-{self._num_shards:05d}.parquet"
        if self._target is None:
            writer = RowWriter(path, _SCHEMA)
        else:
            writer = RowWriter(path, pa.schema([*_SCHEMA, *_TARGET_FIELDS[self._target]]), EXAMPLE_COST)
        self._writer = self._shard_stack.enter_context(writer)
        self._num_shards += 1
        return self._writer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._shard_stack:
            if error is not None:
                raise error
            if not self._num_shards:
                self._next_shard()


def read_rows(path: Path, row_groups: list[int] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard (or of some of its row groups) in order, a few in memory at a time.

    Raises:
        DataError: the shard is damaged.
    """
    with _damage_as_data_error(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_READ_BATCH_ROWS, row_groups=row_groups):
            yield from batch.to_pylist()


@contextmanager
def _damage_as_data_error(path: Path) -> Generator[None, None, None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is damaged: {error}", "prepare the corpus again") from error


def read_columns(path: Path, names: list[str]) -> pa.Table:
    """Return some columns of a shard."""
    return pq.read_table(path, columns=names)


def read_parts(directory: Path, split: str) -> Iterator[Part]:
    """Yield the parts of a split in order, a few in memory at a time.

    Raises:
        DataError: a shard is missing or damaged.
    """
    for path in _shard_paths(directory, split):
        yield from _read_shard_parts(path)


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of a shard: about 4 million characters of a split."""

    path: Path
    index: int

    def parts(self) -> Iterator[Part]:
        """Yield the parts of this row group.

        Raises:
            DataError: the shard is damaged.
        """
        return _read_shard_parts(self.path, [self.index])


def list_row_groups(directory: Path, split: str) -> list[RowGroup]:
    """Return all row groups of a split, in order.

    Raises:
        DataError: a shard is missing or damaged.
    """
    row_groups: list[RowGroup] = []
    for path in _shard_paths(directory, split):
        with _damage_as_data_error(path):
            num_row_groups = pq.read_metadata(path).num_row_groups
        row_groups += [RowGroup(path, number) for number in range(num_row_groups)]
    return row_groups


def _shard_paths(directory: Path, split: str) -> list[Path]:
    shards = sorted(directory.glob(f"{split}-*.parquet"))
    if not shards:
        raise DataError(f"{directory} has no documents of the split {split!r}", "prepare the corpus again")
    return shards


def _read_shard_parts(path: Path, row_groups: list[int] | None = None) -> Iterator[Part]:
    for row in read_rows(path, row_groups):
        try:
            document = Document(row["id"], row["title"], row["text"], row["url"])
            tags: list[str | None] | None = row.get("tags")
            labels: list[str] | None = row.get("labels")
            yield Part(
                document,
                row["part"],
                row["last"],
                row.get("label"),
                None if tags is None else tuple(tags),
                None if labels is None else tuple(labels),
                row.get("target"),
                row.get("weight", 1.0),
            )
        except KeyError as error:
            raise DataError(f"{path} has no column {error}", "prepare the corpus again") from error
