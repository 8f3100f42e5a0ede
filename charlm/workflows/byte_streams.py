"""Files that are read and written as a stream of bytes; the name `-` is standard input or output.

a file ──open_input──> read(size)           write(content) ──open_output──> a whole file under its name, or none
"""

import contextlib
import os
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charlm import storage, terminal
from charlm.errors import UsageError
from charlm.workspace import path_exists

STANDARD = "-"


@dataclass(frozen=True)
class InputStream:
    """An open input. `size` in bytes is None where nobody knows it, as of a pipe."""

    name: str
    size: int | None
    file: IO[bytes]

    def read(self, size: int, /) -> bytes:
        """
        Raises:
            StorageError: the disk fails.
        """
        with storage.storage_errors(Path(self.name), "read"):
            return self.file.read(size)


@contextlib.contextmanager
def open_input(name: str) -> Generator[InputStream, None, None]:
    """Open a file or standard input for reading.

    Raises:
        UsageError: it does not exist, or is a folder.
        StorageError: it cannot be read.
    """
    if name == STANDARD:
        yield InputStream(terminal.STANDARD_INPUT, None, terminal.stdin_bytes())
        return
    path = Path(name)
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except IsADirectoryError as error:
        raise UsageError(f"{name} is a folder, not a file", "give a file in it, or - for standard input") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        from charlm.text.reading.inputs import suggest_file

        cure = suggest_file(path) or "give a file, or - for standard input"
        raise UsageError(f"there is no file {name}", cure) from error
    except OSError as error:
        raise storage.path_error(error) from error
    with file:
        size = None if storage.is_special(path) else os.fstat(file.fileno()).st_size
        yield InputStream(name, size, file)


@contextlib.contextmanager
def open_output(name: str) -> Generator[IO[bytes], None, None]:
    """Open a file that appears under its name, whole, when the block ends without an error; or standard output."""
    if name != STANDARD:
        storage.remove_stale_temporaries(Path(name))
        with storage.atomic_file(Path(name)) as file:
            yield file
        return
    sys.stdout.flush()
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def check_output(name: str, source: str, *, overwrite: bool) -> None:
    """Check before the work begins that the output may be written.

    Args:
        source: the name of the input.

    Raises:
        UsageError: it is a terminal, it exists and must not be replaced, or it is the input.
    """
    if name == STANDARD:
        if sys.stdout.isatty():
            raise UsageError("the output is not for a terminal", "name a file with --out, or send it into a pipe")
        return
    path = Path(name)
    if not path_exists(path) or storage.is_special(path):
        return
    if path.is_dir():
        raise UsageError(f"the output {name} is a folder", "name a file with --out")
    if source != STANDARD and path_exists(Path(source)) and path.samefile(source):
        raise UsageError(f"the output {name} is the input itself", "choose another --out")
    if not overwrite:
        raise UsageError(f"{name} exists", "add --overwrite, or choose another --out")
