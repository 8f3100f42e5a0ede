"""Outputs that are no regular files and are written through: pipes, devices, descriptors such as /dev/stdout.

path ── links followed ──> /proc/self/fd/N ──> the open descriptor N
                       ──> a pipe or a device ──> opened and written
                       ──> a regular file, or nothing: `whole_files` replaces it
"""

import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import IO

_MAX_LINKS = 40  # as many as Linux follows


def is_special(path: Path) -> bool:
    """Return whether a path names something that is written through and must not be replaced by a file.

    Raises:
        OSError: the path cannot be followed; its name is too long, for example.
    """
    if _find_descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def follow_links(path: Path) -> Path:
    """Return the file that a link leads to, which may not exist yet; any other path unchanged.

    Raises:
        OSError: the links lead in a circle.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def write_through(content: IO[bytes], path: Path) -> None:
    """Write the rest of `content` into a pipe, a device or an open descriptor.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = _find_descriptor(path)
    if descriptor is None:
        opened = os.open(path, os.O_WRONLY)
    else:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what was printed before comes first
        opened = os.dup(descriptor)
    with open(opened, "wb") as file:
        shutil.copyfileobj(content, file)


def _find_descriptor(path: Path) -> int | None:
    """Return N for /dev/fd/N, for /proc/self/fd/N, and for links to them; otherwise None.

    To open such a path would open its file anew, from the start: what the descriptor writes later would overwrite it.
    """
    for _ in range(_MAX_LINKS):
        folder = os.path.realpath(path.parent)
        if folder in (f"/proc/{os.getpid()}/fd", "/dev/fd") and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = Path(folder) / path.readlink()
    return None
