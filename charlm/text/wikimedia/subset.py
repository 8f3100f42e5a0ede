"""Some files of a dump, and a number of characters -> that many characters of its articles, chosen by chance.

    units of all files ── in the order of sha256(seed, file, offset) ──> clean and count, fetching what is not here
      until they hold enough ──> of the last unit the articles that fit, in an order by chance of their own
      ──> the units' tasks, in the order of the files

The order depends on the seed and the places of the streams alone: the same on every machine, whatever is here already;
and a subset of more characters holds the units of one of fewer. Cleaning is what tells how many characters there are;
the tasks clean again (15 s for 50 million characters on one core), in as many processes as there are.
"""

import hashlib
import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from charlm.errors import DataError, SettingsError
from charlm.text.document import PageCounts, SourceTask
from charlm.text.download.range_cache import NotCachedError, SparseFile
from charlm.text.dump.articles import RangeTask, clean_pages, page_sort_key, task_key
from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.pages import DumpReader
from charlm.text.dump.plan import DumpPlan, read_range
from charlm.text.dump.ranges import DumpRange
from charlm.text.reading.unpacking import ReadableFile, detect_format, file_size
from charlm.text.wikimedia.segments import DumpSegments
from charlm.text.wikitext.placeholders import MathMode

T = TypeVar("T")

CHARACTERS_PER_BYTE = 1.0
"""Of text, for a byte of bz2: 0.7 to 1.2 in the Wikipedias of many articles; a guess until something was read."""
_CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class SubsetFile:
    """One file of a dump."""

    file: ReadableFile
    digest: str
    """Names its content."""
    segments: DumpSegments


@dataclass(frozen=True, slots=True)
class _ChosenSegment:
    part: int
    range: DumpRange
    sort_key_limit: int | None = None


class Subset:
    """A choice of units, made as far as `choose` has come."""

    def __init__(self, parts: Sequence[SubsetFile], max_characters: int, seed: int, math: MathMode) -> None:
        self._parts, self._limit, self._seed = parts, max_characters, seed
        self._math: MathMode = math
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
        """Of the documents in the units chosen so far."""
        self.complete = False

    def _random_key(self, segment: tuple[int, int]) -> bytes:
        part, segment_index = segment
        return hashlib.sha256(
            f"{self._seed} {part} {self._parts[part].segments.offsets[segment_index]}".encode()
        ).digest()

    @property
    def bytes_left(self) -> int:
        """About how many bytes there are to read until the choice is complete."""
        if self.complete:
            return 0
        left = sum(file_size(part.file) for part in self._parts) - self._bytes_read
        return max(0, min(left, int((self._limit - self.characters) / self._characters_per_byte)))

    @property
    def _characters_per_byte(self) -> float:
        return max(self.characters / self._bytes_read, 0.01) if self._bytes_read else CHARACTERS_PER_BYTE

    def choose(self, *, cached_only: bool = False, on_segment: Callable[[], None] | None = None) -> None:
        """Choose on, until the choice is complete; with `cached_only` as far as that goes without the network.

        Raises:
            SettingsError: no article fits.
            DataError: damage.
            NetworkError: a unit can't be fetched.
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
        """While one unit is cleaned the next ones are fetched, but none that is not expected to be needed."""
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
                    self.complete = True  # there is no more
        finally:
            pool.shutdown(cancel_futures=True)
        if self.characters and not self._characters_kept:
            raise SettingsError(f"max_characters = {self._limit:,} are too few for the article chosen", "allow more")

    def _fetch(self, part: int, range_: DumpRange | None) -> None:
        file = self._parts[part].file
        if range_ and isinstance(file, SparseFile):
            with self._header_lock:
                file.fetch(0, self._parts[part].segments.offsets[0])  # where an index says how far the header goes
            file.fetch(range_.start, range_.end)

    def _add_segment(self, part: int, range_: DumpRange) -> None:
        """Clean a unit and add it to the choice."""
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

    def _clean(self, plan: DumpPlan, range_: DumpRange) -> tuple[int, "_BoundedSelection"]:
        page_counts, selection = PageCounts(), _BoundedSelection(self._limit - self.characters, self._seed)
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
            )  # an index begins with the first page
            size, multistream = file_size(file), segments.multistream
            plan = DumpPlan(file, detect_format(file), size, multistream, header.siteinfo, header.root_tag, ())
            self._plans[part] = plan
        return self._plans[part]

    @property
    def siteinfo(self) -> SiteInfo:
        """The header of the first file that something was chosen from."""
        return self._plan(min(self._plans, default=0)).siteinfo

    def tasks(self, *, distributed: bool = False) -> Iterator[SourceTask]:
        """The chosen units in the order of the files; `distributed` ones take along what was fetched for them."""
        for part, range_, sort_key_limit in self._in_file_order():
            plan = self._plan(part)
            if distributed and isinstance(plan.path, SparseFile):
                plan = replace(plan, path=plan.path.copy_for_worker(range_.start, range_.end))
            key = f"{task_key(self._parts[part].digest, self._math)} bytes {range_.start} to {range_.end}"
            if sort_key_limit is not None:
                key += f" seed {self._seed} below {sort_key_limit}"
            yield RangeTask(key, plan, range_, self._math, sort_key_limit, self._seed)

    def origin(self, part: int) -> dict[str, Any]:
        """For corpus.json: where in a file the streams begin that were chosen."""
        return {"streams": sorted(chosen.range.start for chosen in self._chosen if chosen.part == part)}

    def _in_file_order(self) -> Iterator[tuple[int, DumpRange, int | None]]:
        for chosen in sorted(self._chosen, key=lambda chosen: (chosen.part, chosen.range.start)):
            yield chosen.part, chosen.range, chosen.sort_key_limit


def _read_or_refetch(file: ReadableFile, start: int, end: int, read: Callable[[], T]) -> T:
    """What `read` makes of these bytes of a file; fetched once more if the network or the disk has damaged them."""
    if not isinstance(file, SparseFile):
        return read()
    file.fetch(start, end)
    try:
        return read()
    except DataError:
        file.evict(start, end)
        file.fetch(start, end)
        return read()


class _BoundedSelection:
    """Of the articles of one unit the first in their order by chance, until they hold `limit` characters."""

    def __init__(self, limit: int, seed: int) -> None:
        self._limit, self._seed = limit, seed
        self._max_heap: list[tuple[int, int]] = []
        self.characters = 0

    def accepts(self, page_id: str) -> bool:
        """False where those before it are enough: so it need not be cleaned."""
        return self.characters < self._limit or page_sort_key(self._seed, page_id) < -self._max_heap[0][0]

    def add(self, page_id: str, characters: int) -> None:
        heapq.heappush(self._max_heap, (-page_sort_key(self._seed, page_id), characters))
        self.characters += characters
        while self.characters - self._max_heap[0][1] >= self._limit:
            self.characters -= heapq.heappop(self._max_heap)[1]

    @property
    def characters_kept(self) -> int:
        """Characters of those that fit."""
        return self.characters - (self._max_heap[0][1] if self.characters > self._limit else 0)

    @property
    def sort_key_limit(self) -> int:
        """The `page_sort_key` from which on nothing fits any more."""
        order, _ = self._max_heap[0]
        return -order if self.characters > self._limit else -order + 1
