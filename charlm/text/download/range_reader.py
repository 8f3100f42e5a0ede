"""A file on a server, and a range of its bytes -> these bytes; nothing of the rest is fetched.

read(start, end) ─> GET with Range and If-Range ─ drop ─> wait ─> GET for what has not arrived ─> bytes
                     └─ 200: no ranges there; another ETag: the file changed; both are errors
"""

import queue
import threading
from collections.abc import Sequence
from http import HTTPStatus

import requests

from charlm.errors import NetworkError
from charlm.text.download.connection import content_range, is_version, pieces, respond, validator
from charlm.text.download.retry import AgainError, Patience, first_of, persist

_MAX_CONNECTIONS = 2


class RemoteFile:
    """One file, read in ranges. Any number of threads may read; two connections at most are open at a time.

    `urls` are the file's addresses on several mirrors: one that fails is given up for the next. `size` may be None;
    the server is asked then.
    """

    def __init__(
        self, urls: Sequence[str], size: int | None, agent: str, patience: Patience | None = None, version: str = ""
    ) -> None:
        """
        Args:
            version: The ETag or date of the one URL's file that was read before; "" takes what is there now.
        """
        self._urls = tuple(urls)
        self._size = size
        self._agent = agent
        self._patience = patience or Patience()
        self._working = 0  # the mirror that answered last: a dead one costs half a minute, and once is enough
        self._versions = dict.fromkeys(self._urls, version) if version else {}
        self._cure = "run the same command again" + (" with --refresh" if version else "")
        self._lock = threading.Lock()
        self._sessions: queue.LifoQueue[requests.Session] = queue.LifoQueue()
        for _ in range(_MAX_CONNECTIONS):
            self._sessions.put(requests.Session())

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        if self._size is None:
            self._fetch(0, 1)
        assert self._size is not None
        return self._size

    @property
    def version(self) -> str:
        """ETag or date of the file that was read; empty where the server tells neither."""
        return self._versions.get(self._urls[self._working], "") if self.size else ""

    def read(self, start: int, end: int) -> bytes:
        """Bytes [start, end) of the file.

        Raises:
            ValueError: there are no such bytes.
            NotFoundError: no mirror has the file.
            NetworkError: no mirror gave the bytes, serves ranges, or has the file of this size; or the file changed
                since the first read.
        """
        if not 0 <= start <= end <= self.size:
            raise ValueError(f"no bytes {start} to {end} in a file of {self.size}")
        return self._fetch(start, end) if end > start else b""

    def _fetch(self, start: int, end: int) -> bytes:
        order = (*self._urls[self._working :], *self._urls[: self._working])

        def fetch(url: str) -> bytes:
            content = self._read(url, start, end)
            self._working = self._urls.index(url)
            return content

        try:
            return first_of(order, fetch, self._patience)
        except _ChangedError as error:
            raise NetworkError(f"{error} changed while it was read", self._cure) from error

    def _read(self, url: str, start: int, end: int) -> bytes:
        arrived = bytearray()

        def attempt() -> bytes:
            first = start + len(arrived)
            known = self._versions.get(url, "")
            headers = {"Range": f"bytes={first}-{end - 1}", **({"If-Range": known} if known else {})}
            session = self._sessions.get()
            try:
                with respond(session, url, headers, self._agent, self._patience.stall) as response:
                    self._check(url, response, first)
                    for piece in pieces(response, self._patience.stall):
                        arrived.extend(piece)
                        if len(arrived) > end - start:
                            raise NetworkError(f"{url} gave more bytes than asked for", "set another mirror")
            finally:
                self._sessions.put(session)
            if len(arrived) < end - start:
                raise AgainError("the connection broke off")
            return bytes(arrived)

        return persist(url, attempt, self._patience, progress=lambda: len(arrived))

    def _check(self, url: str, response: requests.Response, first: int) -> None:
        """Whether the body is what was asked for: same version as before, same size, right place."""
        span = content_range(response)
        with self._lock:
            version = self._versions.setdefault(url, validator(response))
            if self._size is None and response.status_code == HTTPStatus.PARTIAL_CONTENT:
                self._size = span.total
        if version and not is_version(response, version):
            raise _ChangedError(url)
        if response.status_code == HTTPStatus.OK:
            raise NetworkError(f"{url} gives no parts of files: a proxy or login page?", "set another mirror")
        if self._size is None:
            raise NetworkError(f"{url} does not say how long the file is", "set another mirror")
        if span.total not in (None, self._size):
            raise NetworkError(f"{url} has {span.total:,} bytes instead of {self._size:,}", "set another mirror")
        if response.status_code != HTTPStatus.PARTIAL_CONTENT or span.start != first:
            raise NetworkError(f"{url} gave other bytes than those asked for", "set another mirror")


class _ChangedError(Exception):
    """Another version of the file than the one that was read before; no other mirror mends that."""
