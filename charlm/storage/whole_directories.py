"""Whole directories: a name is either absent or holds all files that belong there.

files ──> `atomic_directory` ──> a temporary folder beside, renamed when it is complete ──> the final name
"""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

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
    remove_stale_temporaries(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    old = target.with_name(f".{target.name}.old.{os.getpid()}.tmp")
    try:
        make_directory(temporary)
        yield temporary
        if target.exists():
            rename(target, old)
        rename(temporary, target)
    except BaseException:
        if old.exists() and not target.exists():
            rename(old, target)
        remove_tree(temporary)
        raise
    remove_tree(old)
