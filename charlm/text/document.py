"""What every source gives: documents of plain text, and an honest account of what it left out."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Document:
    """One article, file or entry.

    `id` decides the split, so it must stay the same from one dump to the next. Where several documents have the same,
    prepare numbers all but the first.
    """

    id: str
    title: str
    text: str
    url: str = ""
    is_last_piece: bool = True
    """False where the source's next document goes on with this one's text, as a long file does that comes in pieces."""


@dataclass(slots=True)
class PageCounts:
    """pages = documents kept + the sum of `dropped`, to the page."""

    pages: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])
    """For the reader of corpus.json: what was cut short, and which pages."""

    def add(self, other: "PageCounts") -> None:
        self.pages += other.pages
        self.dropped.update(other.dropped)
        self.notes += other.notes


class SourceTask(Protocol):
    """A piece of a source that any process can read on its own."""

    @property
    def key(self) -> str | None:
        """Names the piece and everything its documents depend on (hash of the input, settings, version of the code):
        equal keys give equal documents, so a piece that is done need not be read again. None where only the process
        that holds the task can read it; it is read again each time."""
        ...

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        """The piece's documents in order; pages and drops are counted in `page_counts`."""
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
    """What has to come over the network before a source can be read."""

    description: str
    num_bytes: int
    """Still to come; files of unknown size count as nothing."""
    directory: Path
    """The cache they go to."""


class Source(ABC):
    """Where documents come from.

    A source overrides `origin`, and `read` if one process reads it all, or `tasks` if it comes in pieces that several
    processes can read. Sources that download override more.
    """

    page_counts: PageCounts
    """What the last `documents()` counted; complete once that is exhausted."""
    split_method: Literal["auto", "bytes"] = "auto"
    """`bytes`: the splits are cut at byte offsets of the whole text, as the published ones of enwik8 and text8 are."""

    @abstractmethod
    def origin(self) -> dict[str, Any]:
        """For corpus.json: source, name, date, URLs and hashes, language, licence. No wall-clock time. Complete once
        every task has been read."""

    def read(self, page_counts: PageCounts) -> Iterator[Document]:
        """The documents, in an order that is the same every time; pages and drops are counted in `page_counts`."""
        raise NotImplementedError

    def tasks(self) -> Iterator[SourceTask]:
        """The same documents in pieces."""
        yield InProcessTask(self.read)

    def documents(self) -> Iterator[Document]:
        """The documents of all tasks, one task after the other."""
        self.page_counts = PageCounts()
        for task in self.tasks():
            yield from task.documents(self.page_counts)

    def fingerprint(self) -> str | None:
        """A hash of the whole input, where it is here and quickly read; `origin()` has the one of what was read."""
        return None

    def download_plan(self) -> DownloadPlan | None:
        """What `fetch` would download; None where everything is here."""
        return None

    def fetch(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download what is missing; `on_progress` gets the bytes so far."""
        return

    def resolved_settings(self) -> dict[str, Any]:
        """Settings that a server has decided (the date that `latest` stands for): a rerun keeps to them."""
        return {}

    def refresh(self) -> None:
        """Ask the server again, and drop from the cache what has changed or is damaged; `fetch` gets it anew."""
        return

    def discard(self) -> None:
        """Remove from the cache what was downloaded for this source."""
        return

    def prepare_for_remote_workers(self) -> None:
        """The tasks will be done by other machines: they should fetch what they need themselves, where they can."""
        return
