"""A range of the bytes of a file on a server -> these bytes; nothing else is downloaded.

read(start, end) ─> GET with Range and If-Range ─ broken ─> wait ─> GET for the missing bytes ─> bytes
                     └─ status 200 (no ranges there) or another ETag (the file changed) is an error
"""

import queue
import threading
from collections.abc import Sequence
from http import HTTPStatus

import requests

from charlm.errors import NetworkError
from charlm.text.download.connection import content_range, matches_version, open_response, read_body, validator
from charlm.text.download.retry import OtherVersionError, RetryableError, RetryPolicy, retry, try_mirrors

_MAX_CONNECTIONS = 2


class RemoteFile:
    """One file, read in ranges. Any number of threads may read; at most two connections are open at a time.

    `urls` are the addresses of the file on several mirrors; if one fails, the next is tried. If `size` is None, the
    server is asked.
    """

    def __init__(
        self,
        urls: Sequence[str],
        size: int | None,
        user_agent: str,
        retry_policy: RetryPolicy | None = None,
        version: str = "",
    ) -> None:
        """
        Args:
            version: The ETag or date of the file that was read before; "" accepts the current version.
        """
        self._urls = tuple(urls)
        self._size = size
        self._user_agent = user_agent
        self._retry_policy = retry_policy or RetryPolicy()
        self._mirror_index = 0  # the mirror that answered last: a dead one would cost half a minute each time
        self._versions = dict.fromkeys(self._urls, version) if version else {}
        self._cure = "run the same command again" + (" with --refresh" if version else "")
        self._lock = threading.Lock()
        self._sessions: queue.LifoQueue[requests.Session] = queue.LifoQueue()
        for _ in range(_MAX_CONNECTIONS):
            self._sessions.put(requests.Session())

    @property
    def size(self) -> int:
        """The size of the whole file in bytes."""
        if self._size is None:
            self._fetch(0, 1)
        assert self._size is not None
        return self._size

    @property
    def version(self) -> str:
        """ETag or date of the file; empty if the server states neither."""
        return self._versions.get(self._urls[self._mirror_index], "") if self.size else ""

    def read(self, start: int, end: int) -> bytes:
        """Return bytes [start, end) of the file.

        Raises:
            ValueError: the range is outside the file.
            NotFoundError: no mirror has the file.
            NetworkError: no mirror sent the bytes, serves ranges, or has the file with this size; or the file changed
                since the first read.
        """
        if not 0 <= start <= end <= self.size:
            raise ValueError(f"no bytes {start} to {end} in a file of {self.size}")
        return self._fetch(start, end) if end > start else b""

    def _fetch(self, start: int, end: int) -> bytes:
        order = (*self._urls[self._mirror_index :], *self._urls[: self._mirror_index])

        def fetch(url: str) -> bytes:
            content = self._read(url, start, end)
            self._mirror_index = self._urls.index(url)
            return content

        try:
            return try_mirrors(order, fetch, self._retry_policy)
        except _ChangedError as error:
            raise NetworkError(f"{error} changed while it was read", self._cure) from error

    def _read(self, url: str, start: int, end: int) -> bytes:
        received = bytearray()

        def attempt() -> bytes:
            position = start + len(received)
            known_version = self._versions.get(url, "")
            headers = {"Range": f"bytes={position}-{end - 1}", **({"If-Range": known_version} if known_version else {})}
            session = self._sessions.get()
            try:
                with open_response(
                    session, url, headers, self._user_agent, self._retry_policy.stall_timeout
                ) as response:
                    self._check_response(url, response, position)
                    for piece in read_body(response, self._retry_policy.stall_timeout):
                        received.extend(piece)
                        if len(received) > end - start:
                            raise NetworkError(
                                f"{url} sent more bytes than requested", "set CHARLM_MIRROR to another mirror"
                            )
            finally:
                self._sessions.put(session)
            if len(received) < end - start:
                raise RetryableError("the connection broke off")
            return bytes(received)

        return retry(url, attempt, self._retry_policy, progress=lambda: len(received))

    def _check_response(self, url: str, response: requests.Response, position: int) -> None:
        """Check that the body is the requested range: same version as before, same size, right offset."""
        span = content_range(response)
        with self._lock:
            version = self._versions.setdefault(url, validator(response))
            if self._size is None and response.status_code == HTTPStatus.PARTIAL_CONTENT:
                self._size = span.total
        if version and not matches_version(response, version):
            raise _ChangedError(url)
        if response.status_code == HTTPStatus.OK:
            raise NetworkError(
                f"{url} does not serve ranges of files, perhaps behind a proxy", "set CHARLM_MIRROR to another mirror"
            )
        if self._size is None:
            raise NetworkError(f"{url} does not state the size of the file", "set CHARLM_MIRROR to another mirror")
        if span.total not in (None, self._size):
            raise OtherVersionError(
                f"{url} has {span.total:,} bytes instead of {self._size:,}", "set CHARLM_MIRROR to another mirror"
            )
        if response.status_code != HTTPStatus.PARTIAL_CONTENT or span.start != position:
            raise NetworkError(f"{url} sent other bytes than requested", "set CHARLM_MIRROR to another mirror")


class _ChangedError(Exception):
    """The file is another version than the one that was read before; other mirrors do not help."""
