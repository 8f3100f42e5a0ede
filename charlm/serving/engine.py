"""The engine: one thread runs the models, and takes turns between the requests.

    submit(tasks) ──> TextStream <──read── asyncio                 a turn: a request steps for a few milliseconds
                          ^
    thread: request 1, request 2, ..., request 1, ...              a slow reader's request waits, a cancelled one ends

The thread is the only one that touches models. What a text is does not depend on the turns: each request has its own
states and random numbers. An engine that steps the texts of all requests in one batch has the same interface.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from charlm.serving.api_error import ApiError
from charlm.serving.limits import Limits
from charlm.serving.text_events import TextEvent, WritingTask
from charlm.serving.writing import write_texts

_TURN_SECONDS = 0.002


class CancelledTextError(Exception):
    """The client has gone."""


class TextStream:
    """The events of a request, read in the event loop that submitted it."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
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
        self._engine.wake()
        return events

    def cancel(self) -> None:
        """End the request; nothing more is written for it, and who reads gets a `CancelledTextError`."""
        self.is_cancelled = True
        self._receive([], ends=True, error=CancelledTextError())
        self._engine.wake()

    def post(self, events: Sequence[TextEvent], *, ends: bool = False, error: Exception | None = None) -> None:
        """Add events, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._receive, events, ends, error)

    def _receive(self, events: Sequence[TextEvent], ends: bool, error: Exception | None) -> None:
        self._events += events
        self._has_ended = self._has_ended or ends
        self._error = self._error or error
        self._arrived.set()


class Engine(Protocol):
    """Writes the texts of requests."""

    def submit(self, tasks: Sequence[WritingTask]) -> TextStream:
        """Begin the tasks of a request."""
        ...

    def wake(self) -> None:
        """Look again at what waits: a stream was read or cancelled."""
        ...

    def close(self) -> None:
        """End all requests with an error, and take no more."""
        ...


@dataclass(frozen=True)
class _Job:
    stream: TextStream
    steps: Iterator[list[TextEvent]]
    has_constraint: bool


class RoundRobinEngine(Engine):
    """Steps one request at a time, each for a few milliseconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self.thread = threading.Thread(target=self._run, name="models", daemon=True)
        self.thread.start()

    def submit(self, tasks: Sequence[WritingTask]) -> TextStream:
        stream = TextStream(self)
        job = _Job(stream, write_texts(tasks), any(task.plan.constraint is not None for task in tasks))
        with self._changed:
            if self._is_closed:
                raise _stopping()
            self._jobs.append(job)
            self._changed.notify()
        return stream

    def wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self.thread.join()

    def _run(self) -> None:
        while (job := self._next_job()) is not None:
            if not job.stream.is_cancelled and self._take_turn(job):
                with self._changed:
                    self._jobs.append(job)
        for job in self._jobs:
            job.stream.post([], ends=True, error=_stopping())

    def _next_job(self) -> _Job | None:
        """Wait for a job whose client can take events, or which is cancelled; None once the engine is closed."""
        with self._changed:
            while not self._is_closed:
                for _ in range(len(self._jobs)):
                    job = self._jobs.popleft()
                    if job.stream.is_cancelled or job.stream.num_unread < self._limits.unread_events:
                        return job
                    self._jobs.append(job)
                self._changed.wait()
            return None

    def _take_turn(self, job: _Job) -> bool:
        """Step a job for a while; return whether there is more to do."""
        events: list[TextEvent] = []
        end = time.monotonic() + _TURN_SECONDS
        try:
            while True:
                began = time.monotonic()
                if began >= end:
                    if events:
                        job.stream.post(events)
                    return True
                step = next(job.steps, None)
                if step is None:
                    job.stream.post(events, ends=True)
                    return False
                events += step
                if job.has_constraint and time.monotonic() - began > self._limits.regex_seconds:
                    what = f"regex takes more than {self._limits.regex_seconds:g} seconds for one token"
                    raise ApiError(400, what, "give a simpler one", param="regex")
        except Exception as error:  # noqa: BLE001 - it is raised again where the stream is read
            job.stream.post(events, ends=True, error=error)
            return False


def _stopping() -> ApiError:
    return ApiError(503, "the server is stopping", "try again later")
