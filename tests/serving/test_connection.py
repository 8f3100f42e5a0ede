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
LARGE_REQUEST = REQUEST.replace(b"/ ", b"/large ")
LARGE_BYTES = 1 << 24  # more than the buffers of sockets hold


class Impatient(Connection):
    head_seconds = 0.2
    write_seconds = 0.3
    max_open = 6


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with much, or with nothing after more time than a silent client has."""
    del receive
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(LARGE_BYTES)})
        return
    await asyncio.sleep(0.4)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def with_server(test: Callable[[int], Awaitable[None]]) -> None:
    """Run a test with the port of a server."""

    async def run() -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            server = uvicorn.Server(uvicorn.Config(app, http=Impatient, lifespan="off", log_level=100, log_config=None))
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


def test_a_connection_that_is_silent_after_an_answer_is_closed() -> None:
    async def test(port: int) -> None:
        found = await asyncio.wait_for(talk(port, REQUEST + REQUEST[:1]), 2)
        assert found.count(b"HTTP/1.1 204") == 1

    with_server(test)


@pytest.mark.parametrize("head", [LARGE_REQUEST, LARGE_REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
def test_a_connection_whose_client_does_not_read_is_closed(head: bytes) -> None:
    async def test(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        await asyncio.sleep(1)
        num_bytes = 0
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 20):
                num_bytes += len(piece)
        assert num_bytes < LARGE_BYTES
        writer.close()
        assert len(await talk(port, LARGE_REQUEST)) > LARGE_BYTES

    with_server(test)


def test_connections_beyond_the_bound_are_closed_and_the_next_are_answered() -> None:
    async def test(port: int) -> None:
        assert await asyncio.gather(*(talk(port) for _ in range(40))) == [b""] * 40
        closing = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert (await talk(port, closing)).startswith(b"HTTP/1.1 204")

    with_server(test)


@pytest.mark.parametrize("num_taken", range(4))
def test_a_client_that_takes_no_more_ends_its_stream(num_taken: int) -> None:
    """Whether the start, an event or the end is not taken."""
    called: list[str] = []
    num_sent = 0

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield b"data"
            yield b"data"
        finally:
            called.append("events closed")

    async def send(message: Any) -> None:
        nonlocal num_sent
        del message
        num_sent += 1
        if num_sent > num_taken:
            await asyncio.sleep(60)

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def run() -> None:
        response = EventResponse(events(), 0.1, lambda: called.append("gone"), lambda: called.append("ended"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response({}, receive, send), 10)
        assert num_sent == num_taken + 1

    asyncio.run(run())
    assert called == ["events closed", "ended"][num_taken == 0 :]
