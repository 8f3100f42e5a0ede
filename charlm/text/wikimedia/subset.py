"""Files of a dump and a number of characters -> a random subset of articles with that many characters.

    segments of all files ── in the order of sha256(seed, file, offset) ──> download, clean, count until it is enough
      ──> of the last segment the articles that fit, in a random order
      ──> the tasks of the segments, in the order of the files

The order depends only on the seed and the offsets of the streams, so it is the same on every machine, whatever is
cached; and a larger subset contains the segments of a smaller one. The number of characters is known only after
cleaning. The tasks clean again, in several processes (15 s for 50 million characters on one core).
"""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from charlm.errors import DataError, SettingsError
from charlm.text.document import PageCounts, SourceTask
from charlm.text.download.range_cache import NotCachedError, SparseFile
from charlm.text.dump.articles import RangeTask, clean_pages, task_key
from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.pages import DumpReader
from charlm.text.dump.plan import DumpPlan, read_range
from charlm.text.dump.ranges import DumpRange
from charlm.text.reading.unpacking import ReadableFile, detect_format, file_size
from charlm.text.wikimedia.article_selection import ArticleSelection
from charlm.text.wikimedia.segments import DumpSegments
from charlm.text.wikitext.placeholders import MathMode

T = TypeVar("T")

CHARACTERS_PER_BYTE = 1.0
"""Characters of text for a byte of bz2, a guess until something was read; large Wikipedias have 0.7 to 1.2."""
_CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class SubsetFile:
    """One file of a dump, with its segments."""

    file: ReadableFile
    digest: str
    """Identifies the content of the file."""
    segments: DumpSegments


@dataclass(frozen=True, slots=True)
class _ChosenSegment:
    part: int
    range: DumpRange
    sort_key_limit: int | None = None


class Subset:
    """A random choice of segments; `choose` continues it until it is complete."""

    def __init__(
        self,
        parts: Sequence[SubsetFile],
        max_characters: int,
        seed: int,
        math: MathMode,
        *,
        all_versions: bool = False,
    ) -> None:
        self._parts, self._limit, self._seed = parts, max_characters, seed
        self._math: MathMode = math
        self._all_versions = all_versions
        places = (
            (part, segment_index)
            for part, file in enumerate(parts)
            for segment_index in range(len(file.segments.offsets))
        )
        self._order = sorted(places, key=self._random_key)
        self._next = 0
        self._plans: dict[int, DumpPlan] = {}
        self._chosen: list[_ChosenSegment] = []
        self._bytes_read = 0
        self._characters_kept = 0
        self._header_lock = threading.Lock()
        self.characters = 0
        """Characters of the documents in the segments chosen so far."""
        self.complete = False

    def _random_key(self, segment: tuple[int, int]) -> bytes:
        part, segment_index = segment
        return hashlib.sha256(
            f"{self._seed} {part} {self._parts[part].segments.offsets[segment_index]}".encode()
        ).digest()

    @property
    def bytes_left(self) -> int:
        """Estimated bytes to read until the choice is complete."""
        if self.complete:
            return 0
        left = sum(file_size(part.file) for part in self._parts) - self._bytes_read
        return max(0, min(left, int((self._limit - self.characters) / self._characters_per_byte)))

    @property
    def _characters_per_byte(self) -> float:
        return max(self.characters / self._bytes_read, 0.01) if self._bytes_read else CHARACTERS_PER_BYTE

    def choose(self, *, cached_only: bool = False, on_segment: Callable[[], None] | None = None) -> None:
        """Continue until the choice is complete; with `cached_only` as far as possible without the network.

        Raises:
            SettingsError: no article fits.
            DataError: the dump is damaged.
            NetworkError: a segment cannot be downloaded.
        """
        remote = [part.file for part in self._parts if isinstance(part.file, SparseFile)]
        for file in remote:
            file.cached_only = cached_only
        try:
            self._choose(1 if cached_only else _CONNECTIONS, on_segment or (lambda: None))
        except NotCachedError:
            return
        finally:
            for file in remote:
                file.cached_only = False

    def _choose(self, connections: int, on_segment: Callable[[], None]) -> None:
        """Clean one segment while the next ones are downloaded, as far as they are expected to be needed."""
        in_flight: deque[tuple[int, DumpRange | None, Future[None]]] = deque()
        next_to_fetch = self._next
        pool = ThreadPoolExecutor(connections)
        try:
            while not self.complete:
                bytes_in_flight = sum(range_.end - range_.start for _, range_, _ in in_flight if range_)
                expected = self.characters + bytes_in_flight * self._characters_per_byte
                if next_to_fetch < len(self._order) and (
                    not in_flight or (len(in_flight) <= connections and expected < self._limit)
                ):
                    part, segment_index = self._order[next_to_fetch]
                    range_ = self._parts[part].segments.find(segment_index)
                    in_flight.append((part, range_, pool.submit(self._fetch, part, range_)))
                    next_to_fetch += 1
                    continue
                if in_flight:
                    part, range_, fetched = in_flight.popleft()
                    fetched.result()
                    if range_:
                        self._add_segment(part, range_)
                    self._next += 1
                    on_segment()
                else:
                    self.complete = True  # all segments are chosen
        finally:
            pool.shutdown(cancel_futures=True)
        if self.characters and not self._characters_kept:
            raise SettingsError(
                f"corpus.source.max_characters = {self._limit:,} is less than the first article has",
                "give a larger number",
            )

    def _fetch(self, part: int, range_: DumpRange | None) -> None:
        file = self._parts[part].file
        if range_ and isinstance(file, SparseFile):
            with self._header_lock:
                file.fetch(0, self._parts[part].segments.offsets[0])  # the header, if an index tells its size
            file.fetch(range_.start, range_.end)

    def _add_segment(self, part: int, range_: DumpRange) -> None:
        """Clean a segment and add it to the choice."""
        file = self._parts[part].file
        plan = self._plan(part)
        pages, counts = _read_or_refetch(file, range_.start, range_.end, lambda: self._clean(plan, range_))
        if not pages:
            return
        self._bytes_read += range_.end - range_.start
        self.complete = self.characters + counts.characters >= self._limit
        sort_key_limit = counts.sort_key_limit if self.complete else None
        self._chosen.append(_ChosenSegment(part, range_, sort_key_limit))
        self.characters += counts.characters
        self._characters_kept += counts.characters_kept

    def _clean(self, plan: DumpPlan, range_: DumpRange) -> tuple[int, ArticleSelection]:
        page_counts, selection = PageCounts(), ArticleSelection(self._limit - self.characters, self._seed)
        for document in clean_pages(
            read_range(plan, range_), plan.siteinfo, self._math, page_counts, selection.accepts
        ):
            selection.add(document.id, len(document.text))
        return page_counts.pages, selection

    def _plan(self, part: int) -> DumpPlan:
        if part not in self._plans:
            file, segments = self._parts[part].file, self._parts[part].segments
            header = _read_or_refetch(
                file, 0, segments.offsets[0], lambda: DumpReader(file)
            )  # the first offset of an index is that of the first page
            size, multistream = file_size(file), segments.multistream
            self._plans[part] = DumpPlan(
                file,
                detect_format(file),
                size,
                multistream,
                header.siteinfo,
                header.root_tag,
                (),
                self._all_versions,
            )
        return self._plans[part]

    @property
    def siteinfo(self) -> SiteInfo:
        """The header of the first file from which something was chosen."""
        return self._plan(min(self._plans, default=0)).siteinfo

    def tasks(self, *, distributed: bool = False) -> Iterator[SourceTask]:
        """Yield the tasks of the chosen segments, in the order of the files.

        Args:
            distributed: tasks for other machines carry the bytes that were downloaded.
        """
        for part, range_, sort_key_limit in self._in_file_order():
            plan = self._plan(part)
            if distributed and isinstance(plan.path, SparseFile):
                plan = replace(plan, path=plan.path.copy_for_worker(range_.start, range_.end))
            shared = task_key(self._parts[part].digest, self._math, all_versions=self._all_versions)
            key = f"{shared} bytes {range_.start} to {range_.end}"
            if sort_key_limit is not None:
                key += f" seed {self._seed} below {sort_key_limit}"
            yield RangeTask(key, plan, range_, self._math, sort_key_limit, self._seed)

    def origin(self, part: int) -> dict[str, Any]:
        """Return the entry of corpus.json: the offsets in a file of the chosen segments."""
        return {"streams": sorted(chosen.range.start for chosen in self._chosen if chosen.part == part)}

    def _in_file_order(self) -> Iterator[tuple[int, DumpRange, int | None]]:
        for chosen in sorted(self._chosen, key=lambda chosen: (chosen.part, chosen.range.start)):
            yield chosen.part, chosen.range, chosen.sort_key_limit


def _read_or_refetch(file: ReadableFile, start: int, end: int, read: Callable[[], T]) -> T:
    """Return the result of `read` for bytes of a file; if they are damaged, download them again and read once more."""
    if not isinstance(file, SparseFile):
        return read()
    file.fetch(start, end)
    try:
        return read()
    except DataError:
        file.evict(start, end)
        file.fetch(start, end)
        return read()
