"""Pages of a dump -> documents, in tasks that any process can do.

multistream file   RangeTask: the worker reads, parses and cleans its range of bz2 streams
any other file     PagesTask: one process reads and parses, workers clean the pages that they are sent
                   page ── namespace 0, no redirect, wikitext ──> clean ──> Document; other pages are counted
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
from charlm.text.document import Document, PageCounts, SourceTask, page_version
from charlm.text.download.range_cache import SparseFile
from charlm.text.dump.counts import excerpt_note
from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.pages import Page
from charlm.text.dump.plan import DumpPlan, read_range
from charlm.text.dump.ranges import DumpRange
from charlm.text.wikitext import CleanedPage, Cleaner
from charlm.text.wikitext.placeholders import MathMode

_PAGES_BYTES = 4_000_000  # characters of wikitext in a PagesTask: half a second of cleaning, little to send
_PAGE_TIMEOUT = 300.0  # seconds; the cleaner has its own bounds, so that only a bug takes longer

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
    """Take only articles whose `page_sort_key` is less: of the last segment of a subset, those that fit."""
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
    """Articles whose pages another process has read; `note` is a remark of that process about the file."""

    key: str
    siteinfo: SiteInfo
    pages: tuple[Page, ...]
    math: MathMode
    note: str = ""

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        yield from clean_pages(self.pages, self.siteinfo, self.math, page_counts)
        if self.note:
            page_counts.notes.append(self.note)


def task_key(digest: str, math: MathMode, *, all_versions: bool = False) -> str:
    """Return the part of a task's key that all tasks of a file share; `digest` is the hash of the file."""
    return f"{digest} {reading_version()} math {math}{' all versions' if all_versions else ''}"


def page_sort_key(seed: int, page: str) -> int:
    """Return a hash of 64 bits of a page id: sorted by it, pages are in a random order that is always the same."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {page}".encode(), digest_size=8).digest(), "big")


def make_tasks(dump: DumpPlan, digest: str, math: MathMode = "drop") -> Iterator[SourceTask]:
    """Yield the tasks of one dump file, whose hash is `digest`."""
    key = task_key(digest, math, all_versions=dump.all_versions)
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
    """Yield the cleaned articles among some pages, and count every page.

    Args:
        keep: returns whether to keep the article with this id; others are not cleaned.
    """
    cleaner = Cleaner(site.language, site.namespaces, math=math)
    wiki = site.dbname or urlsplit(site.base).netloc
    for page in pages:
        page_counts.pages += 1
        version = page_version(wiki, page.id, page.title, page.revision)
        if reason := _drop_reason(page):
            page_counts.drop(reason, version)
            continue
        if keep and not keep(page.id):
            page_counts.drop("max_characters")
            continue
        with _time_limit(page):
            cleaned = cleaner.clean(page.text, page.title)
        if cleaned.exceeded_limit:
            page_counts.drop("limit", version)
            page_counts.notes.append(f"page {page.id} ({page.title}) left out: {cleaned.exceeded_limit}")
        elif cleaned.text:
            page_counts.cut.update(_cut_counts(cleaned))
            yield Document(page.id, page.title, cleaned.text, _url(site, page.title), version=version)
        else:
            page_counts.drop("no text left", version)


def _cut_counts(cleaned: CleanedPage) -> dict[str, int]:
    """Return the counts that are not 0, under their names in corpus.json."""
    counts = {"reference sections": cleaned.reference_sections, "address lines": cleaned.address_lines}
    return {kind: count for kind, count in counts.items() if count}


def _drop_reason(page: Page) -> str:
    """Return why a page is not an article; empty if it is one."""
    if page.namespace != 0:
        return "namespace"
    if page.redirect:
        return "redirect"
    if page.model != "wikitext":
        return "model"
    return "" if page.text.strip() else "empty"


def _url(site: SiteInfo, title: str) -> str:
    """Return the address of the page, which is its attribution; empty if the dump does not name its site."""
    host = urlsplit(site.base).netloc
    return f"https://{host}/wiki/{title.translate(_URL_ESCAPES)}" if host else ""


@contextlib.contextmanager
def _time_limit(page: Page) -> Generator[None, None, None]:
    """Raise an error that names the page if cleaning it takes five minutes (on systems with POSIX timers).

    The timer counts the time of the processor: a process that was stopped and continues has not worked meanwhile.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise DataError(
            f"cleaning page {page.id} ({page.title}) takes longer than {_PAGE_TIMEOUT:g} s of processor time",
            "please report the page; to continue, leave its file of the dump out",
        )

    previous = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _PAGE_TIMEOUT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
