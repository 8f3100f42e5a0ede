"""Files of the user -> their hashes. The cache keeps the hashes of large ones, so an unchanged file is read only once.

names, paths ── size, times and inode as in the cache? ──yes──> the hash in the cache
                                                       └──no──> read, hash, write it to the cache

CACHE/hashes/HASH.json   the files of one folder
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import DataError, StorageError
from charlm.storage import cache_directory, make_directory, read_json, sha256, storage_errors, write_json
from charlm.text.document import Document, PageCounts, SourceTask

CACHED_BYTES = 8 << 20
"""Hashes are kept for a folder from which this many bytes are read; less is hashed in ten milliseconds."""

_SETTLED_NS = 2_000_000_000
"""A file that was changed more recently is hashed again the next time: a second change could have the same time."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file at the time when it was hashed."""

    name: str
    """The path relative to its input, so that equal folders give equal corpora."""
    path: Path
    num_bytes: int
    modified: int
    """Time in nanoseconds, to notice a later change; it is not stored in a corpus."""
    sha256: str

    def entry(self) -> dict[str, Any]:
        """Return the entry of corpus.json."""
        return {"name": self.name, "bytes": self.num_bytes, "sha256": self.sha256}

    def check_unchanged(self) -> None:
        """
        Raises:
            DataError: the file has changed since it was hashed.
            StorageError: it cannot be read any more.
        """
        status = _stat(self.path)
        if (status.st_size, status.st_mtime_ns) != (self.num_bytes, self.modified):
            raise DataError(f"{self.path} changed while it was read", "run the same command again")


@dataclass(frozen=True, slots=True)
class LocalTask:
    """A task that reads files of the user. It fails if one of them changes while it is read."""

    task: SourceTask
    files: tuple[InputFile, ...]
    is_checked: bool = True
    """False where another machine reads, whose copies of the files may have other times."""

    @property
    def key(self) -> str | None:
        """The key of the task, with the names of the files, which notes in corpus.json mention."""
        names = ", ".join(file.name for file in self.files)
        return None if self.task.key is None else f"{self.task.key} of {names}"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        yield from self.task.documents(page_counts)
        if self.is_checked:
            for file in self.files:
                file.check_unchanged()


def hash_inputs(named_paths: Iterable[tuple[str, Path]]) -> list[InputFile]:
    """Return the files with their hashes, in the same order.

    Raises:
        StorageError: a file cannot be read.
    """
    found = [(name, path, _stat(path)) for name, path in named_paths]
    folders: dict[Path, list[tuple[Path, os.stat_result]]] = {}
    for _, path, status in found:
        folders.setdefault(path.absolute().parent, []).append((path, status))
    hashes = {path: digest for folder, files in folders.items() for path, digest in _hash_folder(folder, files)}
    return [InputFile(name, path, status.st_size, status.st_mtime_ns, hashes[path]) for name, path, status in found]


def _hash_folder(folder: Path, files: Sequence[tuple[Path, os.stat_result]]) -> Iterator[tuple[Path, str]]:
    """Yield each file with its hash: from the cache if its size, times and inode are the same there."""
    if sum(status.st_size for _, status in files) < CACHED_BYTES:
        yield from ((path, sha256(path)) for path, _ in files)
        return
    record = cache_directory() / "hashes" / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.json"
    known = _read_record(record)
    changed: dict[str, Any] = {}
    for path, status in files:
        state, key = _state(status), ascii(path.name)  # a name that is not UTF-8 has an ASCII form too
        digest = _find_digest(known.get(key), state)
        if digest is None:
            start = time.time_ns()
            digest = sha256(path)
            if _state(_stat(path)) == state and start - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
                changed[key] = [*state, digest]
        yield path, digest
    if changed:
        # The cache only saves time: if it cannot be written, the next command reads the files again.
        with contextlib.suppress(StorageError):
            make_directory(record.parent)
            write_json(record, {**known, **changed})


def _find_digest(entry: object, state: list[int]) -> str | None:
    match entry:
        case [*known_state, str(digest)] if known_state == state:
            return digest
        case _:
            return None


def _read_record(path: Path) -> dict[str, Any]:
    """Return the states and hashes of files; nothing if they are missing or damaged, so that files are hashed again."""
    try:
        content = read_json(path)
    except (OSError, ValueError, StorageError):
        return {}
    return content if isinstance(content, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _state(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _stat(path: Path) -> os.stat_result:
    with storage_errors(path, "read"):
        return path.stat()
