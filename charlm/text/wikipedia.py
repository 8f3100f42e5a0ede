"""A MediaWiki dump, local or downloaded -> one Document for each article with text.

input files, or wikimedia.resolve ── download ──> files ── articles.tasks_of ──> tasks ──> documents
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.storage import DirectoryLock, sha256
from charlm.text.articles import tasks_of
from charlm.text.document import Census, Document, DownloadPlan, Source, Task
from charlm.text.download import Patience, download
from charlm.text.plan import plan
from charlm.text.settings import WikipediaSettings
from charlm.text.siteinfo import SiteInfo
from charlm.text.wikimedia import DumpFile, DumpFiles, cache_directory, licence, resolve, user_agent


class WikipediaSource(Source):
    """The articles of a wiki."""

    def __init__(
        self, settings: WikipediaSettings, *, cache: Path | None = None, patience: Patience | None = None
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._patience = patience
        self._dump: DumpFiles | None = None
        self._site = SiteInfo()
        self._hashed: list[dict[str, Any]] | None = None
        self.census = Census()

    def resolved(self) -> dict[str, Any]:
        """The date that `latest` stands for, once that is known."""
        return {"date": self._dump.date} if self._dump else {}

    def resolve(self) -> DumpFiles:
        """Which dump this is; asks the server at most once."""
        if self._dump is None:
            self._dump = resolve(self._settings, cache=self._cache or cache_directory(), patience=self._patience)
        return self._dump

    def download_plan(self) -> DownloadPlan | None:
        """What `fetch` would download; None where everything is here (or local)."""
        if self._settings.input:
            self.paths()  # says at once which of them is missing
            return None
        dump = self.resolve()
        missing = self._missing(dump)
        if not missing:
            return None
        num_bytes = sum(max((file.size or 0) - _size(_part(dump, file)), 0) for file in missing)
        return DownloadPlan(f"{dump.wiki} of {dump.date}", num_bytes, dump.directory)

    @staticmethod
    def _missing(dump: DumpFiles) -> list[DumpFile]:
        return [file for file in dump.files if not (dump.directory / file.name).is_file()]

    def fetch(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download what is missing, one file after the other; `on_progress` gets the bytes of all of them so far."""
        plan = self.download_plan()
        if plan is None:
            return
        agent = user_agent(self._settings)
        finished = 0
        with DirectoryLock(plan.directory):
            for file in self._missing(self.resolve()):
                target = plan.directory / file.name
                if not target.is_file():  # another process may have been faster

                    def progress(done: int, before: int = finished) -> None:
                        if on_progress:
                            on_progress(before + done)

                    download(
                        file.urls, target, size=file.size, sha1=file.sha1, md5=file.md5,
                        user_agent=agent, on_progress=progress, patience=self._patience,
                    )  # fmt: skip
                finished += _size(target)

    def documents(self) -> Iterator[Document]:
        """Every article with text, in the order of the dump; downloads first what is missing."""
        self.census = Census()
        for task in self.tasks():
            yield from task.documents(self.census)

    def tasks(self) -> Iterator[Task]:
        """The same articles in pieces, for several processes; downloads first what is missing."""
        self.fetch()
        for path, entry in zip(self.paths(), self._entries(), strict=True):
            dump = plan(path)
            self._site = dump.siteinfo
            yield from tasks_of(dump, entry.get("sha1") or entry["sha256"], self._settings.math)

    def paths(self) -> tuple[Path, ...]:
        """The dump files, in order; parts of a dump (`...xml-p1p41242.bz2`) in that of their pages."""
        if self._settings.input:
            paths = tuple(Path(name).expanduser() for name in self._settings.input)
            for path in paths:
                if not path.is_file():
                    raise UsageError(f"there is no file {path}", "check corpus.source.input")
            return _in_page_order(paths)
        dump = self.resolve()
        return tuple(dump.directory / file.name for file in dump.files)

    def origin(self) -> dict[str, Any]:
        """For corpus.json: equal dumps give equal entries, wherever the files lie."""
        local = bool(self._settings.input)
        dump = None if local else self.resolve()
        date = dump.date if dump else _date_in(self.paths())
        return {
            "source": "wikipedia",
            "wiki": dump.wiki if dump else self._settings.wiki or self._site.dbname,
            "language": self._site.language,
            "date": date,
            "files": self._entries(),
            "urls": [file.urls[0] for file in dump.files] if dump else [],
            "licence": licence(date),
        }

    def _entries(self) -> list[dict[str, Any]]:
        """Name, size and hash of each file; local files are read once for it."""
        if self._hashed is None:
            known = self.resolve().files if not self._settings.input else [None] * len(self.paths())
            self._hashed = [_entry(path, file) for path, file in zip(self.paths(), known, strict=True)]
        return self._hashed


def _in_page_order(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Parts by the pages in their names; other files as they were given."""
    found = [re.search(r"\.xml-p(\d+)p(\d+)", path.name) for path in paths]
    ranges = [(int(match[1]), int(match[2])) for match in found if match]
    if len(ranges) < len(paths):
        return paths
    return tuple(path for _, path in sorted(zip(ranges, paths, strict=True), key=lambda entry: entry[0]))


def _date_in(paths: tuple[Path, ...]) -> str:
    """The date in names such as ruwiki-20240801-pages-articles.xml.bz2, if all agree; else ""."""
    dates = {found[1] if (found := re.search(r"-([12]\d{7})-", path.name)) else "" for path in paths}
    return dates.pop() if len(dates) == 1 else ""


def _entry(path: Path, file: DumpFile | None) -> dict[str, Any]:
    known = ("sha1", file.sha1) if file and file.sha1 else ("sha256", "")
    return {"name": path.name, "bytes": _size(path), known[0]: known[1] or sha256(path)}


def _part(dump: DumpFiles, file: DumpFile) -> Path:
    return dump.directory / f"{file.name}.part"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
