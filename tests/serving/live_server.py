"""A server as a process of its own, and connections to it."""

import contextlib
import json
import re
import socket
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from tests.processes import Commands, Running, until


@dataclass(frozen=True)
class LiveServer:
    process: Running
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        """What the server has written on stderr."""
        return self.process.err.text

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def request(self, method: str, path: str, content: dict[str, Any] | None = None, **headers: str) -> bytes:
        """The bytes of a request."""
        body = b"" if content is None else json.dumps(content).encode()
        lines = {"Host": f"127.0.0.1:{self.port}", "Content-Type": "application/json", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in (lines | headers).items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def ask(self, method: str, path: str, content: dict[str, Any] | None = None, **headers: str) -> tuple[int, str]:
        """Status and body of an answer."""
        with self.connect() as connection:
            connection.sendall(self.request(method, path, content, **headers, Connection="close"))
            answer = receive_all(connection)
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


@contextlib.contextmanager
def live_server(commands: Commands, *arguments: str) -> Generator[LiveServer, None, None]:
    """Start `charlm serve` at a free port; it is killed at the end if it still runs."""
    with commands.start("serve", *arguments, "--port", "0") as process:
        until(lambda: "\n" in process.out.text or process.err.text.startswith("charlm: error"))
        found = re.match(r"http://\S+", process.out.text)
        assert found, process.err.text
        yield LiveServer(process, found[0])


def receive_all(connection: socket.socket) -> bytes:
    """Read until the other side closes the connection."""
    answer = b""
    while piece := connection.recv(1 << 16):
        answer += piece
    return answer


def receive_until(connection: socket.socket, end: bytes) -> bytes:
    answer = b""
    while end not in answer:
        piece = connection.recv(1 << 16)
        assert piece, answer
        answer += piece
    return answer
