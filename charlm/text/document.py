"""The types that every source shares: documents of plain text, and counts of the pages that were left out."""

import hashlib
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol


class PageVersion(NamedTuple):
    """Which version of which wiki page a document is; 0 where that is unknown."""

    page_key: int = 0
    """A 64-bit hash that all versions of a page share, whatever files they are in."""
    revision: int = 0
    """The revision id. Versions with 0 are always kept."""
    title_key: int = 0
    """A 64-bit hash of the title. A file that gives one page several titles has ids that are not to be trusted."""


UNKNOWN_VERSION = PageVersion()


def page_version(wiki: str, page_id: str, title: str, revision: int) -> PageVersion:
    """Return the version of a page of a dump.

    Args:
        wiki: database name or host of the wiki. Without it, pages of two wikis may have equal ids, so the title counts.
        page_id: empty if it is unknown.
        revision: the revision id; 0 if it is unknown, or if all versions are wanted.
    """
    if not page_id:
        return UNKNOWN_VERSION
    return PageVersion(_hash(f"{wiki} {page_id}" if wiki else f" {page_id} {title}"), revision, _hash(title))


def digest_entries(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return one hash of the names and hashes in the entries of several files."""
    content = "\n".join(f"{entry['sha256']} {entry['name']}" for entry in entries)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _hash(text: str) -> int:
    encoded = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "big", signed=True)


@dataclass(frozen=True, slots=True)
class Document:
    """One article, file or entry.

    `id` decides the split, so it must stay the same from one dump to the next. If several documents have the same id,
    prepare numbers all but the first.
    """

    id: str
    title: str
    text: str
    url: str = ""
    is_last_piece: bool = True
    """False if the source's next document continues this text, as the pieces of a long file do."""
    version: PageVersion = UNKNOWN_VERSION
    """Which version of which wiki page it is. Of several versions of a page only the newest is kept."""


@dataclass(slots=True)
class PageCounts:
    """Counts of pages: `pages` is the number of documents kept plus the sum of `dropped`."""

    pages: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    """Reason -> number of pages dropped for it."""
    notes: list[str] = field(default_factory=list[str])
    """Remarks for corpus.json, such as what was cut short or replaced."""
    cut: Counter[str] = field(default_factory=Counter[str])
    """Kind of text -> how often it was cut from pages that were kept."""
    dropped_versions: "array[int]" = field(default_factory=lambda: array("q"))
    """Versions of pages that were dropped: the three numbers of each `PageVersion`. If a page has become a redirect,
    this outdates the article that an older dump has."""

    def drop(self, reason: str, version: PageVersion = UNKNOWN_VERSION) -> None:
        """Count a page as dropped; `version` says which one it is, if that is known."""
        self.dropped[reason] += 1
        if version.page_key and version.revision:
            self.dropped_versions.extend(version)

    def add(self, other: "PageCounts") -> None:
        self.pages += other.pages
        self.dropped.update(other.dropped)
        self.notes += other.notes
        self.cut.update(other.cut)
        self.dropped_versions += other.dropped_versions


class SourceTask(Protocol):
    """A piece of a source that any process can read on its own."""

    @property
    def key(self) -> str | None:
        """Identifies the piece and everything that its documents depend on: hash of the input, settings, version of the
        code. Equal keys give equal documents, so a finished piece is not read again. None if only the process that
        holds the task can read it; then it is read every time."""
        ...

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        """Yield the documents of the piece in order, and count its pages in `page_counts`."""
        ...


@dataclass(frozen=True, slots=True)
class InProcessTask:
    """A piece of a source that only the process that holds it can read."""

    read: Callable[[PageCounts], Iterator[Document]]
    key: None = None

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        return self.read(page_counts)


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What must be downloaded before a source can be read."""

    description: str
    num_bytes: int
    """Bytes still to download; files of unknown size count as 0."""
    directory: Path
    """The folder of the cache that they go to."""


class Source(ABC):
    """A source of documents.

    A subclass overrides `origin`, and either `read` (one process reads everything) or `tasks` (several processes read
    pieces). Only sources that download something override the methods about downloads.
    """

    page_counts: PageCounts
    """The counts of the last `documents()`; complete once that iterator is exhausted."""
    split_method: Literal["auto", "bytes"] = "auto"
    """`bytes` cuts the splits at byte offsets of the whole text, as results on enwik8 and text8 do."""

    @abstractmethod
    def origin(self) -> dict[str, Any]:
        """Return the entry of corpus.json: source, name, date, URLs, hashes, language, licence; no wall-clock time.

        It is complete once every task has been read.
        """

    def read(self, page_counts: PageCounts) -> Iterator[Document]:
        """Yield all documents, in the same order every time, and count the pages in `page_counts`.

        A source defines this method or `tasks`.
        """
        raise NotImplementedError

    def tasks(self) -> Iterator[SourceTask]:
        """Yield the pieces of the source, in order."""
        yield InProcessTask(self.read)

    def documents(self) -> Iterator[Document]:
        """Yield the documents of all tasks, one task after the other."""
        self.page_counts = PageCounts()
        for task in self.tasks():
            yield from task.documents(self.page_counts)

    def local_files(self) -> list[dict[str, Any]]:
        """Return name, size and SHA-256 of each local file that decides the documents; none of a remote input."""
        return []

    def fingerprint(self) -> str | None:
        """Return a hash of the local input, or None if it is remote or can be read only once."""
        entries = self.local_files()
        return digest_entries(entries) if entries else None

    def download_plan(self) -> DownloadPlan | None:
        """Return what `fetch` would download; None if nothing is missing."""
        return None

    def fetch(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download what is missing; `on_progress` is called with the bytes downloaded so far."""
        return

    def resolved_settings(self) -> dict[str, Any]:
        """Return the settings that a server decided, such as the date of `latest`; a rerun uses the same values."""
        return {}

    def refresh(self) -> None:
        """Ask the server again and delete cached files that changed or are damaged; `fetch` downloads them again."""
        return

    def discard(self) -> None:
        """Delete the cached downloads of this source."""
        return

    def prepare_for_remote_workers(self) -> None:
        """Prepare for tasks that other machines read: if possible, each downloads what it needs."""
        return
