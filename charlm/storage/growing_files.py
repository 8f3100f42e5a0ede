"""Files that grow: logs that are appended to, and downloads that several processes complete one after another."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from charlm.storage.directories import make_directory, remove_tree, rename
from charlm.storage.disk_errors import storage_errors


def append_line(path: Path, line: str) -> None:
    """Append one line to a log, whole or not at all; it is durable only after `sync_file`."""
    append_bytes(path, f"{line}\n".encode())


def append_bytes(path: Path, content: bytes) -> None:
    """Append a record whole or not at all, since a torn record would hide those after it."""
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
    """A file that grows as `NAME.part`, over several processes if need be, and gets its final name by `commit`."""

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
        """Discard the content so far."""
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
