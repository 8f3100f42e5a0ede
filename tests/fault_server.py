"""A real HTTP server on 127.0.0.1 that serves files as Wikimedia does, and fails in every way that servers fail.

with FaultServer() as server:
    server.files["/a.bz2"] = content            # with ETag, Last-Modified, Range and If-Range
    server.script += [drop_after(1000), answer(503)]    # what the next requests get instead
    download([server.url("/a.bz2")], ...)
    server.requests                             # path and headers of each
    server.sent_twice("/a.bz2")                 # bytes that went over the line more than once
"""

import contextlib
import hashlib
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

LAST_MODIFIED = "Sat, 03 Aug 2024 15:04:06 GMT"
_CHUNK = 1 << 14


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]


class Handler(BaseHTTPRequestHandler):
    """One request; `owner` is the FaultServer."""

    protocol_version = "HTTP/1.1"
    owner: "FaultServer"

    def do_GET(self) -> None:
        self.owner.requests.append(Request(self.path, {name.lower(): value for name, value in self.headers.items()}))
        fault = self.owner.script.popleft() if self.owner.script else serve
        with self.owner.counting():
            fault(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass

    @property
    def content(self) -> bytes | None:
        return self.owner.files.get(self.path)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, body: bytes, start: int = 0) -> None:
        """Bytes of the file from `start` on, at the server's pace."""
        for offset in range(0, len(body), _CHUNK):
            piece = body[offset : offset + _CHUNK]
            self.owner.sent.append((self.path, start + offset, len(piece)))
            self.wfile.write(piece)
            if self.owner.pace:
                self.wfile.flush()
                time.sleep(len(piece) / self.owner.pace)

    def hang_up(self) -> None:
        """Close with a reset instead of an orderly end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


Fault = Callable[[Handler], None]


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def serve(
    handler: Handler,
    *,
    limit: int | None = None,
    reset: bool = False,
    ignore_range: bool = False,
    without: tuple[str, ...] = (),
) -> None:
    """The file as it should be; at most `limit` bytes of the body if given, `without` some headers."""
    content = handler.content
    if content is None:
        answer(404)(handler)
        return
    headers = {"ETag": etag(content), "Last-Modified": LAST_MODIFIED, "Content-Type": "application/octet-stream"}
    start, end, status = 0, len(content), 200
    wanted = handler.headers.get("Range", "").removeprefix("bytes=")
    same = handler.headers.get("If-Range", etag(content)) in (etag(content), LAST_MODIFIED)
    if wanted and same and not ignore_range:
        first, _, last = wanted.partition("-")
        start, end, status = int(first), min(int(last) + 1, end) if last else end, 206
        if start >= len(content):
            answer(416, Content_Range=f"bytes */{len(content)}")(handler)
            return
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    headers["Content-Length"] = str(end - start)
    handler.head(status, {name: value for name, value in headers.items() if name not in without})
    handler.send(content[start:end] if limit is None else content[start:end][:limit], start)
    if limit is not None or "Content-Length" in without:
        handler.close_connection = True
        if reset:
            handler.hang_up()


def drop_after(num_bytes: int) -> Fault:
    """Close after that many bytes of the body."""
    return lambda handler: serve(handler, limit=num_bytes)


def reset_after(num_bytes: int) -> Fault:
    """A connection reset, which may swallow some of what was sent."""
    return lambda handler: serve(handler, limit=num_bytes, reset=True)


def ignoring_range(handler: Handler) -> None:
    serve(handler, ignore_range=True)


def without(*names: str, limit: int | None = None) -> Fault:
    """The file without these headers; without a Content-Length, the end of the connection is the end of the file."""
    return lambda handler: serve(handler, limit=limit, without=names)


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    """A fixed answer; underscores in header names stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: (
        handler.head(status, {**named, "Content-Length": str(len(body))}),
        handler.wfile.write(body),
        None,
    )[-1]


def redirect(target: str) -> Fault:
    return answer(302, Location=target)


def stall_after(num_bytes: int) -> Fault:
    """Send the beginning, then nothing until the client gives up or the server is closed."""

    def fault(handler: Handler) -> None:
        content = handler.content or b""
        handler.head(200, {"ETag": etag(content), "Content-Length": str(len(content))})
        handler.send(content[:num_bytes])
        handler.wfile.flush()
        handler.owner.closing.wait(20)
        handler.close_connection = True

    return fault


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what the tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class FaultServer:
    def __init__(self, certificate: Path | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.script: deque[Fault] = deque()
        self.requests: list[Request] = []
        self.sent: list[tuple[str, int, int]] = []
        """Path, first byte and number of bytes of every piece that a client was given of a file."""
        self.pace = 0.0
        """Bytes a second of one connection; 0: as fast as it goes."""
        self.most_at_once = 0
        """Requests that were being answered at the same time."""
        self.closing = threading.Event()
        self._active = 0
        self._lock = threading.Lock()
        self._scheme = "https" if certificate else "http"
        handler = type("BoundHandler", (Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def url(self, path: str = "") -> str:
        return f"{self._scheme}://{self.host}{path}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def counting(self) -> Generator[None, None, None]:
        """For the time of one request."""
        with self._lock:
            self._active += 1
            self.most_at_once = max(self.most_at_once, self._active)
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1

    def sent_once(self, path: str) -> int:
        """Bytes of a file that were sent at all."""
        return sum(count for where, _, count in self.sent if where == path) - self.sent_twice(path)

    def sent_twice(self, path: str) -> int:
        """Bytes of a file that were sent again."""
        pieces = sorted((start, start + count) for where, start, count in self.sent if where == path)
        twice = reached = 0
        for start, end in pieces:
            twice += max(min(reached, end) - start, 0)
            reached = max(reached, end)
        return twice

    def stop(self) -> None:
        """Nobody answers any more."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.closing.is_set():
            self.stop()
