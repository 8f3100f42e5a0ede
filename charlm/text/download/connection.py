"""One HTTP request -> a response whose status was checked, and its body as it arrives.

    fetch_document ── open_response: redirects, status ──> read_body ── stalls ──> bytes

Redirects are followed by hand: at most five, and never from https to http. A failure that a new attempt may solve is a
RetryableError, which `retry` handles; any other is a NetworkError.
"""

import contextlib
import re
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from charlm.errors import NetworkError
from charlm.text.download.retry import (
    CONNECTION_ERRORS,
    MAX_WAIT,
    NotFoundError,
    RetryableError,
    RetryPolicy,
    retry,
    try_mirrors,
)

_CHUNK = 1 << 16
_MAX_REDIRECTS = 5
_MAX_DIGITS = 18  # of the size of a file in bytes
_CONNECT_TIMEOUT = 10.0
_MIN_BYTES_PER_SECOND = 1024
"""A connection that stays slower than this for `RetryPolicy.stall_timeout` seconds counts as broken."""
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


def fetch_document(
    urls: Sequence[str], *, limit: int, user_agent: str, retry_policy: RetryPolicy | None = None
) -> bytes:
    """Download a document of at most `limit` bytes from the first URL that serves it. It soon ends without a network.

    Raises:
        NotFoundError: every server answered that the document does not exist.
        NetworkError: no server sent it, for another reason.
    """
    retry_policy = retry_policy or RetryPolicy()
    with requests.Session() as session:

        def attempt(url: str) -> bytes:
            content = bytearray()
            with open_response(session, url, {}, user_agent, retry_policy.stall_timeout) as response:
                expected = content_length(response)
                for piece in read_body(response, retry_policy.stall_timeout):
                    content += piece
                    if len(content) > limit:
                        raise NetworkError(
                            f"{url} has more than {limit:,} bytes", "check corpus.source.mirrors and CHARLM_MIRROR"
                        )
            if expected is not None and len(content) < expected:
                raise RetryableError("the connection broke off")
            return bytes(content)

        def fetch(url: str) -> bytes:
            return retry(url, lambda: attempt(url), retry_policy, gives_up_offline=True)

        return try_mirrors(urls, fetch, retry_policy)


@contextlib.contextmanager
def open_response(
    session: requests.Session, url: str, headers: Mapping[str, str], user_agent: str, stall_timeout: float
) -> Generator[requests.Response, None, None]:
    """Open a response with status 200; also 206 or 416 if the request has a Range header."""
    request_headers = {**headers, "User-Agent": user_agent, "Accept-Encoding": "identity"}
    for _ in range(_MAX_REDIRECTS + 1):
        timeout = (min(stall_timeout, _CONNECT_TIMEOUT), stall_timeout)
        response = session.get(url, headers=request_headers, stream=True, allow_redirects=False, timeout=timeout)
        with contextlib.closing(response):
            if response.status_code not in _REDIRECTS:
                _check_status(url, response, ranged="Range" in headers)
                yield response
                return
            target = urljoin(url, response.headers.get("Location", ""))
        if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
            raise NetworkError(
                f"{url} redirects to {target}, which is not encrypted", "set CHARLM_MIRROR to another mirror"
            )
        url = target
    raise NetworkError(f"{url}: more than {_MAX_REDIRECTS} redirects", "set CHARLM_MIRROR to another mirror")


def read_body(response: requests.Response, stall_timeout: float) -> Iterator[bytes]:
    """Yield the body as it arrives, undecoded."""
    started, received = time.monotonic(), 0
    while True:
        try:
            piece = response.raw.read1(_CHUNK, decode_content=False)
        except CONNECTION_ERRORS as error:
            timed_out = isinstance(error, (urllib3.exceptions.ReadTimeoutError, TimeoutError))
            raise RetryableError(
                f"no data for {stall_timeout:g} seconds" if timed_out else "the connection broke off"
            ) from error
        if not piece:
            return
        received += len(piece)
        yield piece
        elapsed = time.monotonic() - started
        if elapsed >= stall_timeout:
            if received < _MIN_BYTES_PER_SECOND * elapsed:
                raise RetryableError(f"slower than {_MIN_BYTES_PER_SECOND:,} bytes a second")
            started, received = time.monotonic(), 0


def content_length(response: requests.Response) -> int | None:
    """Return the size of the body in bytes, as the header states it; None if there is no such header."""
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() and len(value) <= _MAX_DIGITS else None


def validator(response: requests.Response) -> str:
    """Return what identifies this version of the file: its strong ETag, otherwise its Last-Modified date."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def matches_version(response: requests.Response, version: str) -> bool:
    """Return whether the headers do not contradict `version`; a server may omit what If-Range already stated."""
    return response.headers.get("ETag" if version.startswith('"') else "Last-Modified", version) in (version, "")


class ContentRange(NamedTuple):
    """First byte and size of the whole file, as the Content-Range header states them; None for what is missing."""

    start: int | None
    total: int | None


def content_range(response: requests.Response) -> ContentRange:
    header = response.headers.get("Content-Range", "").strip()
    found = re.fullmatch(rf"bytes (?:(\d{{1,{_MAX_DIGITS}}})-\d+|\*)/(\d{{1,{_MAX_DIGITS}}}|\*)", header)
    start, total = found.groups() if found else (None, None)
    return ContentRange(int(start) if start else None, int(total) if total and total != "*" else None)


def _check_status(url: str, response: requests.Response, *, ranged: bool) -> None:
    status = response.status_code
    if status == HTTPStatus.OK or (ranged and status in (206, 416)):
        return
    if status in (404, 410):
        raise NotFoundError(f"{url} does not exist ({status})", "check language, wiki and date")
    if status == HTTPStatus.FORBIDDEN:
        raise NetworkError(
            f"{url} refuses programs that do not identify their user (403)",
            "set corpus.source.contact or CHARLM_CONTACT to your e-mail address or home page",
        )
    if status in (429, 503):
        wait = _parse_retry_after(response)
        if wait is not None and wait > MAX_WAIT:
            raise NetworkError(
                f"{url} asks to wait {wait:,.0f} seconds ({status})", "run the same command again after that time"
            )
        raise RetryableError(f"the server is busy ({status})", wait)
    if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
        raise RetryableError(f"the server failed ({status})")
    raise NetworkError(f"{url}: unexpected status {status}", "try again later, or set CHARLM_MIRROR to another mirror")


def _parse_retry_after(response: requests.Response) -> float | None:
    """Return the seconds to wait, given as a number or as a date; None if it is neither.

    A date counts from the time on the server's clock, since our own may be wrong.
    """
    value = response.headers.get("Retry-After", "")
    if value.strip().isdecimal():
        return float(value)
    retry_time = _parse_date(value)
    if retry_time is None:
        return None
    now = _parse_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (retry_time - now).total_seconds())


def _parse_date(value: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(value)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
