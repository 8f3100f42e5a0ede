"""Tables of nats: a row for each document or token, in reading order, as parquet or CSV by the file's name."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from charlm import storage
from charlm.data.store import TokenStream
from charlm.errors import DataError, UsageError
from charlm.vocab.base import Vocab

_ROWS_PER_BLOCK = 100_000


def check_table_suffix(path: Path) -> None:
    """Check that the name of a table ends in .parquet or .csv.

    Raises:
        UsageError: it does not.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise UsageError(f"{path} is neither .parquet nor .csv", "give a file name that ends in .parquet or .csv")


def write_documents(
    path: Path,
    stream: TokenStream,
    names: Iterable[tuple[str, int, str]],
    nats_P: npt.NDArray[np.float32],
    first_token: int,
) -> None:
    """Write a row for each part of a document: document, part, title, tokens, characters, words, bytes, nats,
    bits_per_character.

    Args:
        stream: in reading order.
        names: id, part and title of each part, in the order of the stream.
        nats_P: of the stream's tokens from index `first_token` on.

    Raises:
        DataError: the number of names is not that of the stream's documents.
    """
    name_list = list(names)
    if len(name_list) != len(stream.documents):
        raise DataError(
            f"the corpus has {len(name_list):,} documents, but its tokens are those of {len(stream.documents):,}",
            "prepare the corpus again with --overwrite",
        )
    starts = stream.documents["start"]
    bounds = np.append(starts, len(stream.tokens)) - first_token
    bounds[0] = 0  # an <eod> before the first document belongs to it
    sums = np.concatenate([[0.0], np.cumsum(nats_P, dtype=np.float64)])
    _write(path, _document_rows(stream, name_list, bounds, sums[np.clip(bounds, 0, len(nats_P))], len(nats_P)))


def _document_rows(
    stream: TokenStream,
    names: Iterable[tuple[str, int, str]],
    bounds: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
    num_scored: int,
) -> Iterator[dict[str, Any]]:
    for index, (document, (identifier, part, title)) in enumerate(zip(stream.documents, names, strict=True)):
        nats = float(sums[index + 1] - sums[index])
        characters = int(document["characters"])
        yield {
            "document": identifier,
            "part": part,
            "title": title,
            "tokens": int(min(bounds[index + 1], num_scored) - bounds[index]),
            "characters": characters,
            "words": int(document["words"]),
            "bytes": int(document["bytes"]),
            "nats": nats,
            "bits_per_character": nats / math.log(2) / characters if characters else None,
        }


def write_tokens(
    path: Path, stream: TokenStream, vocab: Vocab, nats_P: npt.NDArray[np.float32], first_token: int
) -> None:
    """Write a row for each token: place, token, symbol, nats, bits."""
    symbols = [vocab.symbol(token) for token in range(vocab.size)]

    def rows() -> Iterator[dict[str, Any]]:
        for position, nats in enumerate(nats_P, start=first_token):
            token = int(stream.tokens[position])
            bits = float(nats) / math.log(2)
            yield {"place": position, "token": token, "symbol": symbols[token], "nats": float(nats), "bits": bits}

    _write(path, rows())


def _write(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    check_table_suffix(path)
    tables = _batched_tables(rows)
    first = next(tables)
    writer_class = pyarrow.parquet.ParquetWriter if path.suffix == ".parquet" else pyarrow.csv.CSVWriter
    with storage.atomic_file(path) as file, writer_class(file, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))


def _batched_tables(rows: Iterator[dict[str, Any]]) -> Iterator[pa.Table]:
    yield pa.Table.from_pylist(list(islice(rows, _ROWS_PER_BLOCK)))  # may be empty: a table has at least one block
    while block := list(islice(rows, _ROWS_PER_BLOCK)):
        yield pa.Table.from_pylist(block)
