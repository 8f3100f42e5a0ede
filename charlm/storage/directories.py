"""Directories: made, checked, renamed and removed; the home directory, and the directory of cached downloads."""

import contextlib
import errno
import functools
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from charlm.storage.disk_errors import storage_errors


def expand_home(name: str) -> Path:
    """Return the path of a name, with a home directory in place of `~` or `~user` at its start.

    A file or folder that is really called so comes first, and the name stays as it is if that home is unknown.
    """
    path = Path(name)
    if not name.startswith("~") or os.path.lexists(path.parts[0]):
        return path
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def cache_directory() -> Path:
    """Return CHARLM_CACHE, or `charlm` in the platform's cache directory; in a container without a home directory, a
    folder among the temporary files that only this user can write."""
    if configured := os.environ.get("CHARLM_CACHE"):
        return expand_home(configured)
    base, home = Path(os.environ.get("XDG_CACHE_HOME", "")), _home()
    if base.is_absolute() and sys.platform != "darwin":
        return base / "charlm"
    if home is None:
        return _temporary_cache() / "charlm"
    return home / "Library" / "Caches" / "charlm" if sys.platform == "darwin" else home / ".cache" / "charlm"


def name_missing_home() -> None:
    """Name a cache to the libraries if the home directory is unknown: they would make a folder called `~`."""
    if _home() is None:
        os.environ.setdefault("XDG_CACHE_HOME", str(_temporary_cache()))


def _home() -> Path | None:
    """Return the home directory; None if HOME is not set and this user is not in the list of users."""
    try:
        return Path.home()
    except RuntimeError:
        return None


@functools.cache
def _temporary_cache() -> Path:
    """Return the same folder every time; a new one if another user could have put something into it."""
    path = Path(tempfile.gettempdir()) / f"charlm-{os.getuid()}"
    with storage_errors(path, "create"):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
        is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
        return path if is_private else Path(tempfile.mkdtemp(prefix="charlm-"))


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
    with storage_errors(path), tempfile.TemporaryFile(dir=existing):  # it has no name, so a kill leaves nothing
        pass


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
