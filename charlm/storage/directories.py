"""Directories: made, checked, renamed and removed; and the directory of cached downloads."""

import errno
import os
import shutil
import sys
from pathlib import Path

from charlm.storage.disk_errors import storage_errors


def cache_directory() -> Path:
    """Return CHARLM_CACHE, or `charlm` in the platform's cache directory."""
    if configured := os.environ.get("CHARLM_CACHE"):
        return Path(configured).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "charlm"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "charlm"


def directory_name(path: Path) -> str:
    """Return the name of a directory as it is given: a link keeps its own name, and `.` has that of its folder."""
    return Path(os.path.abspath(path)).name  # noqa: PTH100 - `resolve` would name what a link points to


def make_directory(path: Path) -> None:
    """Create `path` and its parents; for a link, the folder that it points to.

    Raises:
        StorageError: it cannot be created, or nothing can be written there.
    """
    with storage_errors(path, "create"):
        Path(os.path.realpath(path)).mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def check_writable(path: Path) -> None:
    """Raise StorageError if nothing can be created in `path`, or in its nearest existing parent."""
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    probe = existing / f".writable.{os.getpid()}"
    with storage_errors(path):
        probe.touch()
        probe.unlink()


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; does nothing on Windows, where directories cannot be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Rename a file or a directory, durably."""
    with storage_errors(target):
        os.replace(source, target)
        sync_directory(target.parent)


def remove_tree(path: Path) -> None:
    """Remove a file or a directory with all its content, if it exists."""
    with storage_errors(path, "remove"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
