"""A MediaWiki dump, local or downloaded -> one Document for each article with text.

input files and URLs, or wikimedia.resolve ──> parts ── download ──> articles.tasks_of ──> tasks ──> documents
with max_characters                              └─ the streams that are wanted ──> subset ──> tasks
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.storage import DirectoryLock, cache_directory, remove_tree
from charlm.text.document import DownloadPlan, Source, SourceTask
from charlm.text.download.range_cache import SparseFile
from charlm.text.download.retry import RetryPolicy
from charlm.text.dump.articles import make_tasks
from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.plan import plan_dump
from charlm.text.reading.inputs import has_scheme, suggest_file
from charlm.text.settings import WikipediaSettings
from charlm.text.wikimedia import subset, urls
from charlm.text.wikimedia.dump_file import DumpPart, refresh_dump
from charlm.text.wikimedia.releases import WikimediaDump, licence, resolve, user_agent
from charlm.text.wikimedia.subset import Subset


class WikipediaSource(Source):
    """The articles of a wiki."""

    def __init__(
        self, settings: WikipediaSettings, *, cache: Path | None = None, retry_policy: RetryPolicy | None = None
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._retry_policy = retry_policy
        self._dump: WikimediaDump | None = None
        self._parts: tuple[DumpPart, ...] | None = None
        self._subset: Subset | None = None
        self._distributed = False
        self._site = SiteInfo()

    def resolved_settings(self) -> dict[str, Any]:
        """The date that `latest` stands for, once that is known."""
        return {"date": self._dump.date} if self._dump else {}

    def resolve(self) -> WikimediaDump:
        """Which dump this is; asks the server at most once."""
        if self._dump is None:
            self._dump = resolve(
                self._settings, cache=self._cache or cache_directory(), retry_policy=self._retry_policy
            )
        return self._dump

    def parts(self) -> tuple[DumpPart, ...]:
        """The dump files, in order; parts of a dump (`...xml-p1p41242.bz2`) in that of their pages."""
        if self._parts is None:
            agent = user_agent(self._settings)
            if self._settings.input:
                self._parts = _in_page_order(tuple(self._input_part(name, agent) for name in self._settings.input))
            else:
                dump = self.resolve()
                files = (DumpPart(dump.directory / file.name, file, agent, self._retry_policy) for file in dump.files)
                self._parts = tuple(files)
        return self._parts

    def _input_part(self, name: str, agent: str) -> DumpPart:
        if urls.is_url(name):
            return urls.dump_part_from_url(name, self._cache or cache_directory(), agent, self._retry_policy)
        if has_scheme(name):
            raise UsageError(f"{name} is neither http nor https", "write it so, or download it and name the file")
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no file {path}", suggest_file(path) or "check corpus.source.input")
        return DumpPart(path)

    def prepare_for_remote_workers(self) -> None:
        """The tasks go to other machines: those of a file given by its URL fetch their ranges themselves."""
        self._distributed = True

    def _reads_ranges(self, part: DumpPart) -> bool:
        """Whether only the ranges that tasks want are fetched."""
        ranges_suffice = self._settings.max_characters is not None or (self._distributed and bool(self._settings.input))
        return ranges_suffice and not part.is_local and part.is_range_readable

    def download_plan(self) -> DownloadPlan | None:
        """What `fetch` would download; None where everything is here (or local)."""
        missing = [part for part in self.parts() if not part.is_local]
        whole = [part for part in missing if not self._reads_ranges(part)]
        num_bytes = sum(part.bytes_missing() for part in whole)
        if self._settings.max_characters is not None and not whole:
            return self._estimate_subset_download(missing) if missing else None
        if not whole and all(part.index_is_resolved for part in missing):
            return None
        num_bytes += sum(part.index_bytes_missing() for part in missing if part not in whole)
        description = self._describe() if whole else f"the index of {self._describe()}"
        return DownloadPlan(description, num_bytes, missing[0].path.parent)

    def _estimate_subset_download(self, missing: list[DumpPart]) -> DownloadPlan | None:
        """An estimate: how many characters a stream holds is known when it has been read."""
        limit = self._settings.max_characters or 0
        num_bytes = sum(part.index_bytes_missing() for part in missing)
        if all(part.index_is_resolved for part in missing):
            selection = self._get_subset()
            selection.choose(cached_only=True)
            if selection.complete:
                return None
            num_bytes += selection.bytes_left
        else:
            whole = sum(part.bytes_missing() for part in missing)
            num_bytes += min(int(limit / subset.CHARACTERS_PER_BYTE), whole or limit)
        return DownloadPlan(
            f"{limit:,} characters of {self._describe()}, by estimate", num_bytes, missing[0].path.parent
        )

    def _describe(self) -> str:
        if self._settings.input:
            return ", ".join(part.path.name for part in self.parts() if part.remote)
        dump = self.resolve()
        return f"{dump.wiki} of {dump.date}"

    def fetch(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download what is missing, one file after the other; `on_progress` gets the bytes of all of them so far."""
        if self.download_plan() is None:
            return
        report = on_progress or (lambda _: None)
        finished = 0
        with ExitStack() as locks:
            for directory in dict.fromkeys(part.path.parent for part in self.parts() if part.remote):
                locks.enter_context(DirectoryLock(directory))
            for part in [part for part in self.parts() if not part.is_local]:

                def progress(done: int, before: int = finished) -> None:
                    report(before + done)

                if self._reads_ranges(part):
                    missing = not part.index_is_resolved
                    part.fetch_index(progress)
                    finished += part.index.stat().st_size if missing and part.index else 0
                if not self._reads_ranges(part):
                    part.download(progress)
                    finished += part.path.stat().st_size
            if self._settings.max_characters is not None:
                selection = self._get_subset()
                remote = [part.sparse for part in self.parts() if not part.is_local]
                before = sum(file.fetched_bytes for file in remote)
                selection.choose(
                    on_segment=lambda: report(finished + sum(file.fetched_bytes for file in remote) - before)
                )

    def _get_subset(self) -> Subset:
        """The subset, chosen as far as that was possible so far. Needs the indexes."""
        if self._subset is None:
            assert self._settings.max_characters is not None
            files = [
                subset.SubsetFile(part.path if part.is_local else part.sparse, part.digest, part.segments())
                for part in self.parts()
            ]
            self._subset = Subset(files, self._settings.max_characters, self._settings.subset_seed, self._settings.math)
        return self._subset

    def tasks(self) -> Iterator[SourceTask]:
        """The articles with text, in the order of the dump; downloads first what is missing."""
        self.fetch()
        if self._settings.max_characters is not None:
            selection = self._get_subset()
            selection.choose()
            self._site = selection.siteinfo
            yield from selection.tasks(distributed=self._distributed)
            return
        for part in self.parts():
            dump = plan_dump(part.path) if part.is_local else plan_dump(part.sparse, stream_starts=part.stream_starts())
            self._site = dump.siteinfo
            if isinstance(dump.path, SparseFile):
                dump = replace(dump, path=dump.path.copy_for_worker())
            yield from make_tasks(dump, part.digest, self._settings.math)

    def origin(self) -> dict[str, Any]:
        """For corpus.json: equal dumps give equal entries, wherever the files lie."""
        dump = None if self._settings.input else self.resolve()
        date = dump.date if dump else _date_from_names(self.parts())
        entries = [part.entry() for part in self.parts()]
        if self._settings.max_characters is not None:
            entries = [entry | self._get_subset().origin(number) for number, entry in enumerate(entries)]
        return {
            "source": "wikipedia",
            "wiki": dump.wiki if dump else self._settings.wiki or self._site.dbname,
            "language": self._site.language,
            "date": date,
            "files": entries,
            "urls": [_without_credentials(part.remote.urls[0]) for part in self.parts() if part.remote],
            "licence": licence(date),
        }

    def refresh(self) -> None:
        """Ask the server again, and drop of the cache what it has otherwise: `fetch` gets that anew.

        Raises:
            NetworkError: no answer; the cache stays as it was.
        """
        self._subset = None
        if self._settings.input:
            for part in self.parts():
                part.discard()  # no hash is published that it could be held to
            return
        known = self.resolve()
        with DirectoryLock(known.directory):
            self._dump = refresh_dump(self._settings, known, self._cache or cache_directory(), self._retry_policy)
            self._parts = None
            for part in self.parts():
                if part.remote not in known.files or not part.is_intact():
                    part.discard()

    def discard(self) -> None:
        """Remove from the cache what was downloaded. dump.json stays: it says what there is to fetch."""
        for directory in dict.fromkeys(part.path.parent for part in self.parts() if part.remote):
            with DirectoryLock(directory):
                for part in self.parts():
                    if part.path.parent == directory:
                        part.discard()
            if self._settings.input:
                remove_tree(directory)
        self._subset = None


def _without_credentials(url: str) -> str:
    """An address without the name and password that a mirror may want."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def _in_page_order(given: tuple[DumpPart, ...]) -> tuple[DumpPart, ...]:
    """Parts by the pages in their names; other files as they were given."""
    found = [re.search(r"\.xml-p(\d+)p(\d+)", part.path.name) for part in given]
    ranges = [(int(match[1]), int(match[2])) for match in found if match]
    if len(ranges) < len(given):
        return given
    return tuple(part for _, part in sorted(zip(ranges, given, strict=True), key=lambda entry: entry[0]))


def _date_from_names(given: tuple[DumpPart, ...]) -> str:
    """The date in names such as ruwiki-20240801-pages-articles.xml.bz2, if all agree; else ""."""
    dates = {found[1] if (found := re.search(r"-([12]\d{7})-", part.path.name)) else "" for part in given}
    return dates.pop() if len(dates) == 1 else ""
