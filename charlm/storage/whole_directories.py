"""Whole directories: a name is either absent or holds all files that belong there.

files ──> `atomic_directory` ──> a temporary folder beside, renamed when it is complete ──> the final name
"""

import contextlib
import glob
import os
from collections.abc import Generator
from pathlib import Path

from charlm.errors import StorageError
from charlm.storage.directories import make_directory, remove_tree, rename
from charlm.storage.disk_errors import storage_errors
from charlm.storage.special_files import follow_links
from charlm.storage.whole_files import remove_stale_temporaries


@contextlib.contextmanager
def atomic_directory(path: Path) -> Generator[Path, None, None]:
    """Yield an empty folder, which replaces what is at `path` when the block ends without an error.

    If `path` is a link, the link stays and its target is replaced. The folder is on the same file system, and the files
    in it must be written by this package, which makes them durable.
    """
    with storage_errors(path):
        target = follow_links(path)
    make_directory(target.parent)
    restore_directory(target)
    remove_stale_temporaries(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    old = target.with_name(f".{target.name}.old.{os.getpid()}.tmp")
    for leftover in (temporary, old):  # of a killed process that had the same number
        remove_tree(leftover)
    try:
        make_directory(temporary)
        yield temporary
        if target.exists():
            rename(target, old)
        rename(temporary, target)
    except BaseException:
        with contextlib.suppress(StorageError):  # the first error says what happened
            if old.exists() and not target.exists():
                rename(old, target)
        with contextlib.suppress(StorageError):
            remove_tree(temporary)
            if target.exists():
                remove_tree(old)
        raise
    remove_tree(old)


def restore_directory(path: Path) -> None:
    """Give a folder its name back, if a process was killed between moving it aside and putting a new one in its place.

    No other process may be replacing `path`.
    """
    with storage_errors(path.parent, "read"):
        moved_aside = list(path.parent.glob(f".{glob.escape(path.name)}.old.*.tmp"))
    for old in moved_aside:
        if not path.exists():
            rename(old, path)
