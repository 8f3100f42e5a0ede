"""Local dataset files -> batches of rows, each file with its own columns.

suffix ──> parquet, arrow   pyarrow, only the columns that are wanted
       ──> csv, tsv         unpacked, then pandas, every cell as the text that it is
       ──> json             json_rows, and search_dump for the dumps of CirrusSearch
"""

import contextlib
import io
import itertools
import warnings
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from charlm.errors import CharlmError, DataError
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.inputs import strip_compression_suffix
from charlm.text.sources.hub.json_rows import read_json_rows
from charlm.text.sources.hub.search_dump import join_index_lines

Row = Mapping[str, Any]

_BATCH_ROWS = 64
_FORMATS = {
    ".parquet": "parquet", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "csv",
    ".arrow": "arrow",
}  # fmt: skip
_PACKED_FORMATS = ("json", "csv")


class Batch(NamedTuple):
    """Some rows, and the names of all columns that they could have; a row may lack some of them."""

    columns: Collection[str]
    rows: Sequence[Row]


def file_format(paths: Sequence[Path]) -> str:
    """Return the format of files by their suffixes: `parquet`, `json`, `csv` or `arrow`.

    Raises:
        DataError: another suffix, or several formats.
    """
    formats = {_format_of(path) for path in paths}
    if len(formats) > 1 or "" in formats:
        raise DataError(
            f"{', '.join(path.name for path in paths)}: not dataset files of one format",
            f"give {', '.join(_FORMATS)} files (JSON and CSV may be packed: .gz, .bz2, .xz), or read text with"
            " --source text",
        )
    return formats.pop()


def _format_of(path: Path) -> str:
    name = strip_compression_suffix(path.name.lower())
    found = _FORMATS.get(Path(name).suffix, "")
    return found if name == path.name.lower() or found in _PACKED_FORMATS else ""


def read_batches(paths: Sequence[Path], wanted: Collection[str]) -> Iterator[Batch]:
    """Yield the rows of all files, in order; columns that are not wanted may be left out of the rows.

    Raises:
        DataError: a file is damaged, or does not have the format of its name.
    """
    readers: dict[str, Callable[[Path, Collection[str]], Iterator[Batch]]] = {
        "parquet": _read_parquet, "arrow": _read_arrow, "csv": _read_csv, "json": _read_json,
    }  # fmt: skip
    read = readers[file_format(paths)]
    for path in paths:
        with _damage_as_data_error(path):
            yield from read(path, wanted)


@contextlib.contextmanager
def _damage_as_data_error(path: Path) -> Generator[None, None, None]:
    """Translate the exceptions of the libraries, of which there are many kinds."""
    try:
        yield
    except CharlmError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DataError(f"cannot read {path}: {reason[:300]}", "repair or replace that file") from error


def _read_parquet(path: Path, wanted: Collection[str]) -> Iterator[Batch]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        columns = [name for name in names if name in wanted]
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            yield Batch(names, batch.to_pylist() or [{}] * batch.num_rows)


def _read_arrow(path: Path, wanted: Collection[str]) -> Iterator[Batch]:
    with pa.memory_map(str(path)) as source:
        try:
            batches: Iterable[pa.RecordBatch] = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            source.seek(0)
            file = pa.ipc.open_file(source)
            batches = (file.get_batch(number) for number in range(file.num_record_batches))
        for batch in batches:
            columns = [name for name in batch.schema.names if name in wanted]
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield Batch(batch.schema.names, batch.slice(start, _BATCH_ROWS).select(columns).to_pylist())


def _read_csv(path: Path, wanted: Collection[str]) -> Iterator[Batch]:
    import pandas as pd
    from pandas.errors import ParserWarning

    separator = "\t" if strip_compression_suffix(path.name.lower()).endswith(".tsv") else ","
    with warnings.catch_warnings():
        warnings.simplefilter("error", ParserWarning)  # a row with more cells than the header: some would be lost
        try:
            file = io.BufferedReader(_UnpackedFile(path))  # pandas would take damage of a later stream for the end
            reader = pd.read_csv(
                file, sep=separator, dtype=str, na_filter=False, index_col=False, chunksize=_BATCH_ROWS
            )
            with reader:
                for table in cast("Iterable[Any]", reader):
                    yield Batch(list(map(str, table.columns)), table.to_dict("records"))
        except ParserWarning as error:
            raise DataError(
                f"{path} has rows with more cells than its first line has names",
                "put cells that hold the separator into double quotes, and name every column",
            ) from error


class _UnpackedFile(io.RawIOBase):
    """A file of the bytes of `read_chunks`."""

    def __init__(self, path: Path) -> None:
        self._chunks = read_chunks(path)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest and (chunk := next(self._chunks, b"")):
            self._rest = memoryview(chunk)
        view = memoryview(buffer).cast("B")
        num_bytes = min(len(view), len(self._rest))
        view[:num_bytes] = self._rest[:num_bytes]
        self._rest = self._rest[num_bytes:]
        return num_bytes


def _read_json(path: Path, wanted: Collection[str]) -> Iterator[Batch]:
    rows = join_index_lines(path, read_json_rows(path))
    while batch := list(itertools.islice(rows, _BATCH_ROWS)):
        yield Batch({name: None for row in batch for name in row}, batch)
