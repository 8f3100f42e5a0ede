"""Errors of the disk: each OSError becomes a StorageError (exit code 5) that says what to do."""

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path

from charlm.errors import CharlmError, StorageError, UsageError
from charlm.formatting import shorten

_CURES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some of your quota and run the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another file system",
    errno.EROFS: "choose a directory on a writable file system",
    errno.EACCES: "choose a directory where you may write, or change its permissions",
    errno.EPERM: "choose a directory where you may write, or change its permissions",
    errno.EIO: "check the disk, then run the same command again",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "give a path whose links do not lead in a circle",
    errno.ENOTDIR: "give a path whose folders are not files",
    errno.EISDIR: "name a file in that folder",
}
_MAX_NAME_LENGTH = 300  # characters shown of it
_WRONG_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)


@contextlib.contextmanager
def storage_errors(path: Path, verb: str = "write") -> Generator[None, None, None]:
    """Turn an OSError of the block into a StorageError that names `path` and the cure.

    Only BrokenPipeError is left as it is: the reader of a pipe has ended, and nothing is wrong with the disk.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise storage_error(path, verb, error) from error


def path_error(error: OSError) -> CharlmError:
    """Return the error for an OSError that names its file, whose other circumstances are unknown."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    found = storage_error(Path(shorten(name, _MAX_NAME_LENGTH)), "use", error)
    return UsageError(found.what, found.cure) if error.errno in _WRONG_NAMES else found


def storage_error(path: Path, verb: str, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    cure = _CURES.get(error.errno or 0, "check the path and run the same command again")
    return StorageError(f"cannot {verb} {path}: {reason}", cure)
