"""The engine: one thread runs the models, and takes turns between the requests.

    submit(tasks) ──> TextStream <──read── asyncio                 a turn: a request steps for a few milliseconds
                          ^
    thread: request 1, request 2, ..., request 1, ...              a slow reader's request waits, a cancelled one ends

The thread is the only one that touches models. What a text is does not depend on the turns: each request has its own
states and random numbers. An engine that steps the texts of all requests in one batch has the same interface.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from charlm.serving.api_error import ApiError
from charlm.serving.limits import Limits
from charlm.serving.text_events import TextEvent, WritingTask
from charlm.serving.text_stream import TextStream
from charlm.serving.writing import write_texts

_TURN_SECONDS = 0.002


class Engine(Protocol):
    """Writes the texts of requests."""

    def submit(self, tasks: Sequence[WritingTask]) -> TextStream:
        """Begin the tasks of a request."""
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
        stream = TextStream(self._wake)
        job = _Job(stream, write_texts(tasks), any(task.plan.constraint is not None for task in tasks))
        with self._changed:
            if self._is_closed:
                raise _stopping()
            self._jobs.append(job)
            self._changed.notify()
        return stream

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self.thread.join()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

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
