"""A MediaWiki dump, local or downloaded -> one Document for each article with text.

input files and URLs, or releases.resolve ──> parts ── download ──> articles.make_tasks ──> tasks ──> documents
with max_characters                             └─ the segments that are chosen ──> subset ──> tasks
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from charlm.errors import DataError, UsageError
from charlm.storage import DirectoryLock, cache_directory, expand_home, remove_tree
from charlm.text.document import DownloadPlan, Source, SourceTask
from charlm.text.download.range_cache import SparseFile
from charlm.text.download.retry import NotFoundError, OtherVersionError, RetryPolicy
from charlm.text.dump.articles import make_tasks
from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.plan import plan_dump
from charlm.text.reading.input_files import LocalTask
from charlm.text.reading.inputs import has_scheme, is_url, no_file_error
from charlm.text.settings import WikipediaSettings
from charlm.text.wikimedia import subset, urls
from charlm.text.wikimedia.dump_file import DumpPart, refresh_dump
from charlm.text.wikimedia.part_names import date_from_names, in_page_order
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
        """Return the date of the dump that `latest` was resolved to, once it is known."""
        return {"date": self._dump.date} if self._dump else {}

    def resolve(self) -> WikimediaDump:
        """Find the dump of the settings; the server is asked at most once."""
        if self._dump is None:
            self._dump = resolve(
                self._settings, cache=self._cache or cache_directory(), retry_policy=self._retry_policy
            )
        return self._dump

    def parts(self) -> tuple[DumpPart, ...]:
        """Return the dump files; parts of a dump (`...xml-p1p41242.bz2`) in the order of their pages."""
        if self._parts is None:
            agent = user_agent(self._settings)
            if self._settings.input:
                self._parts = in_page_order(tuple(self._input_part(name, agent) for name in self._settings.input))
            else:
                dump = self.resolve()
                files = (DumpPart(dump.directory / file.name, file, agent, self._retry_policy) for file in dump.files)
                self._parts = tuple(files)
        return self._parts

    def _input_part(self, name: str, agent: str) -> DumpPart:
        if is_url(name):
            return urls.dump_part_from_url(name, self._cache or cache_directory(), agent, self._retry_policy)
        if has_scheme(name):
            raise UsageError(
                f"{name} is not an http or https URL",
                "write https://..., or download it and give the file with --input",
            )
        path = expand_home(name)
        if not path.is_file():
            raise no_file_error(path)
        return DumpPart(path)

    def prepare_for_remote_workers(self) -> None:
        """Let the workers download the ranges of files that are given by URL."""
        self._distributed = True

    def _reads_ranges(self, part: DumpPart) -> bool:
        """Return whether only the ranges of the tasks are downloaded, not the whole file."""
        ranges_suffice = self._settings.max_characters is not None or (self._distributed and bool(self._settings.input))
        return ranges_suffice and not part.is_local and part.is_range_readable

    def download_plan(self) -> DownloadPlan | None:
        """Return what `fetch` would download; None if nothing is missing."""
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
        """Estimate the download of a subset: the characters of a stream are only known once it was read."""
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
            f"{limit:,} characters of {self._describe()} (an estimate)", num_bytes, missing[0].path.parent
        )

    def _describe(self) -> str:
        if self._settings.input:
            return ", ".join(part.path.name for part in self.parts() if part.remote)
        dump = self.resolve()
        return f"{dump.wiki} of {dump.date}"

    def fetch(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download what is missing, file by file; `on_progress` is called with the bytes of all files so far."""
        if self.download_plan() is None:
            return
        with self._explain_replaced_dump():
            self._fetch_missing(on_progress or (lambda _: None))

    @contextmanager
    def _explain_replaced_dump(self) -> Generator[None, None, None]:
        """Name --refresh in the error of a file that the server no longer has as it listed it at an earlier time."""
        try:
            yield
        except (NotFoundError, OtherVersionError, DataError) as error:
            if self._dump is None or not self._dump.is_remembered:
                raise
            raise type(error)(
                error.what,
                f"if the dump of {self._dump.date} was replaced since it was found, add --refresh to ask the server"
                " again",
            ) from error

    def _fetch_missing(self, report: Callable[[int], None]) -> None:
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
        """Return the subset, as far as it has been chosen; the indexes must be there."""
        settings = self._settings
        if self._subset is None:
            assert settings.max_characters is not None
            files = [
                subset.SubsetFile(part.path if part.is_local else part.sparse, part.digest, part.segments())
                for part in self.parts()
            ]
            limit, all_versions = settings.max_characters, settings.versions == "all"
            self._subset = Subset(files, limit, settings.subset_seed, settings.math, all_versions=all_versions)
        return self._subset

    def tasks(self) -> Iterator[SourceTask]:
        """Yield the tasks of all articles, in the order of the dump, after the download of what is missing."""
        self.fetch()
        if self._settings.max_characters is not None:
            selection = self._get_subset()
            selection.choose()
            self._site = selection.siteinfo
            local = self._local_parts()
            yield from (self._checked(task, local) for task in selection.tasks(distributed=self._distributed))
            return
        for part in self.parts():
            dump = plan_dump(part.path) if part.is_local else plan_dump(part.sparse, stream_starts=part.stream_starts())
            dump = replace(dump, all_versions=self._settings.versions == "all")
            self._site = dump.siteinfo
            if isinstance(dump.path, SparseFile):
                dump = replace(dump, path=dump.path.copy_for_worker())
            local = (part,) if part.remote is None else ()
            yield from (self._checked(task, local) for task in make_tasks(dump, part.digest, self._settings.math))

    def _checked(self, task: SourceTask, local: Sequence[DumpPart]) -> SourceTask:
        """Return the task with a check that the files of the user do not change while it is read."""
        files = tuple(part.input_file for part in local)
        return LocalTask(task, files, is_checked=not self._distributed) if files else task

    def _local_parts(self) -> list[DumpPart]:
        return [part for part in self.parts() if part.remote is None]

    def local_files(self) -> list[dict[str, Any]]:
        """Return name, size and hash of each dump file of the user; none of a URL or a mirror."""
        return [part.entry() for part in self._local_parts()] if self._settings.input else []

    def origin(self) -> dict[str, Any]:
        """Return the entry of corpus.json; equal dumps give equal entries, wherever their files are."""
        dump = None if self._settings.input else self.resolve()
        date = dump.date if dump else date_from_names(self.parts())
        entries = [part.entry() for part in self.parts()]
        if self._settings.max_characters is not None:
            entries = [entry | self._get_subset().origin(number) for number, entry in enumerate(entries)]
        return {
            "source": "wikipedia",
            "wiki": dump.wiki if dump else self._settings.wiki or self._site.dbname,
            "language": self._site.language,
            "date": date,
            "files": entries,
            "urls": [urls.without_credentials(part.remote.urls[0]) for part in self.parts() if part.remote],
            "licence": licence(date),
        }

    def refresh(self) -> None:
        """Ask the server again and delete cached files that it has in another version.

        Raises:
            NetworkError: no answer; the cache is unchanged.
        """
        self._subset = None
        if self._settings.input:
            for part in self.parts():
                part.discard()  # no hash is published to compare it with
            return
        known = self.resolve()
        with DirectoryLock(known.directory):
            self._dump = refresh_dump(self._settings, known, self._cache or cache_directory(), self._retry_policy)
            self._parts = None
            for part in self.parts():
                if part.remote not in known.files or not part.is_intact():
                    part.discard()

    def discard(self) -> None:
        """Delete the cached downloads, but not dump.json, which lists the files of the dump."""
        for directory in dict.fromkeys(part.path.parent for part in self.parts() if part.remote):
            with DirectoryLock(directory):
                for part in self.parts():
                    if part.path.parent == directory:
                        part.discard()
            if self._settings.input:
                remove_tree(directory)
        self._subset = None
