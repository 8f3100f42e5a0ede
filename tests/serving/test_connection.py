"""Connections that say nothing are closed, there are never too many, and who takes nothing is not waited for."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from charlm.serving.connection import Connection
from charlm.serving.json_response import EventResponse

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Impatient(Connection):
    head_seconds = 0.2
    max_open = 6


async def slow_app(scope: Any, receive: Any, send: Any) -> None:
    """Answers after more time than a silent client has."""
    del scope, receive
    await asyncio.sleep(0.4)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def with_server(test: Callable[[int], Awaitable[None]]) -> None:
    """Run a test with the port of a server."""

    async def run() -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            server = uvicorn.Server(
                uvicorn.Config(slow_app, http=Impatient, lifespan="off", log_level=100, log_config=None)
            )
            serving = asyncio.create_task(server.serve(sockets=[bound]))
            while not server.started:
                await asyncio.sleep(0.01)
            try:
                await asyncio.wait_for(test(port), 20)
            finally:
                server.should_exit = True
                await serving

    asyncio.run(run())


async def talk(port: int, *sent: bytes) -> bytes:
    """What the server answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in sent:
        writer.write(piece)
        await asyncio.sleep(0.05)
    found = b""
    with contextlib.suppress(ConnectionError):
        found = await reader.read()
    writer.close()
    return found


def test_a_silent_connection_is_closed() -> None:
    async def test(port: int) -> None:
        assert await talk(port) == b""
        assert await talk(port, REQUEST[:20]) == b""

    with_server(test)


def test_a_request_takes_as_long_as_it_takes() -> None:
    async def test(port: int) -> None:
        closing = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert (await talk(port, closing[:9], closing[9:])).startswith(b"HTTP/1.1 204")

    with_server(test)


def test_connections_beyond_the_bound_are_closed_and_the_next_are_answered() -> None:
    async def test(port: int) -> None:
        assert await asyncio.gather(*(talk(port) for _ in range(40))) == [b""] * 40
        closing = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert (await talk(port, closing)).startswith(b"HTTP/1.1 204")

    with_server(test)


def test_a_client_that_takes_nothing_ends_its_stream() -> None:
    called: list[str] = []

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data"
        finally:
            called.append("events closed")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def run() -> None:
        response = EventResponse(events(), 0.1, lambda: called.append("gone"), lambda: called.append("ended"))
        with pytest.raises(TimeoutError):
            await response({}, receive, send)

    asyncio.run(run())
    assert called == ["events closed", "ended"]
