"""URLs of one file -> the whole, verified file under its final name; or a small document as bytes.

    GET ─ drop, 5xx, stall ─> wait 1, 2, 4, 8, 16 s ─> GET with Range and If-Range ─> NAME.part ─ size, hash ─> NAME
     └─ 404, 403, a page of HTML: an error at once; several URLs (mirrors) are tried in order

No client library resumes a body that breaks off, so this loop is ours. `NAME.part.json` remembers which version of the
file `NAME.part` holds (ETag or date, and URL): only that version is ever continued.
"""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from charlm.errors import DataError, NetworkError, StorageError
from charlm.storage import PartialFile, read_json, remove_tree, storage_errors, write_json

T = TypeVar("T")

_MAGIC = b"BZh"
_CHUNK = 1 << 16
_MAX_REDIRECTS = 5
_MAX_RESTARTS = 2
_LONGEST_WAIT = 600.0
_SLOWEST = 1024
"""Bytes a second; a connection below that for `Patience.stall` seconds counts as broken."""
_LASTING_PROGRESS = 1 << 20
"""Bytes after which earlier failures are forgotten: a line that drops every gigabyte is slow, not dead."""
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_BROKEN = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on when a server fails."""

    delays: tuple[float, ...] = (1, 2, 4, 8, 16)
    """Seconds to wait before each new attempt."""
    stall: float = 60
    """Seconds without data until a connection counts as broken."""
    sleep: Callable[[float], None] = field(default=time.sleep)


class NotFoundError(NetworkError):
    """The server answered, and has no such file."""


class _AgainError(Exception):
    """What went wrong this time, and how long the server asks to wait."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def download(
    urls: Sequence[str],
    target: Path,
    *,
    size: int | None,
    sha1: str | None,
    md5: str | None,
    user_agent: str,
    on_progress: Callable[[int], None] | None = None,
    patience: Patience | None = None,
) -> None:
    """Fetch `target` from the first of `urls` that gives it; `on_progress` gets the bytes on disk so far.

    Raises:
        NetworkError: no URL gave the file; what has arrived stays for the next time.
        DataError: the checksum is wrong; nothing is kept.
        StorageError: no space (known before the first byte), or the disk fails.
    """
    with PartialFile(target) as part:
        _check_space(target, size, part.size)
        fetch = _Fetch(part, size, on_progress or (lambda _: None))
        if size is None or part.size != size:
            failure: NetworkError | None = None
            for url in urls:
                try:
                    fetch.run(url, user_agent, patience or Patience())
                    break
                except NetworkError as error:
                    failure = failure if isinstance(error, NotFoundError) and failure else error
            else:
                raise failure or NetworkError(f"there is no URL for {target.name}", "set corpus.source.mirrors")
        part.flush()
        _verify(part, sha1, md5)
        part.commit()
    remove_tree(fetch.note)


def get(urls: Sequence[str], *, limit: int, user_agent: str, patience: Patience | None = None) -> bytes:
    """A document of at most `limit` bytes from the first URL that gives it.

    Raises:
        NotFoundError: every server answered that there is no such document.
        NetworkError: otherwise, where none gave it.
    """
    patience = patience or Patience()
    failure: NetworkError | None = None
    for url in urls:

        def attempt(url: str = url) -> bytes:
            content = b""
            with _open(url, {}, user_agent, patience.stall) as response:
                expected = _length(response)
                for piece in _pieces(response, patience.stall):
                    content += piece
                    if len(content) > limit:
                        raise NetworkError(f"{url} has more than {limit:,} bytes", "check corpus.source.mirrors")
            if expected is not None and len(content) < expected:
                raise _AgainError(f"broke off after {len(content):,} of {expected:,} bytes")
            return content

        try:
            return _persist(url, attempt, lambda: 0, patience)
        except NetworkError as error:
            failure = failure if isinstance(error, NotFoundError) and failure else error
    raise failure or NetworkError("there is no mirror to ask", "set corpus.source.mirrors")


class _Fetch:
    """One file's way onto the disk, over as many connections as it takes."""

    def __init__(self, part: PartialFile, size: int | None, on_progress: Callable[[int], None]) -> None:
        self.part, self.size, self.on_progress = part, size, on_progress
        self.note = part.path.with_name(part.path.name + ".json")
        self.restarts = 0

    def run(self, url: str, user_agent: str, patience: Patience) -> None:
        _persist(url, lambda: self._attempt(url, user_agent, patience.stall), lambda: self.part.size, patience)

    def _attempt(self, url: str, user_agent: str, stall: float) -> None:
        validator = self._validator_of(url) if self.part.size else ""
        if not validator or (self.size is not None and self.part.size > self.size):
            self.part.restart()
        headers = {"Range": f"bytes={self.part.size}-", "If-Range": validator} if self.part.size else {}
        with _open(url, headers, user_agent, stall) as response:
            if response.status_code == HTTPStatus.PARTIAL_CONTENT and self._continues(response, validator):
                pass
            elif response.status_code == HTTPStatus.OK:
                if self.part.size:
                    self._restart(url)
                self._check_promised(url, response)
                write_json(self.note, {"url": url, "validator": _validator(response)})
            else:  # 416, or a 206 that does not continue what we have
                self._restart(url)
                raise _AgainError("the file changed on the server", 0)
            whole = self.size
            if whole is None and (rest := _length(response)) is not None:
                whole = self.part.size + rest
            self._receive(url, _pieces(response, stall))
        if whole is not None and self.part.size < whole:
            raise _AgainError(f"the connection broke off after {self.part.size:,} of {whole:,} bytes")

    def _receive(self, url: str, pieces: Iterator[bytes]) -> None:
        head = b""
        for piece in pieces:
            body = piece
            if self.part.size == 0:
                body = head = head + piece
                if len(head) < len(_MAGIC) and _MAGIC.startswith(head):
                    continue
                if not head.startswith(_MAGIC):
                    raise NetworkError(f"{url} gives no bz2 file: a proxy or login page?", "open it in a browser")
            self.part.append(body)
            self.on_progress(self.part.size)
            if self.size is not None and self.part.size > self.size:
                self.part.restart()
                raise NetworkError(f"{url} has more than the expected {self.size:,} bytes", "set another mirror")

    def _restart(self, url: str) -> None:
        self.restarts += 1
        if self.restarts > _MAX_RESTARTS:
            raise NetworkError(f"{url} changed again and again while it was downloaded", "try later, or another mirror")
        self.part.restart()

    def _validator_of(self, url: str) -> str:
        """What identifies the version of the file that the part belongs to; empty if that is not known."""
        try:
            note = read_json(self.note)
            return str(note["validator"]) if note["url"] == url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _continues(self, response: requests.Response, validator: str) -> bool:
        """Whether a 206 is the rest of our part: same version, right place, right length."""
        unit, _, content_range = response.headers.get("Content-Range", "").partition(" ")
        span, _, total = content_range.partition("/")
        version = response.headers.get("ETag" if validator.startswith('"') else "Last-Modified", validator)
        same_version = version == validator
        same_size = total == "*" or self.size is None or total == str(self.size)
        return unit == "bytes" and span.partition("-")[0] == str(self.part.size) and same_version and same_size

    def _check_promised(self, url: str, response: requests.Response) -> None:
        promised = _length(response)
        html = "text/html" in response.headers.get("Content-Type", "")
        if self.size is not None and promised is not None and promised != self.size and not html:
            raise NetworkError(
                f"{url} has {promised:,} bytes instead of {self.size:,}", "try again later, or set another mirror"
            )


def _persist(url: str, attempt: Callable[[], T], progress: Callable[[], int], patience: Patience) -> T:
    """Run `attempt` until it succeeds, or has failed once more than there are delays without lasting progress."""
    failures, reached, asked = 0, progress(), 0.0
    while True:
        wait: float | None = None
        try:
            return attempt()
        except _AgainError as error:
            reason, wait = str(error), error.wait
        except requests.exceptions.SSLError as error:
            raise NetworkError(f"{url}: no trust in the server's certificate", "check the clock and proxy") from error
        except _BROKEN as error:
            reason = _in_short(error)
        except (requests.exceptions.RequestException, ValueError) as error:
            raise NetworkError(f"{url}: {_in_short(error)}", "check corpus.source.mirrors and CHARLM_MIRROR") from error
        if progress() - reached >= _LASTING_PROGRESS:
            failures, reached = 0, progress()
        reached = min(reached, progress())
        if failures == len(patience.delays):
            raise NetworkError(
                f"{url}: {reason}, {failures + 1} times", "check the network and run it again; what has arrived is kept"
            )
        asked += wait or 0
        if asked > _LONGEST_WAIT:
            raise NetworkError(f"{url}: {reason}, for more than {asked:,.0f} seconds", "run it again later")
        patience.sleep(patience.delays[failures] if wait is None else wait)
        failures += 1


def _in_short(error: Exception) -> str:
    """The innermost reason of a chain of wrapped exceptions, on one line."""
    innermost: BaseException = error
    while isinstance(cause := innermost.__cause__ or innermost.__context__, BaseException):
        innermost = cause
    return " ".join(f"{type(innermost).__name__}: {innermost}".split())[:200]


@contextlib.contextmanager
def _open(
    url: str, headers: Mapping[str, str], user_agent: str, stall: float
) -> Generator[requests.Response, None, None]:
    """A response with a body worth reading (200, or 206 and 416 to a Range), after at most five redirects."""
    wanted = {**headers, "User-Agent": user_agent, "Accept-Encoding": "identity"}
    with requests.Session() as session:
        for _ in range(_MAX_REDIRECTS + 1):
            timeout = (min(stall, 30), stall)
            response = session.get(url, headers=wanted, stream=True, allow_redirects=False, timeout=timeout)
            with contextlib.closing(response):
                if response.status_code not in _REDIRECTS:
                    _check_status(url, response, ranged="Range" in headers)
                    yield response
                    return
                target = urljoin(url, response.headers.get("Location", ""))
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                raise NetworkError(f"{url} redirects to {target}, without encryption", "set another mirror")
            url = target
    raise NetworkError(f"{url}: more than {_MAX_REDIRECTS} redirects", "set another mirror")


def _check_status(url: str, response: requests.Response, *, ranged: bool) -> None:
    status = response.status_code
    if status == 200 or (ranged and status in (206, 416)):
        return
    if status in (404, 410):
        raise NotFoundError(f"{url} does not exist ({status})", "check language, wiki and date")
    if status == 403:
        raise NetworkError(
            f"{url} refuses programs that do not say whose they are (403)",
            "set corpus.source.contact or CHARLM_CONTACT to your e-mail address or home page",
        )
    if status in (429, 503):
        wait = _retry_after(response.headers.get("Retry-After", ""))
        if wait is not None and wait > _LONGEST_WAIT:
            raise NetworkError(f"{url} asks to wait {wait:,.0f} seconds ({status})", "run it again after that time")
        raise _AgainError(f"the server is busy ({status})", wait)
    if status >= 500 or status == 408:
        raise _AgainError(f"the server failed ({status})")
    raise NetworkError(f"{url}: unexpected answer {status}", "try again later, or set another mirror")


def _retry_after(value: str) -> float | None:
    """Seconds to wait, from a number or a date."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _pieces(response: requests.Response, stall: float) -> Iterator[bytes]:
    """The body as it arrives, undecoded."""
    started, received = time.monotonic(), 0
    while piece := response.raw.read1(_CHUNK, decode_content=False):
        received += len(piece)
        yield piece
        elapsed = time.monotonic() - started
        if elapsed >= stall:
            if received < _SLOWEST * elapsed:
                raise _AgainError(f"slower than {_SLOWEST:,} bytes a second")
            started, received = time.monotonic(), 0


def _length(response: requests.Response) -> int | None:
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def _validator(response: requests.Response) -> str:
    """The strong ETag, or else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _check_space(target: Path, size: int | None, present: int) -> None:
    with storage_errors(target.parent, "use"):
        free = shutil.disk_usage(target.parent).free
    needed = (size or 0) - present
    if needed > free:
        raise StorageError(
            f"{target.name} needs {needed:,} bytes and {target.parent} has {free:,} free",
            "free some space, or set CHARLM_CACHE to a folder on another disk",
        )


def _verify(part: PartialFile, sha1: str | None, md5: str | None) -> None:
    algorithm, expected = ("sha1", sha1) if sha1 else ("md5", md5)
    if not expected:
        return
    with storage_errors(part.path, "read"), open(part.path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != expected.lower():
        part.discard()
        raise DataError(
            f"{part.target.name} arrived damaged: its {algorithm} is {found} instead of {expected}",
            "run the same command again to download it anew",
        )
