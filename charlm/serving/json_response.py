"""Answers as bytes: JSON objects, errors, and server-sent events."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from charlm import storage
from charlm.serving.api_error import ApiError

DONE = b"data: [DONE]\n\n"


def to_bytes(content: dict[str, Any]) -> bytes:
    """JSON in UTF-8. A lone surrogate, as a message may quote one, is written as its escape."""
    return storage.to_json(content, indent=None).encode("utf-8", "backslashreplace")


def json_response(content: dict[str, Any], status: int = 200) -> Response:
    return Response(to_bytes(content), status, media_type="application/json")


def error_response(error: ApiError) -> Response:
    response = json_response(error.to_json(), error.status)
    response.headers.update(error.headers)
    return response


def event(content: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + to_bytes(content) + b"\n\n"


class EventResponse(Response):
    """A stream of server-sent events, for a client that takes each of them within a time."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        write_seconds: float,
        on_disconnect: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        """
        Args:
            on_disconnect: called once the client has closed its connection.
            on_end: called at the end, whatever it was.
        """
        super().__init__()
        del self.headers["content-length"]
        self._events = events
        self._write_seconds = write_seconds
        self._on_disconnect = on_disconnect
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Raises:
            TimeoutError: the client does not take the events.
        """
        watching = asyncio.create_task(call_when_gone(receive, self._on_disconnect))
        try:
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await self._send_in_time(send, start)
            async with contextlib.aclosing(self._events) as events:
                async for content in events:
                    await self._send_in_time(send, {"type": "http.response.body", "body": content, "more_body": True})
            await self._send_in_time(send, {"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            watching.cancel()
            self._on_end()

    async def _send_in_time(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._write_seconds):
            await send(message)


async def call_when_gone(receive: Receive, on_disconnect: Callable[[], None]) -> None:
    """Wait until the client has closed its connection, and call a function then."""
    while (await receive())["type"] != "http.disconnect":
        pass
    on_disconnect()
