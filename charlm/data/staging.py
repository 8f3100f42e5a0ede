"""Writes the documents of a source to staged shards, in several processes; a rerun keeps the finished shards.

    source.tasks() ──> worker: read, clean, build rows ──> staged/000007-KEY.parquet, then .json ──> Shard, in order

The name of a shard contains the index and the key of its task. Its .json is written last: if it exists, the task is
done and is skipped. The content of the shards does not depend on the number of workers. Workers never import torch.
"""

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from charlm import storage
from charlm.data.documents import RowWriter
from charlm.data.row_builder import SCHEMA, RowBuilder, RowOptions, row_code_version
from charlm.data.worker_processes import ProcessPool, spawn_pool, wait_in_order
from charlm.text.document import PageCounts, Source, SourceTask


@dataclass(frozen=True, slots=True)
class Shard:
    """The file with the documents of one task, and their counts (without `dropped_versions`, which stay on disk)."""

    path: Path
    page_counts: PageCounts
    num_documents: int
    num_characters: int

    def read_dropped_versions(self) -> npt.NDArray[np.int64]:
        """Return the versions of pages that were dropped, (num_versions, 3): the fields of `PageVersion`."""
        packed: str = storage.read_json(self.path.with_suffix(".json"))["dropped_versions"]
        return np.frombuffer(base64.b64decode(packed), dtype="<i8").reshape(-1, 3)


class WorkerPool(Protocol):
    """Makes shards outside this process: in processes on this machine, or on a cluster (`dask_cluster`)."""

    @property
    def size(self) -> int:
        """The number of shards that are made at the same time."""
        ...

    def start(self, directory: Path, number: int, task: SourceTask, row_options: RowOptions) -> Callable[[], Shard]:
        """Start making the shard of a task in `directory`; return a function that waits for it or raises its error."""
        ...


def stage(
    source: Source, directory: Path, row_options: RowOptions, workers: int, worker_pool: WorkerPool | None = None
) -> Iterator[Shard]:
    """Yield the shards of all tasks in order; make those that are not on disk.

    Args:
        workers: number of processes on this machine, if there is no `worker_pool`.

    Raises:
        DataError: the source is damaged.
        OutOfMemoryError: a worker was killed.
        StorageError: the disk is full or cannot be written.
    """
    storage.make_directory(directory)
    if worker_pool is None and workers <= 1:
        for number, task in enumerate(source.tasks()):
            yield find_shard(directory, number, task, row_options) or make_shard(directory, number, task, row_options)
    else:
        with contextlib.ExitStack() as stack:
            worker_pool = worker_pool or _LocalWorkerPool(stack.enter_context(spawn_pool(workers)))
            yield from _stage_in_parallel(worker_pool, source.tasks(), directory, row_options)


def _stage_in_parallel(
    worker_pool: WorkerPool, tasks: Iterator[SourceTask], directory: Path, row_options: RowOptions
) -> Iterator[Shard]:
    def start(number: int, task: SourceTask) -> Callable[[], Shard]:
        shard = find_shard(directory, number, task, row_options)
        if shard is None and task.key is None:
            shard = make_shard(directory, number, task, row_options)
        return worker_pool.start(directory, number, task, row_options) if shard is None else lambda: shard

    return wait_in_order((start(number, task) for number, task in enumerate(tasks)), worker_pool.size)


@dataclass(frozen=True, slots=True)
class _LocalWorkerPool:
    """Makes shards in processes on this machine."""

    processes: ProcessPool

    @property
    def size(self) -> int:
        return self.processes.size

    def start(self, directory: Path, number: int, task: SourceTask, row_options: RowOptions) -> Callable[[], Shard]:
        return self.processes.start(make_shard, directory, number, task, row_options)


def _stem(directory: Path, number: int, key: str) -> Path:
    return directory / f"{number:06d}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _full_key(task: SourceTask, row_options: RowOptions) -> str:
    return f"{task.key} {row_options} {row_code_version()}"


def find_shard(directory: Path, number: int, task: SourceTask, row_options: RowOptions) -> Shard | None:
    """Return the finished shard of a task; None if there is none, or if the task has no key."""
    if task.key is None:
        return None
    key = _full_key(task, row_options)
    stem = _stem(directory, number, key)
    path = stem.with_suffix(".parquet")
    try:
        content: dict[str, Any] = storage.read_json(stem.with_suffix(".json"))
        if content["key"] != key or path.stat().st_size != content["bytes"]:
            return None
        page_counts = PageCounts(content["pages"])
        page_counts.dropped.update(content["dropped"])
        page_counts.notes.extend(content["notes"])
        page_counts.cut.update(content["cut"])
        return Shard(path, page_counts, content["documents"], content["characters"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is made again


def make_shard(directory: Path, number: int, task: SourceTask, row_options: RowOptions) -> Shard:
    """Read the documents of a task and write its shard."""
    key = _full_key(task, row_options)
    stem = _stem(directory, number, key)
    path = stem.with_suffix(".parquet")
    page_counts = PageCounts()
    documents = characters = 0
    row_builder = RowBuilder(row_options, page_counts)
    with RowWriter(path, SCHEMA, plain=True) as writer:
        for document in task.documents(page_counts):
            row = row_builder.build_row(document)
            if row is not None:
                writer.add(row)
                documents += document.is_last_piece
                characters += row["characters"]
    record = {
        "key": key,
        "bytes": path.stat().st_size,
        "pages": page_counts.pages,
        "dropped": dict(page_counts.dropped),
        "notes": page_counts.notes,
        "cut": dict(page_counts.cut),
        "documents": documents,
        "characters": characters,
        "dropped_versions": base64.b64encode(np.array(page_counts.dropped_versions, dtype="<i8").tobytes()).decode(),
    }
    storage.write_json(stem.with_suffix(".json"), record)
    counts = PageCounts(page_counts.pages, page_counts.dropped, page_counts.notes, page_counts.cut)
    return Shard(path, counts, documents, characters)
