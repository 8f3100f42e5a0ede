"""Calls functions in worker processes, which are spawned so that they inherit no thread and no lock.

A killed worker raises an error instead of a hang; workers end when their parent ends, in any way.
"""

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from typing import Any, ParamSpec, TypeVar

from charlm.child_processes import end_with_parent
from charlm.errors import OutOfMemoryError

P = ParamSpec("P")
T = TypeVar("T")

_MAX_IN_FLIGHT_PER_WORKER = 2  # calls submitted and not done; bounds the memory of pending results


@dataclass(frozen=True, slots=True)
class ProcessPool:
    """A pool of `size` worker processes."""

    pool: ProcessPoolExecutor
    size: int

    def start(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> Callable[[], T]:
        """Start a call; return a function that waits for its result or raises its error."""
        with _report_killed_workers():
            future: Future[T] = self.pool.submit(function, *arguments, **keywords)

        def wait() -> T:
            with _report_killed_workers():
                return future.result()

        return wait

    def map_ordered(self, function: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """Yield the results of calls in order, with a bounded number of calls in flight."""
        return wait_in_order((self.start(function, *arguments) for arguments in calls), self.size)


def wait_in_order(started: Iterable[Callable[[], T]], num_workers: int) -> Iterator[T]:
    """Yield results in order, with a bounded number of calls in flight.

    Args:
        started: an iterator that starts a call whenever it is advanced, and yields a function that waits for it.
    """
    pending: deque[Callable[[], T]] = deque()
    for wait in started:
        pending.append(wait)
        while len(pending) >= _MAX_IN_FLIGHT_PER_WORKER * num_workers:
            yield pending.popleft()()
    while pending:
        yield pending.popleft()()


@contextlib.contextmanager
def spawn_pool(size: int) -> Generator[ProcessPool, None, None]:
    """Start workers for the time of the block; pending calls are cancelled at its end.

    After an error the running calls are completed, since a rerun keeps their results. Ctrl-C kills them.

    Raises:
        OutOfMemoryError: a worker was killed.
    """
    others = set(active_children())
    pool = ProcessPoolExecutor(size, mp_context=get_context("spawn"), initializer=_init_worker, initargs=(os.getpid(),))
    try:
        yield ProcessPool(pool, size)
    except (KeyboardInterrupt, GeneratorExit):
        for worker in set(active_children()) - others:
            worker.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _report_killed_workers() -> Generator[None, None, None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise OutOfMemoryError(
            "a worker process was killed, probably for lack of memory", "give fewer --workers, or more memory"
        ) from error


def _init_worker(parent: int) -> None:
    """Ignore Ctrl-C, which the parent handles, and end when the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
