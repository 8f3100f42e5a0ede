"""Pages of a dump -> documents, in pieces that any process can do.

multistream file   RangeTask: the worker reads, parses and cleans its range of bz2 streams
any other file     PagesTask: one process reads and parses, workers clean what it hands them
                   page ── namespace 0, no redirect, wikitext ──> clean ──> Document; the rest to the census
"""

import contextlib
import hashlib
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType
from urllib.parse import urlsplit

from charlm.errors import DataError
from charlm.text.code_version import reading_version
from charlm.text.document import Document, PageCounts, SourceTask
from charlm.text.download.range_cache import SparseFile
from charlm.text.dump.counts import excerpt_note
from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.pages import Page
from charlm.text.dump.plan import DumpPlan, read_range
from charlm.text.dump.ranges import DumpRange
from charlm.text.wikitext import Cleaner
from charlm.text.wikitext.placeholders import MathMode

_PAGES_BYTES = 4_000_000  # of wikitext in a PagesTask: half a second of cleaning, little to send
_PAGE_TIMEOUT = 300.0  # seconds; bounds inside the cleaner make this a bug rather than a policy

_URL_ESCAPES = str.maketrans(
    {" ": "_", "%": "%25", "?": "%3F", '"': "%22", "#": "%23", "[": "%5B", "]": "%5D", "\\": "%5C"}
)


@dataclass(frozen=True)
class RangeTask:
    """The articles of some whole bz2 streams."""

    key: str
    plan: DumpPlan
    range: DumpRange
    math: MathMode
    sort_key_limit: int | None = None
    """Only articles whose `page_sort_key` by `seed` is less: of a subset's last piece as many as there is room for."""
    seed: int = 0

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        if isinstance(self.plan.path, SparseFile):
            self.plan.path.fetch(self.range.start, self.range.end)
        pages = read_range(self.plan, self.range)
        sort_key_limit = self.sort_key_limit
        keep = None if sort_key_limit is None else lambda page: page_sort_key(self.seed, page) < sort_key_limit
        yield from clean_pages(pages, self.plan.siteinfo, self.math, page_counts, keep)
        if pages.excerpt:
            page_counts.notes.append(excerpt_note(self.plan.path))


@dataclass(frozen=True)
class PagesTask:
    """Articles whose pages another process has read. `note` is what that process has to say of the file."""

    key: str
    siteinfo: SiteInfo
    pages: tuple[Page, ...]
    math: MathMode
    note: str = ""

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        yield from clean_pages(self.pages, self.siteinfo, self.math, page_counts)
        if self.note:
            page_counts.notes.append(self.note)


def task_key(digest: str, math: MathMode) -> str:
    """What the documents of a file, whose hash is `digest`, depend on."""
    return f"{digest} {reading_version()} math {math}"


def page_sort_key(seed: int, page: str) -> int:
    """A number of 64 bits for a page, by its id: its place in an order by chance that is the same everywhere."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {page}".encode(), digest_size=8).digest(), "big")


def make_tasks(dump: DumpPlan, digest: str, math: MathMode = "drop") -> Iterator[SourceTask]:
    """The pieces of one dump file, whose hash is `digest`."""
    key = task_key(digest, math)
    if len(dump.ranges) > 1:
        for range_ in dump.ranges:
            yield RangeTask(f"{key} bytes {range_.start} to {range_.end}", dump, range_, math)
        return
    reader = read_range(dump, next(iter(dump.ranges)))
    first = 0
    batch: list[Page] = []
    size = 0
    for page in reader:
        batch.append(page)
        size += len(page.text)
        if size >= _PAGES_BYTES:
            yield PagesTask(f"{key} pages from {first}", dump.siteinfo, tuple(batch), math)
            first += len(batch)
            batch, size = [], 0
    note = excerpt_note(dump.path) if reader.excerpt else ""
    yield PagesTask(f"{key} pages from {first} on", dump.siteinfo, tuple(batch), math, note)


def clean_pages(
    pages: Iterable[Page],
    site: SiteInfo,
    math: MathMode,
    page_counts: PageCounts,
    keep: Callable[[str], bool] | None = None,
) -> Iterator[Document]:
    """The documents among some pages; every page is counted. Articles whose id is not `keep` are not cleaned."""
    cleaner = Cleaner(site.language, site.namespaces, math=math)
    for page in pages:
        page_counts.pages += 1
        reason = _drop_reason(page) or ("max_characters" if keep and not keep(page.id) else "")
        if reason:
            page_counts.dropped[reason] += 1
            continue
        with _time_limit(page):
            cleaned = cleaner.clean(page.text, page.title)
        if cleaned.exceeded_limit:
            page_counts.dropped["limit"] += 1
            page_counts.notes.append(f"page {page.id} ({page.title}) left out: {cleaned.exceeded_limit}")
        elif cleaned.text:
            yield Document(page.id, page.title, cleaned.text, _url(site, page.title))
        else:
            page_counts.dropped["no text left"] += 1


def _drop_reason(page: Page) -> str:
    """Why a page is no article; empty if it is one."""
    if page.namespace != 0:
        return "namespace"
    if page.redirect:
        return "redirect"
    if page.model != "wikitext":
        return "model"
    return "" if page.text.strip() else "empty"


def _url(site: SiteInfo, title: str) -> str:
    """The page's address, which is its attribution; empty where the dump does not say what site it is of."""
    host = urlsplit(site.base).netloc
    return f"https://{host}/wiki/{title.translate(_URL_ESCAPES)}" if host else ""


@contextlib.contextmanager
def _time_limit(page: Page) -> Generator[None, None, None]:
    """End with an error that names the page if cleaning it takes five minutes (where there are POSIX timers)."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise DataError(
            f"cleaning page {page.id} ({page.title}) takes longer than {_PAGE_TIMEOUT:g} s",
            "please report the page; leave its part of the dump out to go on",
        )

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _PAGE_TIMEOUT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
