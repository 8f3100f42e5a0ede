"""Work for other processes of this machine: spawned, so that each starts clean, with no thread and no lock of ours.

A worker that is killed ends the work with an error, never in waiting; workers end with their parent, however it ends.
"""

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar

from charlm.errors import OutOfMemoryError

P = ParamSpec("P")
T = TypeVar("T")

_IN_FLIGHT = 2  # calls per worker that are submitted and not done: bounds the memory of what waits
_ORPHAN_CHECK = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Processes:
    """`size` workers that wait for calls."""

    pool: ProcessPoolExecutor
    size: int

    def start(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> Callable[[], T]:
        """Have `function` called. What comes back waits for its result, and raises what went wrong."""
        with _deaths():
            future: Future[T] = self.pool.submit(function, *arguments, **keywords)

        def wait() -> T:
            with _deaths():
                return future.result()

        return wait

    def in_order(self, function: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """The results for many arguments, in their order; few are ever waiting."""
        waiting: deque[Callable[[], T]] = deque()
        for arguments in calls:
            waiting.append(self.start(function, *arguments))
            while len(waiting) >= _IN_FLIGHT * self.size:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()


@contextlib.contextmanager
def spawned(size: int) -> Generator[Processes, None, None]:
    """Workers for the time of the block. What waits when it ends is cancelled.

    Raises:
        OutOfMemoryError: a worker was killed.
    """
    pool = ProcessPoolExecutor(
        size, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(os.getpid(),)
    )
    try:
        yield Processes(pool, size)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _deaths() -> Generator[None, None, None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise OutOfMemoryError(
            "a worker process was killed, most likely for want of memory", "give fewer --workers, or more memory"
        ) from error


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent (the terminal sends it to all), and end when the parent was (or has been) killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_CHECK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
