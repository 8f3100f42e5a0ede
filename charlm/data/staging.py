"""Documents to disk once, by several processes, going on where a killed attempt stopped.

    source.tasks() ──> worker: read, clean, shape, count ──> staged/000007-KEY.parquet, then .json ──> Shard, in order

A shard is named by its task's place and key; its .json is written last: where that is there, the task is done and is
not read again. What the shards hold does not depend on how many workers wrote them. Workers are spawned, and never
import torch.
"""

import contextlib
import hashlib
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa

from charlm import storage
from charlm.data.documents import RowWriter
from charlm.data.processes import Processes, spawned
from charlm.data.store import count_words
from charlm.errors import DataError
from charlm.text.document import Census, Document, Source, Task, WholeTask
from charlm.vocab.base import code_points

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "title": pa.string(),
        "url": pa.string(),
        "text": pa.large_string(),
        "characters": pa.int64(),
        "words": pa.int64(),
        "bytes": pa.int64(),
        "ends": pa.bool_(),
        "digest": pa.int64(),
        "skeleton": pa.int64(),
    }
)
"""`ends` is false where the next row goes on with the text. `digest`, of the whole text in its last row, finds equal
texts; `skeleton` those that differ only in names and numbers, as bot-written pages do."""

_IN_FLIGHT = 2  # tasks per worker that are submitted and not done: bounds the memory of what waits
_VARIABLE = re.compile(r"\d+|\b[^\W\d_a-z]\w*")
_LONGEST_STUB = 1_500  # characters
_ASCII = re.compile(r"[\0-\x7f]")  # composes with nothing before it: NFC of what stands before is final


@dataclass(frozen=True, slots=True)
class Shape:
    """What is done to every document before it is stored."""

    normalize: Literal["none", "nfc"] = "none"
    min_characters: int = 0


class _Shaper:
    """Turns documents, and pieces of them, into rows."""

    def __init__(self, shape: Shape, census: Census) -> None:
        self._shape = shape
        self._census = census
        self._begun = False
        self._carried = ""  # the end of a piece, which may compose with the start of the next
        self._hash = hashlib.blake2b(digest_size=8)

    def row(self, document: Document) -> dict[str, Any] | None:
        """The row as it is stored; None, and counted, where the text is too short.

        Raises:
            DataError: a lone surrogate, which no UTF-8 text can hold.
        """
        try:
            code_points(document.text)
        except DataError as error:
            raise DataError(f"document {document.id} ({document.title}): {error.what}", error.cure) from error
        text = self._normalized(document) if self._shape.normalize == "nfc" else document.text
        whole = document.ends and not self._begun
        self._begun = not document.ends
        if whole and len(text) < self._shape.min_characters:
            self._census.dropped["short"] += 1
            return None
        encoded = text.encode("utf-8")
        self._hash.update(encoded)
        digest = _number(self._hash)
        if document.ends:
            self._hash = hashlib.blake2b(digest_size=8)
        return {
            "id": document.id,
            "title": document.title,
            "url": document.url,
            "text": text,
            "characters": len(text),
            "words": count_words(text),
            "bytes": len(encoded),
            "ends": document.ends,
            "digest": digest,
            "skeleton": _skeleton(document.title, text) if whole else 0,
        }

    def _normalized(self, document: Document) -> str:
        text = self._carried + document.text
        safe = len(text) if document.ends else max((found.start() for found in _ASCII.finditer(text)), default=0)
        self._carried = text[safe:]
        return unicodedata.normalize("NFC", text[:safe])


@dataclass(frozen=True, slots=True)
class Shard:
    """The documents of one task on disk."""

    path: Path
    census: Census
    documents: int
    characters: int


class Crew(Protocol):
    """Who makes shards beside this process: other processes of this machine, or a cluster (`charlm.data.cluster`)."""

    @property
    def size(self) -> int:
        """How many shards are made at a time."""
        ...

    def start(self, directory: Path, number: int, task: Task, shape: Shape) -> Callable[[], Shard]:
        """Have the shard of a task made in `directory`. What comes back waits for it, and raises what went wrong."""
        ...


def stage(source: Source, directory: Path, shape: Shape, workers: int, crew: Crew | None = None) -> Iterator[Shard]:
    """The shards of every task, in order; what is done already is not done again.

    Args:
        workers: processes of this machine, unless there is a `crew`.

    Raises:
        DataError: the source is damaged.
        OutOfMemoryError: a worker was killed.
        StorageError: the disk is full or cannot be written.
    """
    storage.make_directory(directory)
    tasks = source.tasks() or iter([WholeTask(source)])
    if crew is None and workers <= 1:
        for number, task in enumerate(tasks):
            yield find(directory, number, task, shape) or make(directory, number, task, shape)
    else:
        with contextlib.ExitStack() as stack:
            crew = crew or _Workers(stack.enter_context(spawned(workers)))
            yield from _together(crew, tasks, directory, shape)


def _together(crew: Crew, tasks: Iterator[Task], directory: Path, shape: Shape) -> Iterator[Shard]:
    waiting: deque[Shard | Callable[[], Shard]] = deque()

    def first() -> Shard:
        shard = waiting.popleft()
        return shard if isinstance(shard, Shard) else shard()

    for number, task in enumerate(tasks):
        done = find(directory, number, task, shape)
        if done is None and isinstance(task, WholeTask):
            done = make(directory, number, task, shape)
        waiting.append(done or crew.start(directory, number, task, shape))
        while len(waiting) >= _IN_FLIGHT * crew.size:
            yield first()
    while waiting:
        yield first()


@dataclass(frozen=True, slots=True)
class _Workers:
    """A crew of processes of this machine."""

    processes: Processes

    @property
    def size(self) -> int:
        return self.processes.size

    def start(self, directory: Path, number: int, task: Task, shape: Shape) -> Callable[[], Shard]:
        return self.processes.start(make, directory, number, task, shape)


def _stem(directory: Path, number: int, key: str) -> Path:
    return directory / f"{number:06d}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _full_key(task: Task, shape: Shape) -> str:
    return f"{task.key} {shape}"


def find(directory: Path, number: int, task: Task, shape: Shape) -> Shard | None:
    """The shard of a task that is on disk, whole; None where there is none (or the source itself has to be read)."""
    if isinstance(task, WholeTask):
        return None
    key = _full_key(task, shape)
    stem = _stem(directory, number, key)
    path = stem.with_suffix(".parquet")
    try:
        content: dict[str, Any] = storage.read_json(stem.with_suffix(".json"))
        if content["key"] != key or path.stat().st_size != content["bytes"]:
            return None
        census = Census(content["pages"])
        census.dropped.update(content["dropped"])
        census.notes.extend(content["notes"])
        return Shard(path, census, content["documents"], content["characters"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not what we wrote: it is made again


def make(directory: Path, number: int, task: Task, shape: Shape) -> Shard:
    """Read a task and write its shard."""
    key = _full_key(task, shape)
    stem = _stem(directory, number, key)
    path = stem.with_suffix(".parquet")
    census = Census()
    documents = characters = 0
    shaper = _Shaper(shape, census)
    with RowWriter(path, SCHEMA) as writer:
        for document in task.documents(census):
            row = shaper.row(document)
            if row is not None:
                writer.add(row)
                documents += document.ends
                characters += row["characters"]
    record = {
        "key": key,
        "bytes": path.stat().st_size,
        "pages": census.pages,
        "dropped": dict(census.dropped),
        "notes": census.notes,
        "documents": documents,
        "characters": characters,
    }
    storage.write_json(stem.with_suffix(".json"), record)
    return Shard(path, census, documents, characters)


def _skeleton(title: str, text: str) -> int:
    """A hash of the text without its names and numbers; 0 for what is too long to be a stub."""
    if len(text) > _LONGEST_STUB:
        return 0
    bare = text.replace(title, "0") if title else text
    return _number(hashlib.blake2b(_VARIABLE.sub("0", bare).encode("utf-8"), digest_size=8))


def _number(digest: "hashlib.blake2b") -> int:
    return int.from_bytes(digest.digest(), "big", signed=True)
