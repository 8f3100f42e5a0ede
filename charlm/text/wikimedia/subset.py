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
from charlm.text.document import Census, Task
from charlm.text.download.range_cache import NotHereError, SparseFile
from charlm.text.dump.articles import RangeTask, articles, page_order, task_key
from charlm.text.dump.pages import Dump
from charlm.text.dump.plan import DumpPlan, read_range
from charlm.text.dump.ranges import Range
from charlm.text.dump.siteinfo import SiteInfo
from charlm.text.reading.unpacking import Readable, detect_format, size_of
from charlm.text.wikimedia.subset_units import Units
from charlm.text.wikitext.placeholders import Math

T = TypeVar("T")

CHARACTERS_PER_BYTE = 1.0
"""Of text, for a byte of bz2: 0.7 to 1.2 in the Wikipedias of many articles; a guess until something was read."""
_CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class File:
    """One file of a dump."""

    file: Readable
    digest: str
    """Names its content."""
    units: Units


@dataclass(frozen=True, slots=True)
class _Chosen:
    part: int
    range: Range
    below: int | None = None


class Subset:
    """A choice of units, made as far as `choose` has come."""

    def __init__(self, parts: Sequence[File], max_characters: int, seed: int, math: Math) -> None:
        self._parts, self._limit, self._seed = parts, max_characters, seed
        self._math: Math = math
        places = ((part, place) for part, file in enumerate(parts) for place in range(len(file.units.offsets)))
        self._order = sorted(places, key=self._by_chance)
        self._next = 0
        self._plans: dict[int, DumpPlan] = {}
        self._chosen: list[_Chosen] = []
        self._bytes = 0
        self._kept = 0
        self._header = threading.Lock()
        self.characters = 0
        """Of the documents in the units chosen so far."""
        self.complete = False

    def _by_chance(self, unit: tuple[int, int]) -> bytes:
        part, place = unit
        return hashlib.sha256(f"{self._seed} {part} {self._parts[part].units.offsets[place]}".encode()).digest()

    @property
    def bytes_left(self) -> int:
        """About how many bytes there are to read until the choice is complete."""
        if self.complete:
            return 0
        left = sum(size_of(part.file) for part in self._parts) - self._bytes
        return max(0, min(left, int((self._limit - self.characters) / self._density)))

    @property
    def _density(self) -> float:
        return max(self.characters / self._bytes, 0.01) if self._bytes else CHARACTERS_PER_BYTE

    def choose(self, *, here_only: bool = False, on_unit: Callable[[], None] | None = None) -> None:
        """Choose on, until the choice is complete; with `here_only` as far as that goes without the network.

        Raises:
            SettingsError: no article fits.
            DataError: damage.
            NetworkError: a unit can't be fetched.
        """
        remote = [part.file for part in self._parts if isinstance(part.file, SparseFile)]
        for file in remote:
            file.here_only = here_only
        try:
            self._choose(1 if here_only else _CONNECTIONS, on_unit or (lambda: None))
        except NotHereError:
            return
        finally:
            for file in remote:
                file.here_only = False

    def _choose(self, connections: int, on_unit: Callable[[], None]) -> None:
        """While one unit is cleaned the next ones are fetched, but none that is not expected to be needed."""
        waiting: deque[tuple[int, Range | None, Future[None]]] = deque()
        asked = self._next
        pool = ThreadPoolExecutor(connections)
        try:
            while not self.complete:
                coming = sum(range_.end - range_.start for _, range_, _ in waiting if range_)
                expected = self.characters + coming * self._density
                if asked < len(self._order) and (
                    not waiting or (len(waiting) <= connections and expected < self._limit)
                ):
                    part, place = self._order[asked]
                    range_ = self._parts[part].units.find(place)
                    waiting.append((part, range_, pool.submit(self._fetch, part, range_)))
                    asked += 1
                    continue
                if waiting:
                    part, range_, fetched = waiting.popleft()
                    fetched.result()
                    if range_:
                        self._count(part, range_)
                    self._next += 1
                    on_unit()
                else:
                    self.complete = True  # there is no more
        finally:
            pool.shutdown(cancel_futures=True)
        if self.characters and not self._kept:
            raise SettingsError(f"max_characters = {self._limit:,} are too few for the article chosen", "allow more")

    def _fetch(self, part: int, range_: Range | None) -> None:
        file = self._parts[part].file
        if range_ and isinstance(file, SparseFile):
            with self._header:
                file.fetch(0, self._parts[part].units.offsets[0])  # where an index says how far the header goes
            file.fetch(range_.start, range_.end)

    def _count(self, part: int, range_: Range) -> None:
        """Clean a unit and add it to the choice."""
        file = self._parts[part].file
        plan = self._plan(part)
        pages, counts = _mended(file, range_.start, range_.end, lambda: self._clean(plan, range_))
        if not pages:
            return
        self._bytes += range_.end - range_.start
        self.complete = self.characters + counts.characters >= self._limit
        below = counts.below if self.complete else None
        self._chosen.append(_Chosen(part, range_, below))
        self.characters += counts.characters
        self._kept += counts.kept

    def _clean(self, plan: DumpPlan, range_: Range) -> tuple[int, "_First"]:
        census, first = Census(), _First(self._limit - self.characters, self._seed)
        for document in articles(read_range(plan, range_), plan.siteinfo, self._math, census, first.wants):
            first.add(document.id, len(document.text))
        return census.pages, first

    def _plan(self, part: int) -> DumpPlan:
        if part not in self._plans:
            file, units = self._parts[part].file, self._parts[part].units
            header = _mended(file, 0, units.offsets[0], lambda: Dump(file))  # an index begins with the first page
            size, multistream = size_of(file), units.multistream
            plan = DumpPlan(file, detect_format(file), size, multistream, header.siteinfo, header.opening, ())
            self._plans[part] = plan
        return self._plans[part]

    @property
    def siteinfo(self) -> SiteInfo:
        """The header of the first file that something was chosen from."""
        return self._plan(min(self._plans, default=0)).siteinfo

    def tasks(self, *, distributed: bool = False) -> Iterator[Task]:
        """The chosen units in the order of the files; `distributed` ones take along what was fetched for them."""
        for part, range_, below in self._in_file_order():
            plan = self._plan(part)
            if distributed and isinstance(plan.path, SparseFile):
                plan = replace(plan, path=plan.path.elsewhere(range_.start, range_.end))
            key = f"{task_key(self._parts[part].digest, self._math)} bytes {range_.start} to {range_.end}"
            if below is not None:
                key += f" seed {self._seed} below {below}"
            yield RangeTask(key, plan, range_, self._math, below, self._seed)

    def origin(self, part: int) -> dict[str, Any]:
        """For corpus.json: where in a file the streams begin that were chosen."""
        return {"streams": sorted(chosen.range.start for chosen in self._chosen if chosen.part == part)}

    def _in_file_order(self) -> Iterator[tuple[int, Range, int | None]]:
        for chosen in sorted(self._chosen, key=lambda chosen: (chosen.part, chosen.range.start)):
            yield chosen.part, chosen.range, chosen.below


def _mended(file: Readable, start: int, end: int, read: Callable[[], T]) -> T:
    """What `read` makes of these bytes of a file; fetched once more if the network or the disk has damaged them."""
    if not isinstance(file, SparseFile):
        return read()
    file.fetch(start, end)
    try:
        return read()
    except DataError:
        file.forget(start, end)
        file.fetch(start, end)
        return read()


class _First:
    """Of the articles of one unit the first in their order by chance, until they hold `limit` characters."""

    def __init__(self, limit: int, seed: int) -> None:
        self._limit, self._seed = limit, seed
        self._last_first: list[tuple[int, int]] = []
        self.characters = 0

    def wants(self, page: str) -> bool:
        """False where those before it are enough: so it need not be cleaned."""
        return self.characters < self._limit or page_order(self._seed, page) < -self._last_first[0][0]

    def add(self, page: str, characters: int) -> None:
        heapq.heappush(self._last_first, (-page_order(self._seed, page), characters))
        self.characters += characters
        while self.characters - self._last_first[0][1] >= self._limit:
            self.characters -= heapq.heappop(self._last_first)[1]

    @property
    def kept(self) -> int:
        """Characters of those that fit."""
        return self.characters - (self._last_first[0][1] if self.characters > self._limit else 0)

    @property
    def below(self) -> int:
        """The `page_order` from which on nothing fits any more."""
        order, _ = self._last_first[0]
        return -order if self.characters > self._limit else -order + 1
