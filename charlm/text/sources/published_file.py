"""A benchmark file with a published size and hash: a local copy, or downloaded once and kept in the cache.

    --input ───────────────────────────────────────────────────────────────┬──> path ──> one task ──> one document
    URL ── download ──> NAME.zip ── unzipped, checked ──> CACHE/NAME/NAME ─┘

A file of the published size must have the published hash. A shorter one is taken for the beginning of the file, and
corpus.json has a note.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import DataError, NetworkError
from charlm.storage import DirectoryLock, atomic_file, cache_directory, expand_home, make_directory, remove_tree
from charlm.text.code_version import code_version
from charlm.text.document import Document, DownloadPlan, PageCounts, Source, SourceTask
from charlm.text.download.retry import RetryPolicy
from charlm.text.download.whole_file import download
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.documents import rechunk_text
from charlm.text.reading.input_files import InputFile, LocalTask, hash_inputs
from charlm.text.reading.inputs import no_file_error
from charlm.text.reading.unpacking import DAMAGED_FILE_CURE, MAGIC
from charlm.text.settings import Enwik8Settings, Text8Settings
from charlm.version import __version__

LICENCE = "GFDL, CC BY-SA 3.0 since 2009 (Wikipedia's text of March 2006)"


@dataclass(frozen=True, slots=True)
class BenchmarkFile:
    """The published facts about a file."""

    name: str
    size: int
    """In bytes."""
    algorithm: str
    digest: str
    zip_bytes: int
    """Size of the archive at the default URL in bytes; shown before the download, never checked."""

    def verified(self, display_name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the same bytes.

        Raises:
            DataError: they are more than the published file has, or as many but with another hash.
        """
        hashed, size = hashlib.new(self.algorithm, usedforsecurity=False), 0
        for chunk in chunks:
            hashed.update(chunk)
            size += len(chunk)
            if size > self.size:
                raise DataError(
                    f"{display_name} has more than the {self.size:,} bytes of {self.name}",
                    f"give the published {self.name}",
                )
            yield chunk
        if size == self.size and hashed.hexdigest() != self.digest:
            raise DataError(
                f"{display_name} is not {self.name}: its {self.algorithm} is {hashed.hexdigest()} instead"
                f" of {self.digest}",
                DAMAGED_FILE_CURE,
            )

    def note(self, size: int) -> list[str]:
        """Return the remark for corpus.json if the file is only a beginning."""
        return [f"the first {size:,} of {self.name}'s {self.size:,} bytes"] if size < self.size else []


@dataclass(frozen=True)
class BenchmarkTask(ABC):
    """The whole file, read as one document."""

    path: Path
    sha256: str
    """Hash of the file on disk, compressed or not."""
    benchmark: BenchmarkFile

    @property
    def key(self) -> str:
        return f"{self.benchmark.name} {code_version()} {self.sha256}"

    @abstractmethod
    def read_text(self, page_counts: PageCounts) -> Iterator[str]:
        """Yield the text in fragments; at the end, add remarks to `page_counts`."""

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        """
        Raises:
            DataError: neither the published file nor a beginning of it.
        """
        name = self.benchmark.name
        page_counts.pages += 1
        empty = True
        for text, is_last in rechunk_text(self.read_text(page_counts)):
            empty = False
            yield Document(name, name, text, is_last_piece=is_last)
        if empty:
            raise DataError(f"there is no text in {self.path}", f"give {name} or a beginning of it")


class BenchmarkSource(Source):
    """The document of a benchmark file. Published results cut it at byte offsets: 90, 5 and 5 million."""

    split_method = "bytes"

    def __init__(
        self,
        settings: Enwik8Settings | Text8Settings,
        benchmark: BenchmarkFile,
        make_task: Callable[[Path, str, BenchmarkFile], BenchmarkTask],
        *,
        cache: Path | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        """
        Args:
            make_task: (path, its SHA-256, the published facts) -> the task that reads the document.

        Raises:
            UsageError: the input does not exist.
        """
        inputs = settings.input
        self._benchmark = benchmark
        self._is_user_file = bool(inputs)
        self._url = settings.url
        self._make_task = make_task
        self._directory = (cache or cache_directory()) / benchmark.name
        self._retry_policy = retry_policy
        self._path = expand_home(inputs[0]) if inputs else self._directory / benchmark.name
        self._file: InputFile | None = None
        self._distributed = False
        if inputs and not self._path.is_file():
            raise no_file_error(self._path)

    def tasks(self) -> Iterator[SourceTask]:
        """Yield the file as one task, after its download if it is missing."""
        self.fetch()
        file = self._hashed_file()
        task = self._make_task(self._path, file.sha256, self._benchmark)
        yield LocalTask(task, (file,), is_checked=not self._distributed)

    def prepare_for_remote_workers(self) -> None:
        """Let the workers read copies of the file that may have other times."""
        self._distributed = True

    def download_plan(self) -> DownloadPlan | None:
        """Return what `fetch` would download; None if the file is there."""
        if self._path.is_file():
            return None
        return DownloadPlan(self._benchmark.name, self._benchmark.zip_bytes, self._directory)

    def fetch(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download and decompress the archive, if the file is missing.

        Raises:
            NetworkError: the server did not send it.
            DataError: the server sent another file.
            StorageError: the disk is full or cannot be written.
        """
        if self._path.is_file():
            return
        archive = self._directory / f"{self._benchmark.name}.zip"
        make_directory(self._directory)
        with DirectoryLock(self._directory):
            if not archive.is_file():
                try:
                    download(
                        [self._url], archive, size=None, sha1=None, md5=None, magic=MAGIC["zip"],
                        user_agent=f"charlm/{__version__}", on_progress=on_progress, retry_policy=self._retry_policy,
                    )  # fmt: skip
                except NetworkError as error:
                    cure = "check the network and corpus.source.url, or give a copy of the file with --input"
                    raise NetworkError(error.what, cure) from error
            try:
                self._unpack(archive)
            except DataError:
                remove_tree(archive)  # the next attempt must download it again
                raise
            remove_tree(archive)

    def _unpack(self, archive: Path) -> None:
        size = 0
        with atomic_file(self._path) as file:
            for chunk in self._benchmark.verified(self._url, read_chunks(archive)):
                file.write(chunk)
                size += len(chunk)
            if size < self._benchmark.size:
                raise DataError(
                    f"{self._url} has {size:,} instead of {self._benchmark.size:,} bytes", "check corpus.source.url"
                )

    def refresh(self) -> None:
        """Delete a damaged copy from the cache; the file on the server never changes."""
        if self._is_user_file or not self._path.is_file():
            return
        try:
            size = sum(map(len, self._benchmark.verified(str(self._path), read_chunks(self._path))))
        except DataError:
            size = -1
        if size != self._benchmark.size:
            self.discard()

    def discard(self) -> None:
        """Delete the cached file."""
        if not self._is_user_file:
            remove_tree(self._path)

    def fingerprint(self) -> str:
        """Return a hash of the content of the file."""
        return self._hashed_file().sha256 if self._is_user_file else self._benchmark.digest

    def local_files(self) -> list[dict[str, Any]]:
        return [self._hashed_file().entry()] if self._is_user_file else []

    def origin(self) -> dict[str, Any]:
        """Return the entry of corpus.json."""
        return {
            "source": self._benchmark.name,
            "name": self._benchmark.name,
            "language": "en",
            "licence": LICENCE,
            "urls": [] if self._is_user_file else [self._url],
            "files": [self._hashed_file().entry()],
            "fingerprint": self.fingerprint(),
        }

    def _hashed_file(self) -> InputFile:
        """Return the file on disk, compressed or not; it is hashed once."""
        if self._file is None:
            self._file = hash_inputs([(self._path.name, self._path)])[0]
        return self._file
