"""The engine: one thread runs the models, and writes the texts of all requests side by side.

    submit(tasks) ──> TextStream <──read── asyncio              a turn: each model steps all of its texts by a token
                          ^
    thread: model 1, model 2, ..., model 1, ...                 a slow reader's texts wait, those of a cancelled one end

Nothing else writes texts token by token. Each text has its own random numbers. Other texts can change it by rounding
only, and not at all if the engine is deterministic.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

from charlm.serving.api_error import ApiError
from charlm.serving.batching.model_writer import ModelWriter
from charlm.serving.batching.prompt_cache import PromptCache
from charlm.serving.batching.request_progress import RequestProgress
from charlm.serving.limits import Limits
from charlm.serving.text_events import WritingTask
from charlm.serving.text_stream import Post, TextStream, deliver


class Engine(Protocol):
    """Writes the texts of requests."""

    def submit(self, tasks: Sequence[WritingTask]) -> TextStream:
        """Begin the tasks of a request."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more."""
        ...

    def close(self) -> None:
        """End all requests with an error, and take no more."""
        ...


class BatchEngine(Engine):
    """Steps the texts of all requests of a model in one batch."""

    def __init__(self, limits: Limits, *, is_deterministic: bool = False) -> None:
        """
        Args:
            is_deterministic: whether a text is the same, bit for bit, whoever else asks.
        """
        self._limits = limits
        self._is_deterministic = is_deterministic
        self._cache = PromptCache(limits.prompt_state_bytes)
        self._writers: dict[int, ModelWriter] = {}
        self._requests: list[RequestProgress] = []
        self._submitted: list[tuple[RequestProgress, Sequence[WritingTask]]] = []
        self._changed = threading.Condition()
        self._is_closed = False
        self.thread = threading.Thread(target=self._run, name="models", daemon=True)
        self.thread.start()

    def submit(self, tasks: Sequence[WritingTask]) -> TextStream:
        stream = TextStream(self._wake)
        with self._changed:
            if self._is_closed:
                raise stopping()
            self._submitted.append((RequestProgress(stream, tasks, self._limits.unread_events), tasks))
            self._changed.notify()
        return stream

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self.thread.join()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while self._wait():
            self._begin_submitted()
            for writer in self._writers.values():
                writer.turn()
            posts = [post for request in self._requests if (post := request.take_post()) is not None]
            self._requests = [request for request in self._requests if not request.is_over]
            deliver(posts)
        unfinished = [*self._requests, *(request for request, _ in self._submitted)]
        deliver([Post(request.stream, [], ends=True, error=stopping()) for request in unfinished])

    def _wait(self) -> bool:
        """Wait until there is something to do; False once the engine is closed."""
        with self._changed:
            while not self._is_closed:
                has_work = self._submitted or any(writer.has_work for writer in self._writers.values())
                if has_work or any(request.is_over for request in self._requests):
                    return True
                self._changed.wait()
            return False

    def _begin_submitted(self) -> None:
        with self._changed:
            submitted, self._submitted = self._submitted, []
        for request, tasks in submitted:
            self._requests.append(request)
            try:
                for number, task in enumerate(tasks):
                    self._writer_of(task).add(request, number, task)
            except Exception as error:  # noqa: BLE001 - it is raised again where the stream is read
                request.fail(error)

    def _writer_of(self, task: WritingTask) -> ModelWriter:
        writer = self._writers.get(id(task.start.model))
        if writer is None:
            writer = ModelWriter(
                task.start, task.device, self._cache, self._limits, is_deterministic=self._is_deterministic
            )
            self._writers[id(task.start.model)] = writer
        return writer


def stopping() -> ApiError:
    """The error of requests that the end of the server cuts short."""
    return ApiError(503, "the server is stopping", "try again later")
