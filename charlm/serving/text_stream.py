"""The events of a request on their way from the engine's thread to the event loop that asked for them.

engine ──post (any thread)──> events ──read (event loop)──> answer                     cancel: the client has gone
"""

import asyncio
from collections.abc import Callable, Sequence

from charlm.serving.text_events import TextEvent


class CancelledTextError(Exception):
    """The client has gone."""


class TextStream:
    """Made in the event loop that reads it."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """
        Args:
            on_change: called when events were read, and when the stream is cancelled.
        """
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._events: list[TextEvent] = []
        self._error: Exception | None = None
        self._has_ended = False
        self.is_cancelled = False

    @property
    def num_unread(self) -> int:
        return len(self._events)

    async def read(self) -> list[TextEvent]:
        """Wait for events and return all of them; an empty list is the end.

        Raises:
            Exception: what ended the request, after all events before it were read.
        """
        while not self._events and not self._has_ended:
            self._arrived.clear()
            await self._arrived.wait()
        events, self._events = self._events, []
        if not events and self._error is not None:
            raise self._error
        self._on_change()
        return events

    def cancel(self) -> None:
        """End the request; nothing more is written for it, and who reads gets a `CancelledTextError`."""
        self.is_cancelled = True
        self._receive([], ends=True, error=CancelledTextError())
        self._on_change()

    def post(self, events: Sequence[TextEvent], *, ends: bool = False, error: Exception | None = None) -> None:
        """Add events, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._receive, events, ends, error)

    def _receive(self, events: Sequence[TextEvent], ends: bool, error: Exception | None) -> None:
        self._events += events
        self._has_ended = self._has_ended or ends
        self._error = self._error or error
        self._arrived.set()
