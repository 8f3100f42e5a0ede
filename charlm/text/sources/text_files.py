"""Plain text files -> documents. Every character is kept, except a leading byte order mark.

input ── folders, globs, - ──> files ── hashed ──> tasks: groups of files, or one large file ──> documents
"""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from charlm.errors import DataError, SettingsError, UsageError
from charlm.storage import storage_errors
from charlm.text.code_version import code_version
from charlm.text.document import Document, InProcessTask, PageCounts, Source, SourceTask, digest_entries
from charlm.text.reading.chunks import read_chunks, reject_binary
from charlm.text.reading.decoding import Decoder, OnError
from charlm.text.reading.documents import DocumentUnit, read_documents
from charlm.text.reading.input_files import InputFile, hash_inputs
from charlm.text.reading.inputs import STDIN, check_input, list_files, strip_compression_suffix
from charlm.text.settings import TextSettings

_CHUNK = 1 << 18
_TASK_BYTES = 16 << 20
_TASK_FILES = 1_000
_INDEX_LINE = re.compile(rb"""\s*\{\s*"index"\s*:\s*\{[^{}]*"_id"\s*:""")
_MOST_NAMED = 1_000
"""Files that corpus.json lists; of more files it has only the number."""


@dataclass(frozen=True, slots=True)
class TextReader:
    """How files are read."""

    unit: DocumentUnit
    encoding: str
    on_error: OnError

    def documents(
        self, name: str, display_name: str, chunks: Iterable[bytes], page_counts: PageCounts
    ) -> Iterator[Document]:
        """Yield the documents in the bytes of a file; errors call it `display_name`."""
        chunks = _reject_search_dump(display_name, chunks)
        decoder = Decoder(self.encoding, self.on_error)
        title = Path(strip_compression_suffix(name)).stem
        yield from read_documents(name, title, decoder.decode(display_name, chunks), self.unit, page_counts)
        if decoder.num_replaced:
            how_often = f"{decoder.num_replaced:,} times" if decoder.num_replaced > 1 else "once"
            page_counts.notes.append(
                f"{name}: bytes that are not {self.encoding.upper()} were replaced by U+FFFD {how_often}"
            )


@dataclass(frozen=True)
class TextTask(SourceTask):
    """Several files, read one after the other."""

    files: tuple[InputFile, ...]
    reader: TextReader

    @property
    def key(self) -> str:
        reader, content = self.reader, digest_entries(file.entry() for file in self.files)
        return f"text {code_version()} {reader.unit} {reader.encoding} {reader.on_error} {content}"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        """
        Raises:
            DataError: a file is not in the encoding (names the offset), is not text, or changed after it was hashed.
            StorageError: a file cannot be read.
        """
        for file in self.files:
            yield from self.reader.documents(file.name, str(file.path), read_chunks(file.path), page_counts)
            file.check_unchanged()


class TextSource(Source):
    """The files of `settings.input`; a folder means every file below it, in the order of their names."""

    def __init__(self, settings: TextSettings) -> None:
        """
        Raises:
            SettingsError: there is no input, or standard input is given twice.
            UsageError: an input does not exist.
        """
        if not settings.input:
            raise SettingsError("--source text has no input", "give files or folders with --input PATH")
        if settings.input.count(STDIN) > 1:
            raise SettingsError("--input - is given twice", "give it once: standard input can be read only once")
        self._reader = TextReader(settings.documents, settings.encoding, settings.errors)
        self._inputs = settings.input
        for user_path in self._inputs:
            check_input(user_path, settings.type)
        self._text_files: list[InputFile] | None = None
        self._stdin_entry: dict[str, Any] | None = None
        self._stdin_read = False

    def origin(self) -> dict[str, Any]:
        """Return the entry of corpus.json: name, size and hash of each file, or only one hash if there are many."""
        entries = self.local_files() + ([self._stdin_entry] if self._stdin_entry else [])
        summary = {"files": entries} if len(entries) <= _MOST_NAMED else {"num_files": len(entries)}
        return {
            "source": "text",
            **summary,
            "fingerprint": digest_entries(entries),
        }

    def local_files(self) -> list[dict[str, Any]]:
        """Return name, size and hash of each file but standard input."""
        return [file.entry() for file in self._files()]

    def fingerprint(self) -> str | None:
        """Return a hash of the names and the content of all files; None if one is standard input."""
        return None if STDIN in self._inputs else digest_entries(self.local_files())

    def tasks(self) -> Iterator[SourceTask]:
        """Yield groups of files; standard input, which only this process can read, is a task too.

        Raises:
            DataError: the name of a file is not UTF-8.
            StorageError: a file cannot be read.
        """
        files = self._files()
        if STDIN not in self._inputs:
            yield from (
                self._group(files) if files else [TextTask((), self._reader)]
            )  # an empty folder has one empty task
            return
        num_before = sum(1 for _ in list_files(self._inputs[: self._inputs.index(STDIN)]))
        yield from self._group(files[:num_before])
        yield InProcessTask(self._read_stdin)
        yield from self._group(files[num_before:])

    def _group(self, files: Sequence[InputFile]) -> Iterator[SourceTask]:
        group: list[InputFile] = []
        size = 0
        for file in files:
            if group and (size + file.num_bytes > _TASK_BYTES or len(group) == _TASK_FILES):
                yield TextTask(tuple(group), self._reader)
                group, size = [], 0
            group.append(file)
            size += file.num_bytes
        if group:
            yield TextTask(tuple(group), self._reader)

    def _files(self) -> list[InputFile]:
        """Return every file but standard input, in order; they are hashed once."""
        if self._text_files is None:
            names: Counter[str] = Counter()
            named_paths: list[tuple[str, Path]] = []
            for name, path in list_files(self._inputs):
                names[name] += 1
                unique = (
                    name if names[name] == 1 else f"{name} ({names[name]})"
                )  # the same name in two folders: ids are unique
                named_paths.append((unique, path))
            self._text_files = hash_inputs(named_paths)
        return self._text_files

    def _read_stdin(self, page_counts: PageCounts) -> Iterator[Document]:
        stdin: TextIO | None = sys.stdin  # None, or (from `cli`) a file that cannot be read, if the parent closed it
        if self._stdin_read or stdin is None or not stdin.readable():
            raise UsageError("standard input was read before or is closed", "give the text as a file")
        self._stdin_read = True
        hashed, size = hashlib.sha256(), 0

        def chunks() -> Iterator[bytes]:
            nonlocal size
            with storage_errors(Path("standard input"), "read"):
                while chunk := stdin.buffer.read(_CHUNK):
                    hashed.update(chunk)
                    size += len(chunk)
                    yield chunk

        display_name = "standard input"
        yield from self._reader.documents("stdin", display_name, reject_binary(display_name, chunks()), page_counts)
        self._stdin_entry = {"name": "stdin", "bytes": size, "sha256": hashed.hexdigest()}


def _reject_search_dump(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, unless they begin as a search dump of a wiki does."""
    for number, chunk in enumerate(chunks):
        if number == 0 and _INDEX_LINE.match(chunk):
            raise DataError(f"{name} is a search dump of a wiki, whose text is in JSON", "read it with --source hub")
        yield chunk
