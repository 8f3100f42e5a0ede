"""Is a process at work in a directory? Asked without taking its lock, and without leaving a trace."""

import os
from pathlib import Path

from charlm.errors import StorageError

if os.name == "nt":  # native Windows is best effort: a lock cannot be tried there without being taken

    def is_held(directory: Path) -> bool:
        """Whether a process holds the `storage.DirectoryLock` of `directory`."""
        del directory
        return False
else:
    import fcntl

    def is_held(directory: Path) -> bool:
        """Whether a process holds the `storage.DirectoryLock` of `directory`.

        Raises:
            StorageError: the lock is there, and may not be read.
        """
        path = directory / ".lock"
        try:
            with open(path, "rb") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: lists do not see one another
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}", "check its permissions") from error
        return False
