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

_MAX_IN_FLIGHT_PER_WORKER = 2  # calls per worker that are submitted and not done: bounds the memory of what waits
_ORPHAN_CHECK = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class ProcessPool:
    """`size` workers that wait for calls."""

    pool: ProcessPoolExecutor
    size: int

    def start(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> Callable[[], T]:
        """Have `function` called. What comes back waits for its result, and raises what went wrong."""
        with _report_killed_workers():
            future: Future[T] = self.pool.submit(function, *arguments, **keywords)

        def wait() -> T:
            with _report_killed_workers():
                return future.result()

        return wait

    def map_ordered(self, function: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """The results for many arguments, in their order; few are ever waiting."""
        return wait_in_order((self.start(function, *arguments) for arguments in calls), self.size)


def wait_in_order(started: Iterable[Callable[[], T]], num_workers: int) -> Iterator[T]:
    """The results of calls in their order; taking the next of `started` starts a call, and few are ever waiting."""
    pending: deque[Callable[[], T]] = deque()
    for wait in started:
        pending.append(wait)
        while len(pending) >= _MAX_IN_FLIGHT_PER_WORKER * num_workers:
            yield pending.popleft()()
    while pending:
        yield pending.popleft()()


@contextlib.contextmanager
def spawn_pool(size: int) -> Generator[ProcessPool, None, None]:
    """Workers for the time of the block. What waits when it ends is cancelled.

    Raises:
        OutOfMemoryError: a worker was killed.
    """
    pool = ProcessPoolExecutor(size, mp_context=get_context("spawn"), initializer=_init_worker, initargs=(os.getpid(),))
    try:
        yield ProcessPool(pool, size)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _report_killed_workers() -> Generator[None, None, None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise OutOfMemoryError(
            "a worker process was killed, most likely for want of memory", "give fewer --workers, or more memory"
        ) from error


def _init_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent (the terminal sends it to all), and end when the parent was (or has been) killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHAN_CHECK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
