"""Inputs as the user gives them (a file, a folder, a glob; `-` is standard input) -> files and their names."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from charlm.errors import DataError, UsageError
from charlm.storage import expand_home
from charlm.suggestions.words import nearest

STDIN = "-"
_MAX_NAMES_COMPARED = 1000  # names in a folder that are compared for a suggestion


def is_glob(user_path: str) -> bool:
    """Return whether an input is a pattern; if a file of exactly that name exists, it is not."""
    return glob.has_magic(user_path) and not os.path.lexists(user_path)


def glob_root(pattern: str) -> Path:
    """Return the folder that a glob searches."""
    parts = Path(pattern).parts
    return Path(*(part for part in parts[: next(n for n, part in enumerate(parts) if glob.has_magic(part))]))


def check_input(user_path: str, source: str) -> None:
    """Check that an input exists and can be read.

    Args:
        source: the `type` of the source that reads it, for messages.

    Raises:
        UsageError: it does not exist, or it is not a file, a folder or a glob with matches.
    """
    if user_path == STDIN:
        return
    path = expand_home(user_path)
    if is_glob(str(path)):
        user_path = str(path)
        if not any(True for _ in list_files([user_path])):
            raise UsageError(f"no file matches {user_path}", "check the pattern given with --input")
    elif has_scheme(user_path):
        raise UsageError(
            f"{user_path} is a URL, but --source {source} reads files", "download it and give the file with --input"
        )
    elif not path.exists():
        raise no_file_error(path)
    elif not path.is_dir() and not path.is_file():
        raise UsageError(f"{path} is not a regular file", "pipe it into standard input and give --input -")


def input_exists(user_path: str, *, may_be_glob: bool) -> bool:
    """Return whether there is a file or a folder for an input; URLs and standard input count as existing."""
    if user_path == STDIN or has_scheme(user_path):
        return True
    path = expand_home(user_path)
    if may_be_glob and is_glob(str(path)):
        return any(True for _ in list_files([user_path]))
    return path.exists()


def has_scheme(user_path: str) -> bool:
    """Return whether an input is a URL of any scheme."""
    return re.match(r"[a-z][a-z0-9+.-]+://", user_path, re.IGNORECASE) is not None


def is_url(user_path: str) -> bool:
    """Return whether an input is a URL that charlm can download."""
    return re.match(r"https?://", user_path, re.IGNORECASE) is not None


def strip_compression_suffix(name: str) -> str:
    """Return the name without a final `.gz`, `.bz2`, `.xz` or `.zip`."""
    return re.sub(r"\.(gz|bz2|xz|zip)$", "", name)


def no_file_error(path: Path) -> UsageError:
    """Return the error for an input that is no regular file: it is missing, a folder, or a link to nothing."""
    if path.is_dir():
        return UsageError(f"{path} is a folder, not a file", "give a file in it with --input")
    if path.exists():
        return UsageError(f"{path} is not a regular file", "copy it into a file, and give that with --input")
    if path.is_symlink():
        return UsageError(f"{path} is a link to {path.readlink()}, which does not exist", "correct the link")
    return UsageError(f"there is no file {path}", suggest_file(path) or "check the path given with --input")


def suggest_file(path: Path) -> str:
    """Return `did you mean novel.txt?` if the folder of a missing file has a similar name; otherwise ""."""
    try:
        names = [other.name for other in islice(path.parent.iterdir(), _MAX_NAMES_COMPARED)]
    except OSError:
        return ""
    close = nearest(path.name, sorted({*names} - {path.name}))  # a link to nothing has its own name
    return f"did you mean {path.with_name(close)}?" if close else ""


def list_files(inputs: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each file, in the order of the inputs; the files of a folder sorted by name."""
    for path in (expand_home(user_path) for user_path in inputs if user_path != STDIN):
        user_path = str(path)
        if is_glob(user_path):
            found = (Path(name) for name in glob.iglob(user_path, recursive=True))  # noqa: PTH207 - Path.glob: no files for **
            base = glob_root(user_path)
        elif path.is_dir():
            found, base = path.rglob("*"), path
        else:
            found, base = iter((path,)), path.parent
        for file in sorted(file for file in found if file.is_file()):
            yield _document_id(file.relative_to(base)), file


def _document_id(path: Path) -> str:
    try:
        path.as_posix().encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"the name of {path} is not UTF-8", "rename the file") from error
    return path.as_posix()
