"""Plain text files -> documents, one per file, every character kept but one leading byte order mark."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm.errors import DataError, SettingsError, UsageError
from charlm.storage import storage_errors
from charlm.text.document import Census, Document, Source

if TYPE_CHECKING:
    from charlm.text.settings import TextSettings


class TextSource(Source):
    """The files of `settings.input`; a folder stands for every file below it, in order of name."""

    def __init__(self, settings: "TextSettings") -> None:
        """
        Raises:
            SettingsError: there is no input.
            UsageError: an input does not exist.
        """
        if not settings.input:
            raise SettingsError("the source `text` has no input", "name files or folders with --input PATH")
        self.census = Census()
        self._inputs = [Path(name) for name in settings.input]
        for given in self._inputs:
            if not given.is_dir() and not given.is_file():
                raise UsageError(f"there is no file {given}", "check the path given with --input")
        self._hashes: dict[str, str] = {}

    def origin(self) -> dict[str, Any]:
        return {"source": "text", "files": dict(self._hashes)}

    def documents(self) -> Iterator[Document]:
        """
        Raises:
            DataError: a file, or its name, is not UTF-8; names the offset.
            StorageError: a file cannot be read.
        """
        for name, path in self._files():
            self.census.pages += 1
            with storage_errors(path, "read"):
                content = path.read_bytes()
            self._hashes[name] = hashlib.sha256(content).hexdigest()
            text = _decode(path, content)
            if text:
                yield Document(name, path.stem, text)
            else:
                self.census.dropped["empty"] += 1

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Name (the path below its input: equal trees give equal corpora wherever they lie) and path of each file."""
        for given in self._inputs:
            if given.is_dir():
                for path in sorted(path for path in given.rglob("*") if path.is_file()):
                    yield _document_id(path.relative_to(given)), path
            else:
                yield _document_id(Path(given.name)), given


def _document_id(path: Path) -> str:
    try:
        path.as_posix().encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"the name of {path} is not UTF-8", "rename that file") from error
    return path.as_posix()


def _decode(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {content[error.start]:#04x} at offset {error.start}",
            "convert the file to UTF-8",
        ) from error
    return text.removeprefix("\ufeff")
