"""Whole files: a name is either absent or holds a whole, durable file.

bytes, text, JSON, arrays ──> `atomic_file` ──> temporary name, fsync, rename, fsync of the folder ──> the final name
                                           └──> a pipe, a device or /dev/stdout: written through (`special_files`)
"""

import contextlib
import glob
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO, Any

from charlm.storage.directories import cache_directory, remove_tree, sync_directory
from charlm.storage.disk_errors import storage_error, storage_errors
from charlm.storage.special_files import follow_links, is_special, write_through


@contextlib.contextmanager
def atomic_file(path: Path) -> Generator[IO[bytes], None, None]:
    """Open a seekable binary file that appears at `path`, whole and durable, when the block ends without an error.

    If `path` is a link, the link stays and its target is replaced. A pipe, a device or /dev/stdout stays too: the
    content is written into it when the block has ended.
    """
    with storage_errors(path):
        if is_special(path):
            with tempfile.TemporaryFile() as content:
                yield content
                content.seek(0)
                write_through(content, path)
            return
        target = follow_links(path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
            sync_directory(target.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def remove_stale_temporaries(path: Path) -> None:
    """Remove the temporary files that killed writers of `path` left beside it."""
    with storage_errors(path.parent, "read"):
        target = follow_links(path)
        found = list(target.parent.glob(f".{glob.escape(target.name)}.*.tmp"))
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
        return True  # a process of another user
    return True


def write_bytes(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode("utf-8"))


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name: by a hard link, or by a copy if the file system has no links.

    Files are never written in place, so a change under one name does not change the other.
    """
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links; if the disk fails, the copy raises
        with storage_errors(source, "read"), open(source, "rb") as content, atomic_file(target) as file:
            shutil.copyfileobj(content, file)
    else:
        with storage_errors(target):
            sync_directory(target.parent)


@contextlib.contextmanager
def scratch_file(size: int) -> Generator[IO[bytes], None, None]:
    """Open a file of zeros without a name, in the cache. It disappears when nothing uses it any more, such as a memory
    map that is made of it.

    Args:
        size: in bytes. They are reserved at once, so that a full disk is found here.
    """
    folder = cache_directory()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            yield file


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with storage_errors(path, "read"), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(content: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """Return JSON as charlm writes it everywhere: non-ASCII characters unescaped, no NaN."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=indent)


def from_json(text: str) -> Any:
    """Parse JSON; raise ValueError for invalid JSON, deep nesting and numbers that are not finite."""
    try:
        return json.loads(text, parse_float=_parse_finite_number, parse_constant=_parse_finite_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _parse_finite_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is not a finite number")
    return number


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, to_json(content) + "\n")


def read_json(path: Path) -> Any:
    """Read and parse a JSON file.

    Raises:
        StorageError: the file exists and cannot be read.
        FileNotFoundError, ValueError: it does not exist, or is not UTF-8 or not JSON; the caller names the cure.
    """
    return from_json(read_text(path))


def read_text(path: Path, *, errors: str = "strict") -> str:
    """Read a UTF-8 file.

    Raises:
        StorageError: the file exists and cannot be read.
        FileNotFoundError, UnicodeDecodeError: it does not exist, or is not UTF-8; the caller names the cure.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_error(path, "read", error) from error
    return content.decode("utf-8", errors)
