"""Locks: one process at a time in a directory."""

import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from charlm.errors import BusyError
from charlm.storage.directories import make_directory
from charlm.storage.disk_errors import storage_errors

if os.name == "nt":  # native Windows is best effort
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _is_locked(descriptor: int) -> bool:
        del descriptor
        return False  # Windows cannot test a lock without taking it
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two such tests do not see each other
        except BlockingIOError:
            return True
        return False


_LOCK = ".lock"


def _lock_with_retry(descriptor: int) -> None:
    """Take the lock, with a second try: `is_locked` of another process holds it for an instant."""
    try:
        _try_lock(descriptor)
    except OSError:
        time.sleep(0.05)
        _try_lock(descriptor)


class DirectoryLock:
    """The lock of a directory, which one process holds at a time; the kernel releases it when the process ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _LOCK
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        file = self._lock()
        while not self._is_at_path(file):  # its holder has moved or removed the directory
            file.close()
            file = self._lock()
        with storage_errors(self._path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        self._file = file
        return self

    def _lock(self) -> IO[str]:
        make_directory(self._path.parent)
        with storage_errors(self._path):
            file = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115 - closed by __exit__
        try:
            _lock_with_retry(file.fileno())
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise BusyError(
                f"{self._path.parent} is in use by {holder}", "wait for it to end, stop it, or choose another directory"
            ) from error
        return file

    def _is_at_path(self, file: IO[str]) -> bool:
        with storage_errors(self._path):
            try:
                return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
            except FileNotFoundError:
                return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def is_locked(directory: Path) -> bool:
    """Whether a process holds the lock of `directory`; this test neither takes the lock nor creates its file.

    Raises:
        StorageError: the lock file exists and cannot be read.
    """
    path = directory / _LOCK
    with storage_errors(path, "read"):
        try:
            with open(path, "rb") as file:
                return _is_locked(file.fileno())
        except FileNotFoundError:
            return False
