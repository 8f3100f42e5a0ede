"""The events of a request on their way from the engine's thread to the event loop that asked for them.

engine ──deliver (its thread)──> events ──read (event loop)──> answer                     cancel: the client has gone
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from charlm.serving.text_events import TextEvent


class CancelledTextError(Exception):
    """The client has gone."""


@dataclass(frozen=True, slots=True)
class Post:
    """What a stream gets."""

    stream: "TextStream"
    events: Sequence[TextEvent]
    ends: bool = False
    error: Exception | None = None


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
        self._num_posted = self._num_taken = 0
        self.is_cancelled = False

    @property
    def num_unread(self) -> int:
        """Events that were posted and not read yet, those on their way included."""
        return self._num_posted - self._num_taken

    async def read(self) -> list[TextEvent]:
        """Wait for events and return all of them; an empty list is the end.

        Raises:
            Exception: what ended the request, after all events before it were read.
        """
        while not self._events and not self._has_ended:
            self._arrived.clear()
            await self._arrived.wait()
        events, self._events = self._events, []
        self._num_taken += len(events)
        if not events and self._error is not None:
            raise self._error
        self._on_change()
        return events

    def cancel(self) -> None:
        """End the request; nothing more is written for it, and who reads gets a `CancelledTextError`."""
        self.is_cancelled = True
        self.receive(Post(self, [], ends=True, error=CancelledTextError()))
        self._on_change()

    def begin_delivery(self, post: Post) -> asyncio.AbstractEventLoop:
        """Count the events of a post, and return the event loop in which the stream `receive`s it."""
        self._num_posted += len(post.events)
        return self._loop

    def receive(self, post: Post) -> None:
        """Take events, in the event loop of the stream."""
        self._events += post.events
        self._has_ended = self._has_ended or post.ends
        self._error = self._error or post.error
        self._arrived.set()


def deliver(posts: Sequence[Post]) -> None:
    """Give streams their events, from the thread of an engine; an event loop is woken up once for all of its strea."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Post]] = {}
    for post in posts:
        by_loop.setdefault(post.stream.begin_delivery(post), []).append(post)
    for loop, its_posts in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_receive_all, its_posts)


def _receive_all(posts: Sequence[Post]) -> None:
    for post in posts:
        post.stream.receive(post)
