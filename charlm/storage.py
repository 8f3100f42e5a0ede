"""The only module that writes files: a name is either absent or holds a whole, durable file.

bytes, JSON, token arrays -> `atomic_file` -> temporary name, fsync, rename, fsync of the folder -> the final name.
Also here, because they are promises about the disk: locks (one process a directory), manifests (what makes a
checkpoint exist) and appended logs. Every OSError leaves as a StorageError that says what to do.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import socket
import sys
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from charlm.errors import BusyError, CheckpointError, StorageError

if os.name == "nt":  # native Windows is best effort
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _is_locked(descriptor: int) -> bool:
        del descriptor
        return False  # there a lock cannot be asked about without being taken
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who ask do not see one another
        except BlockingIOError:
            return True
        return False


MANIFEST = "manifest.json"
_LOCK = ".lock"
_CURES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some of your quota and run the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another file system",
    errno.EROFS: "choose a directory that can be written",
    errno.EACCES: "choose a directory that you may write, or change its permissions",
    errno.EPERM: "choose a directory that you may write, or change its permissions",
    errno.EIO: "check the disk, then run the same command again",
}


def cache_directory() -> Path:
    """CHARLM_CACHE, or `charlm` in the platform's folder for caches."""
    if configured := os.environ.get("CHARLM_CACHE"):
        return Path(configured).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "charlm"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "charlm"


@contextlib.contextmanager
def storage_errors(path: Path, verb: str = "write") -> Generator[None, None, None]:
    """Turn an OSError on `path` into a StorageError (exit code 5) with its cure."""
    try:
        yield
    except OSError as error:
        raise _storage_error(path, verb, error) from error


def _storage_error(path: Path, verb: str, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    cure = _CURES.get(error.errno or 0, "check the path and run the same command again")
    return StorageError(f"cannot {verb} {path}: {reason}", cure)


def make_directory(path: Path) -> None:
    """Create `path` and its parents; fail at once where nothing can be written."""
    with storage_errors(path, "create"):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def check_writable(path: Path) -> None:
    """Raise StorageError where nothing can be created below `path` (or below its nearest existing parent)."""
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    probe = existing / f".writable.{os.getpid()}"
    with storage_errors(path):
        probe.touch()
        probe.unlink()


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable. A no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: Path) -> Generator[IO[bytes], None, None]:
    """A binary file (seekable) that appears under `path`, whole and durable, when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with open(temporary, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_directory(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def remove_stale_temporaries(path: Path) -> None:
    """Remove what writers of `path` that were killed have left beside it."""
    with storage_errors(path.parent, "read"):
        found = list(path.parent.glob(f".{path.name}.*.tmp"))
    for leftover in found:
        pid = leftover.name.split(".")[-2]
        if pid.isdecimal() and not _is_alive(int(pid)):
            remove_tree(leftover)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def write_bytes(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode("utf-8"))


def to_json(content: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """JSON as charlm writes it everywhere: UTF-8, no NaN."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=indent)


def from_json(text: str) -> Any:
    """The inverse of `to_json`. ValueError, whatever is wrong: no JSON, nested too deeply, or a number not finite."""
    try:
        return json.loads(text, parse_float=_parse_finite_number, parse_constant=_parse_finite_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _parse_finite_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is no number")
    return number


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, to_json(content) + "\n")


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


def rename(source: Path, target: Path) -> None:
    """Rename a file or a directory, durably."""
    with storage_errors(target):
        os.replace(source, target)
        sync_directory(target.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """The same content under a second name: a hard link, or a copy where the file system has none.

    Files are never written in place, so what is done to one name leaves the other as it is.
    """
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links; where the disk is at fault, copying says so
        with storage_errors(source, "read"), open(source, "rb") as content, atomic_file(target) as file:
            shutil.copyfileobj(content, file)
    else:
        with storage_errors(target):
            sync_directory(target.parent)


def remove_tree(path: Path) -> None:
    """Remove a file or a directory and everything in it, if it is there."""
    with storage_errors(path, "remove"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with storage_errors(path, "read"), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(directory: Path, metadata: Mapping[str, Any]) -> None:
    """List every file of `directory` with its size and SHA-256. Written last: it is what makes the directory exist."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(directory.iterdir())
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    }
    write_json(directory / MANIFEST, {**metadata, "files": files})


def has_manifest(directory: Path) -> bool:
    """Whether the directory is whole."""
    return (directory / MANIFEST).is_file()


def read_json(path: Path) -> Any:
    """Parsed JSON; FileNotFoundError and ValueError (no UTF-8, no JSON) are the caller's to name.

    Raises:
        StorageError: the file is there and cannot be read.
    """
    return from_json(read_text(path))


def read_text(path: Path, *, errors: str = "strict") -> str:
    """The text of a UTF-8 file; FileNotFoundError and UnicodeDecodeError (a ValueError) are the caller's to name.

    Raises:
        StorageError: the file is there and cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _storage_error(path, "read", error) from error
    return content.decode("utf-8", errors)


def verify_manifest(directory: Path, cure: str) -> dict[str, Any]:
    """Check every file that the manifest of `directory` names; return the manifest.

    Raises:
        CheckpointError: there is no manifest, or a file is missing, of another size, or of another content.
    """
    path = directory / MANIFEST
    try:
        manifest = read_json(path)
        files = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
    except FileNotFoundError as error:
        raise CheckpointError(f"{directory} has no {MANIFEST}, so it is not a complete checkpoint", cure) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged", cure) from error
    with storage_errors(directory, "read"):
        present = {file.name for file in directory.iterdir() if file.is_file()}
    for name, (size, digest) in files.items():
        file = directory / name
        if name not in present:
            raise CheckpointError(f"{file} is missing", cure)
        if file.stat().st_size != size:
            raise CheckpointError(f"{file} has {file.stat().st_size:,} bytes instead of {size:,}", cure)
        if sha256(file) != digest:
            raise CheckpointError(f"{file} is damaged: its SHA-256 is not the one in {MANIFEST}", cure)
    return manifest


def _lock_with_retry(descriptor: int) -> None:
    """Lock, at the second try if need be: whoever only asks whether a lock is held, holds it for an instant."""
    try:
        _try_lock(descriptor)
    except OSError:
        time.sleep(0.05)
        _try_lock(descriptor)


class DirectoryLock:
    """One process at a time in a directory. The kernel drops the lock with its process, so none is ever stale."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _LOCK
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        make_directory(self._path.parent)
        with storage_errors(self._path):
            file = open(self._path, "a+", encoding="utf-8")
        try:
            _lock_with_retry(file.fileno())
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise BusyError(
                f"{self._path.parent} is in use by {holder}", "wait for it to end, stop it, or choose another directory"
            ) from error
        with storage_errors(self._path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def is_locked(directory: Path) -> bool:
    """Whether a process holds the lock of `directory`: asked without taking it, and without leaving a trace.

    Raises:
        StorageError: the lock is there, and may not be read.
    """
    path = directory / _LOCK
    with storage_errors(path, "read"):
        try:
            with open(path, "rb") as file:
                return _is_locked(file.fileno())
        except FileNotFoundError:
            return False
