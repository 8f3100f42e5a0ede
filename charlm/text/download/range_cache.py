"""A file on a server whose bytes are downloaded when they are read, each byte once.

    open("rb"), fetch(start, end) ── in an extent? ─ yes ──> its bytes
                                     └─ no ── RemoteFile.read ──> kept as another extent

An extent is a run of bytes that was downloaded: a file START-END in a folder, so that a rerun continues, also offline;
or in memory if there is no folder (a worker of a cluster reads its range only once).
"""

import bisect
import io
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal, cast

from charlm import storage
from charlm.text.download.range_reader import RemoteFile
from charlm.text.download.retry import RetryPolicy

_WINDOW = 1 << 18
"""Bytes downloaded at a time for a reader that has not fetched a range before."""


class NotCachedError(Exception):
    """Bytes are not cached, and `SparseFile.cached_only` forbids the download."""


class SparseFile:
    """A file-like object. Several threads may `fetch` at the same time if their ranges do not overlap."""

    def __init__(
        self,
        urls: Sequence[str],
        size: int,
        user_agent: str,
        *,
        directory: Path | None = None,
        version: str = "",
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        """
        Args:
            directory: The folder of the extents; None keeps them in memory.
            version: The ETag or date that the file must have; "" accepts any.
        """
        self.size = size
        self.cached_only = False
        """If true, a read of bytes that are not cached raises NotCachedError."""
        self.fetched_bytes = 0
        """Bytes downloaded by this object."""
        self._urls, self._user_agent, self._directory, self._version = tuple(urls), user_agent, directory, version
        self._retry_policy = retry_policy
        self._remote = RemoteFile(urls, size, user_agent, retry_policy, version)
        self._lock = threading.Lock()
        self._memory: dict[int, bytes] = {}
        self._extents = _list_extents(directory)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle everything but the retry policy; the other process uses the default one."""
        return _rebuild, (self._urls, self.size, self._user_agent, self._directory, self._version, self._memory)

    def copy_for_worker(self, start: int = 0, end: int = 0) -> "SparseFile":
        """Return the same file for a machine without this folder, with the bytes [start, end) in memory."""
        other = SparseFile(
            self._urls, self.size, self._user_agent, version=self._version, retry_policy=self._retry_policy
        )
        while start < end:
            first, content = self.read_extent(start)
            other.add_extent(start, content[start - first : end - first])
            start = first + len(content)
        return other

    def __str__(self) -> str:
        return self._urls[0]

    @property
    def name(self) -> str:
        return self._urls[0].rpartition("/")[2]

    def open(self, mode: Literal["rb"] = "rb", /) -> IO[bytes]:
        """Open the whole file; bytes that are not cached are downloaded in windows."""
        return cast("IO[bytes]", _Reader(self))

    def fetch(self, start: int, end: int) -> None:
        """Download those of the bytes [start, end) that are not cached, and no others.

        Raises:
            NetworkError: no server sent them.
            StorageError: they cannot be written.
        """
        while start < min(end, self.size):
            found = self._find_extent(start)
            start = found[1] if found else self._fetch(start, end)

    def evict(self, start: int, end: int) -> None:
        """Delete the extents that hold any of the bytes [start, end), because they are damaged."""
        with self._lock:
            for extent in [extent for extent in self._extents if extent[0] < end and start < extent[1]]:
                self._extents.remove(extent)
                self._memory.pop(extent[0], None)
                if self._directory:
                    storage.remove_tree(_path(self._directory, *extent))

    def read_extent(self, position: int) -> tuple[int, bytes]:
        """Return the start and the bytes of the extent with `position`; it is downloaded if necessary.

        At the end of the file there are no bytes.
        """
        if position >= self.size:
            return position, b""
        found = self._find_extent(position)
        if not found:
            self._fetch(position, position + _WINDOW)
            found = self._find_extent(position)
            assert found
        start, end = found
        if not self._directory:
            return start, self._memory[start]
        path = _path(self._directory, start, end)
        with storage.storage_errors(path, "read"):
            return start, path.read_bytes()

    def _find_extent(self, position: int) -> tuple[int, int] | None:
        with self._lock:
            index = bisect.bisect_right(self._extents, (position, self.size)) - 1
            found = self._extents[index] if index >= 0 else None
        return found if found and found[0] <= position < found[1] else None

    def _fetch(self, start: int, end: int) -> int:
        """Download from `start` to `end` or to the next extent; return the end."""
        if self.cached_only:
            raise NotCachedError
        with self._lock:
            index = bisect.bisect_right(self._extents, (start, self.size))
            end = min(end, self.size, *(extent[0] for extent in self._extents[index : index + 1]))
        content = self._remote.read(start, end)
        self.add_extent(start, content)
        with self._lock:
            self.fetched_bytes += len(content)
        return end

    def add_extent(self, start: int, content: bytes) -> None:
        """Store bytes of the file as an extent."""
        end = start + len(content)
        if self._directory:
            storage.make_directory(self._directory)
            storage.write_bytes(_path(self._directory, start, end), content)
        with self._lock:
            if not self._directory:
                self._memory[start] = content
            bisect.insort(self._extents, (start, end))


def _rebuild(
    urls: Sequence[str], size: int, user_agent: str, directory: Path | None, version: str, memory: dict[int, bytes]
) -> SparseFile:
    file = SparseFile(urls, size, user_agent, directory=directory, version=version)
    for start, content in memory.items():
        file.add_extent(start, content)
    return file


def _path(directory: Path, start: int, end: int) -> Path:
    return directory / f"{start}-{end}"


def _list_extents(directory: Path | None) -> list[tuple[int, int]]:
    """Return the extents by their names, in order; a file of another length than its name says is ignored."""
    found: list[tuple[int, int]] = []
    if directory and directory.is_dir():
        with os.scandir(directory) as entries:
            for entry in entries:
                name = re.fullmatch(r"(\d+)-(\d+)", entry.name)
                if name and entry.stat().st_size == int(name[2]) - int(name[1]):
                    found.append((int(name[1]), int(name[2])))
    return sorted(found)


class _Reader(io.RawIOBase):
    """The file object. A read returns at most the rest of one extent; a short read is not the end of the file."""

    def __init__(self, file: SparseFile) -> None:
        self._file = file
        self._position = 0
        self._start, self._content = 0, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size}[whence]
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        if len(view) and not self._start <= self._position < self._start + len(self._content):
            self._start, self._content = self._file.read_extent(self._position)
        at = self._position - self._start
        piece = self._content[at : at + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
