"""Files that grow: logs that are appended to, and downloads that several runs may fill."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from charlm.storage.directories import make_directory, remove_tree, rename
from charlm.storage.disk_errors import storage_errors


def append_line(path: Path, line: str) -> None:
    """Append one line to a log. Durable only after `sync_file`; a torn last line is cut when a run goes on."""
    with storage_errors(path), open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def append_bytes(path: Path, content: bytes) -> None:
    """Append to a file of records, all of it or nothing, since a torn record hides what comes after it."""
    with storage_errors(path):
        size = path.stat().st_size if path.exists() else 0
        try:
            with open(path, "ab") as file:
                file.write(content)
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, size)
            raise


def sync_file(path: Path) -> None:
    with storage_errors(path), open(path, "ab") as file:
        os.fsync(file.fileno())


class PartialFile:
    """A file that several runs may fill, as `NAME.part`; it gets its final name only when `commit` is called."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        make_directory(target.parent)
        with storage_errors(self.path):
            self._file = open(self.path, "ab")  # noqa: SIM115 - closed by __exit__

    @property
    def size(self) -> int:
        return self._file.tell()

    def append(self, content: bytes) -> None:
        with storage_errors(self.path):
            self._file.write(content)

    def restart(self) -> None:
        """Throw away what is there."""
        with storage_errors(self.path):
            self._file.truncate(0)
            self._file.seek(0)

    def flush(self) -> None:
        with storage_errors(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def commit(self) -> None:
        self.flush()
        rename(self.path, self.target)

    def discard(self) -> None:
        remove_tree(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with storage_errors(self.path):
            self._file.close()
