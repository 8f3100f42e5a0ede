"""A request as the engine sees it: what it was told since the last turn, and whether it goes on."""

from collections.abc import Sequence

from charlm.serving.text_events import TextEvent, WritingTask
from charlm.serving.text_stream import Post, TextStream


class RequestProgress:
    """The prompts and texts of one client, which fail together."""

    def __init__(self, stream: TextStream, tasks: Sequence[WritingTask], max_unread: int) -> None:
        """
        Args:
            max_unread: from so many events on that the client has not read, its texts wait.
        """
        self.stream = stream
        self._max_unread = max_unread
        self._num_open = sum(1 + task.count for task in tasks)
        self._events: list[TextEvent] = []
        self._error: Exception | None = None

    @property
    def is_over(self) -> bool:
        return self._error is not None or self._num_open == 0 or self.stream.is_cancelled

    @property
    def waits(self) -> bool:
        """Whether its client has to read before it goes on."""
        return self.stream.num_unread >= self._max_unread

    def add(self, event: TextEvent, *, is_last: bool) -> None:
        """Tell an event.

        Args:
            is_last: of its text or prompt.
        """
        self._events.append(event)
        self._num_open -= is_last

    def fail(self, error: Exception) -> None:
        """End the request with an error."""
        self._error = self._error or error

    def take_post(self) -> Post | None:
        """Return what is to be told now, if there is anything."""
        if not self._events and not self.is_over:
            return None
        events, self._events = self._events, []
        return Post(self.stream, events, self.is_over, self._error)
