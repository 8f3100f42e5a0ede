"""Errors of the disk: each OSError becomes a StorageError (exit code 5) that says what to do."""

import contextlib
import errno
from collections.abc import Generator
from pathlib import Path

from charlm.errors import StorageError

_CURES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some of your quota and run the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another file system",
    errno.EROFS: "choose a directory on a writable file system",
    errno.EACCES: "choose a directory where you may write, or change its permissions",
    errno.EPERM: "choose a directory where you may write, or change its permissions",
    errno.EIO: "check the disk, then run the same command again",
}


@contextlib.contextmanager
def storage_errors(path: Path, verb: str = "write") -> Generator[None, None, None]:
    """Turn an OSError of the block into a StorageError that names `path` and the cure."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, verb, error) from error


def storage_error(path: Path, verb: str, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    cure = _CURES.get(error.errno or 0, "check the path and run the same command again")
    return StorageError(f"cannot {verb} {path}: {reason}", cure)
