"""Settings -> the files of a dump: their URLs, their sizes and their hashes.

    language or wiki ──> database name ── list of dates ──> newest finished dump ── dumpstatus.json ──> RemoteDumpFiles
                                                            └─ kept as dump.json: the next time needs no network

Dumps are kept in the user's cache, `dumps/WIKI/DATE/NAME`; a file gets that name only after it was verified.
"""

import importlib.metadata
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from charlm.errors import NetworkError, SettingsError
from charlm.storage import cache_directory, make_directory, read_json, remove_stale_temporaries, write_json
from charlm.text.download.connection import fetch_document
from charlm.text.download.retry import NotFoundError, RetryPolicy
from charlm.text.settings import WikipediaSettings
from charlm.text.wikimedia.wikis import database_name, is_language_name, is_wiki_title, suggest_language, suggest_wiki
from charlm.version import __version__

_JOB = "articlesmultistreamdump"
RECORD = "dump.json"
_MAX_RESPONSE_BYTES = 64 << 20
_MULTISTREAM_NAME = re.compile(r"-pages-articles-multistream(\d*)\.xml((?:-p(\d+)p\d+)?\.bz2)")


@dataclass(frozen=True, slots=True)
class RemoteDumpFile:
    """One file of a dump. `urls` are tried in order; sizes and hashes that the mirror does not state are None."""

    name: str
    urls: tuple[str, ...]
    size: int | None
    sha1: str | None
    md5: str | None
    index: "RemoteDumpFile | None" = None
    """The index of a multistream file, with lines `offset:id:title`, if the dump has one."""


@dataclass(frozen=True, slots=True)
class WikimediaDump:
    """A finished dump: the files with its articles."""

    wiki: str
    date: str
    directory: Path
    """The folder of the files in the cache."""
    files: tuple[RemoteDumpFile, ...]
    is_remembered: bool = field(default=False, compare=False)
    """Whether the files are those that the server listed at an earlier time."""

    @property
    def licence(self) -> str:
        return licence(self.date)


def resolve(
    settings: WikipediaSettings, *, cache: Path | None = None, retry_policy: RetryPolicy | None = None
) -> WikimediaDump:
    """Find the dump of the settings. A date that was resolved before needs no network.

    Raises:
        SettingsError: an invalid language, wiki or date.
        NetworkError: the wiki or the date does not exist (names those that do), the dump is unfinished, or no answer.
    """
    directory = (cache or cache_directory()) / "dumps" / wiki_name(settings)
    server = _DumpServer(settings, retry_policy)
    if settings.date == "latest":
        try:
            return server.find_latest(directory)
        except NetworkError as error:
            cached_dates = _cached_dates(directory)
            if isinstance(error, NotFoundError) or not cached_dates:
                raise
            cure = f"{error.cure}; or use a dump that was found before: --date {' or '.join(cached_dates)}"
            raise NetworkError(error.what, cure) from error
    if not re.fullmatch(r"[12]\d{7}", settings.date):
        digits = re.sub(r"\D", "", settings.date)
        example = digits if re.fullmatch(r"[12]\d{7}", digits) else "YYYYMMDD"
        raise SettingsError(f"corpus.source.date = {settings.date!r} is not a date", f"write {example} or latest")
    return server.find_by_date(settings.date, directory)


def wiki_name(settings: WikipediaSettings) -> str:
    """Return the database name, such as `simplewiki`, `zh_min_nanwiki` or `ruwikisource`."""
    name = settings.wiki or database_name(settings.language)
    is_in_words = is_wiki_title(settings.wiki) if settings.wiki else is_language_name(settings.language)
    if is_in_words or not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name):
        key, value = ("wiki", settings.wiki) if settings.wiki else ("language", settings.language)
        example = "write one like ruwikisource" if settings.wiki else "write one like en, pt or zh-yue"
        raise SettingsError(f"corpus.source.{key} = {value!r} is not a valid {key}", _suggest_name(settings) or example)
    return name


def _suggest_name(settings: WikipediaSettings) -> str:
    return suggest_wiki(settings.wiki) if settings.wiki else suggest_language(settings.language)


def mirrors(settings: WikipediaSettings) -> tuple[str, ...]:
    """Return the servers to ask, in order: CHARLM_MIRROR (one or several, separated by spaces), then the settings."""
    roots = (*os.environ.get("CHARLM_MIRROR", "").split(), *settings.mirrors)
    for root in roots:
        if not re.match(r"https?://[^/\s]", root):
            raise SettingsError(f"the mirror {root!r} is not a URL", "write it like https://dumps.wikimedia.org")
    return tuple(dict.fromkeys(root.rstrip("/") for root in roots))


def user_agent(settings: WikipediaSettings) -> str:
    """Return the User-Agent `charlm/VERSION (URL; CONTACT)`, as Wikimedia asks of programs, without unknown parts."""
    contact = settings.contact or os.environ.get("CHARLM_CONTACT", "")
    if not re.fullmatch(r"[\x20-\x7e]*", contact):
        raise SettingsError(
            "corpus.source.contact has characters that an HTTP header cannot carry", "use ASCII characters"
        )
    url = ""
    try:
        entries = importlib.metadata.metadata("charlm").get_all("Project-URL") or []
        url = next((entry.partition(",")[2].strip() for entry in entries), "")
    except importlib.metadata.PackageNotFoundError:
        pass  # run from a checkout
    about = "; ".join(part for part in (url, contact.strip()) if part)
    return f"charlm/{__version__}" + (f" ({about})" if about else "")


def licence(date: str) -> str:
    """Return the licence of a dump by its date ("": unknown); Wikimedia changed it on 7 June 2023."""
    if not date:
        return "CC BY-SA 4.0 (3.0 before June 2023)"
    return "CC BY-SA 4.0" if date >= "20230607" else "CC BY-SA 3.0"


class _DumpServer:
    """The mirrors with the dumps of one wiki."""

    def __init__(self, settings: WikipediaSettings, retry_policy: RetryPolicy | None) -> None:
        self.settings, self.retry_policy = settings, retry_policy
        self.wiki, self.roots, self.agent = wiki_name(settings), mirrors(settings), user_agent(settings)

    def find_latest(self, directory: Path) -> WikimediaDump:
        dates = self._list_dates()
        for date in dates:
            try:
                return self.find_by_date(date, directory)
            except (NotFoundError, _UnfinishedError):
                continue
        found = (
            f"none of its dumps ({', '.join(dates)}) is finished"
            if dates
            else "no dumps are listed, perhaps because of a proxy or login page"
        )
        raise NetworkError(f"{self.wiki}: {found}", "try again later, or set CHARLM_MIRROR to another mirror")

    def find_by_date(self, date: str, directory: Path) -> WikimediaDump:
        """Return the dump of a date, and record it in its folder below `directory`."""
        own = directory / date
        if recorded := _read_record(own, self.wiki, date, self.roots):
            return WikimediaDump(self.wiki, date, own, recorded, is_remembered=True)
        try:
            response = self._get(f"{self.wiki}/{date}/dumpstatus.json")
        except NotFoundError:
            dates = self._list_dates()
            if date in dates:
                raise
            alternatives = f"there are {', '.join(dates)}" if dates else "there are no dumps now"
            raise NetworkError(f"{self.wiki} has no dump of {date}", f"{alternatives}; or use latest") from None
        record = self._check_finished(response, date)
        files = _files(record, self.wiki, date, self.roots)
        if not files:
            raise NetworkError(f"the dump of {self.wiki} of {date} has no multistream files", "choose another --date")
        make_directory(own)
        remove_stale_temporaries(own / RECORD)
        write_json(own / RECORD, record)
        return WikimediaDump(self.wiki, date, own, files)

    def _check_finished(self, response: bytes, date: str) -> dict[str, Any]:
        """Return what dumpstatus.json states about the multistream job, if it is done."""
        try:
            job: dict[str, Any] = json.loads(response)["jobs"].get(_JOB, {})
            status, entries = str(job.get("status", "not started")), cast("dict[str, Any]", job.get("files", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NetworkError(
                f"{self.wiki}/{date}/dumpstatus.json has an unexpected form, perhaps that of a proxy or login page",
                "open it in a browser, and check corpus.source.mirrors",
            ) from error
        if status != "done":
            raise _UnfinishedError(
                f"the dump of {self.wiki} of {date} is not finished ({status})", "choose an older --date"
            )
        return {"jobs": {_JOB: {"status": status, "files": entries}}}

    def _list_dates(self) -> list[str]:
        """Return the dates of the dumps of the wiki, newest first."""
        try:
            listing = self._get(f"{self.wiki}/").decode("utf-8", errors="replace")
        except NotFoundError as error:
            cure = "check --language, the code in the address of the site, or give the database name with --wiki"
            raise NotFoundError(
                f"there are no dumps of a wiki named {self.wiki}", _suggest_name(self.settings) or cure
            ) from error
        return sorted(set(re.findall(r"href=[\"'](?:[^\"']*/)?([12]\d{7})/?[\"']", listing)), reverse=True)

    def _get(self, path: str) -> bytes:
        urls = [f"{root}/{path}" for root in self.roots]
        return fetch_document(urls, limit=_MAX_RESPONSE_BYTES, user_agent=self.agent, retry_policy=self.retry_policy)


class _UnfinishedError(NetworkError):
    """The dump is still being made, or it failed."""


def _cached_dates(directory: Path) -> list[str]:
    """Return the dates whose dumps were resolved before, newest first."""
    return sorted((path.parent.name for path in directory.glob(f"*/{RECORD}")), reverse=True)


def _read_record(directory: Path, wiki: str, date: str, roots: Sequence[str]) -> tuple[RemoteDumpFile, ...]:
    """Return the files of a dump that was resolved before; empty if it was not."""
    try:
        return _files(read_json(directory / RECORD), wiki, date, roots)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def _files(record: Any, wiki: str, date: str, roots: Sequence[str]) -> tuple[RemoteDumpFile, ...]:
    """Return the multistream files, each with its index, in the order of their pages."""
    entries = cast("dict[str, dict[str, Any]]", record["jobs"][_JOB]["files"])

    def file(name: str, index: RemoteDumpFile | None = None) -> RemoteDumpFile:
        entry = entries[name]
        size = entry.get("size")
        sha1, md5 = (str(entry[key]) if entry.get(key) else None for key in ("sha1", "md5"))
        urls = tuple(f"{root}/{wiki}/{date}/{name}" for root in roots)
        return RemoteDumpFile(name, urls, size if isinstance(size, int) and size >= 0 else None, sha1, md5, index)

    prefix = f"{wiki}-{date}"
    found: list[tuple[tuple[int, int], RemoteDumpFile]] = []
    for name in entries:
        part = _MULTISTREAM_NAME.fullmatch(name, len(prefix)) if name.startswith(prefix) else None
        if part:
            index = f"{prefix}-pages-articles-multistream-index{part[1]}.txt{part[2]}"
            place = (int(part[1] or 0), int(part[3] or 0))
            found.append((place, file(name, file(index) if index in entries else None)))
    return tuple(file for _, file in sorted(found, key=lambda entry: entry[0]))
