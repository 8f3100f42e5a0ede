"""Documents to disk once, by several processes, going on where a killed attempt stopped.

    source.tasks() ──> worker: read, clean, shape, count ──> staged/000007-KEY.parquet, then .json ──> Shard, in order

A shard is named by its task's place and key; its .json is written last: where that is there, the task is done and is
not read again. What the shards hold does not depend on how many workers wrote them. Workers are spawned, and never
import torch.
"""

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from charlm import storage
from charlm.data.documents import RowWriter
from charlm.data.row_builder import SCHEMA, Shape, Shaper, shaping_version
from charlm.data.worker_processes import Processes, spawned
from charlm.text.document import Census, Source, Task, WholeTask

_IN_FLIGHT = 2  # tasks per worker that are submitted and not done: bounds the memory of what waits


@dataclass(frozen=True, slots=True)
class Shard:
    """The documents of one task on disk."""

    path: Path
    census: Census
    documents: int
    characters: int


class Crew(Protocol):
    """Who makes shards beside this process: other processes of this machine, or a cluster (`dask_cluster`)."""

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
    return f"{task.key} {shape} {shaping_version()}"


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
    shaper = Shaper(shape, census)
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
