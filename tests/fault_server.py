"""A real HTTP server on 127.0.0.1 that serves files as Wikimedia does, and fails in every way that servers fail.

with FaultServer() as server:
    server.files["/a.bz2"] = content            # with ETag, Last-Modified, Range and If-Range
    server.script += [drop_after(1000), answer(503)]    # what the next requests get instead
    download([server.url("/a.bz2")], ...)
    server.requests                             # path and headers of each
"""

import hashlib
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

LAST_MODIFIED = "Sat, 03 Aug 2024 15:04:06 GMT"


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

    def hang_up(self) -> None:
        """Close with a reset instead of an orderly end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


Fault = Callable[[Handler], None]


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def serve(handler: Handler, *, limit: int | None = None, reset: bool = False, ignore_range: bool = False) -> None:
    """The file as it should be; at most `limit` bytes of the body if given."""
    content = handler.content
    if content is None:
        answer(404)(handler)
        return
    headers = {"ETag": etag(content), "Last-Modified": LAST_MODIFIED, "Content-Type": "application/octet-stream"}
    start, status = 0, 200
    wanted = handler.headers.get("Range", "")
    same = handler.headers.get("If-Range", etag(content)) in (etag(content), LAST_MODIFIED)
    if wanted and same and not ignore_range:
        start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
        if start >= len(content):
            answer(416)(handler)
            return
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.head(status, {**headers, "Content-Length": str(len(content) - start)})
    body = content[start:]
    handler.wfile.write(body if limit is None else body[:limit])
    if limit is not None:
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
        handler.wfile.write(content[:num_bytes])
        handler.wfile.flush()
        handler.owner.closing.wait(20)
        handler.close_connection = True

    return fault


def trickle(handler: Handler) -> None:
    """A byte now and then: never silent, never useful."""
    content = handler.content or b""
    handler.head(200, {"ETag": etag(content), "Content-Length": str(len(content))})
    try:
        for i in range(len(content)):
            handler.wfile.write(content[i : i + 1])
            handler.wfile.flush()
            if handler.owner.closing.wait(0.02):
                break
    except OSError:
        pass  # the client has had enough
    handler.close_connection = True


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what the tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class FaultServer:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.script: deque[Fault] = deque()
        self.requests: list[Request] = []
        self.closing = threading.Event()
        handler = type("BoundHandler", (Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
