"""The tasks of a source to a dask cluster, their shards back: `charlm prepare --dask ADDRESS`.

    task ──> worker: make the shard in a temporary folder ──bytes──> this process: staged/000007-KEY.parquet, .json

So the workers need no folder in common with us for what they write; for what they read they need one, unless it is a
file given by its URL: of that each worker fetches its own range. A worker that is lost loses nothing but time: dask
gives its tasks to another. Needs the package distributed.
"""

import contextlib
import importlib.util
import logging
import re
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from charlm import storage
from charlm.data.row_builder import RowOptions
from charlm.data.staging import Shard, find_shard, make_shard
from charlm.errors import DataError, NetworkError, OutOfMemoryError, UsageError
from charlm.text.code_version import code_version
from charlm.text.document import SourceTask
from charlm.version import __version__

_CONNECT_TIMEOUT = 10.0  # seconds
_POLL_INTERVAL = 1.0  # seconds
_NO_WORKER_TIMEOUT = 30.0  # seconds without any worker: one that was restarted is back by then
_RESTART_CURE = "start it again and run the same command: what is done is kept"


@dataclass(frozen=True)
class DaskCluster:
    """A connection to a scheduler; a `WorkerPool` of `charlm.data.staging`."""

    client: Any
    executor: Any
    size: int
    no_worker_timeout: float

    def start(self, directory: Path, number: int, task: SourceTask, row_options: RowOptions) -> Callable[[], Shard]:
        future = cast("Future[_ShardFiles]", self.executor.submit(make_shard_on_worker, number, task, row_options))

        def wait() -> Shard:
            shard_files = self._result(future)
            path = directory / shard_files.name
            storage.write_bytes(path, shard_files.parquet)
            storage.write_bytes(
                path.with_suffix(".json"), shard_files.record
            )  # last: it is what makes the shard be there
            shard = find_shard(directory, number, task, row_options)
            if shard is None:
                raise DataError("a worker gave the shard of another task", "install the same charlm on every worker")
            return shard

        return wait

    def _result(self, future: "Future[_ShardFiles]") -> "_ShardFiles":
        from distributed.scheduler import KilledWorker

        last_seen = time.monotonic()
        while True:
            try:
                return future.result(timeout=_POLL_INTERVAL)
            except TimeoutError:
                if future.done():
                    raise  # it is the task's own
                if self._num_workers():
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > self.no_worker_timeout:
                    raise OutOfMemoryError("every worker of the cluster is gone", _RESTART_CURE) from None
            except KilledWorker as error:
                raise OutOfMemoryError(
                    "several workers of the cluster were killed by one task, most likely for want of memory",
                    "give the workers more memory, or fewer threads",
                ) from error
            except CancelledError as error:
                raise _connection_lost() from error

    def _num_workers(self) -> int:
        if self.client.status != "running":
            raise _connection_lost()
        try:
            return len(self.client.nthreads())
        except OSError as error:
            raise _connection_lost() from error


def _connection_lost() -> NetworkError:
    return NetworkError("the connection to the scheduler of the cluster is lost", _RESTART_CURE)


@contextlib.contextmanager
def connect(address: str, *, no_worker_timeout: float = _NO_WORKER_TIMEOUT) -> Generator[DaskCluster, None, None]:
    """A cluster whose workers run the same charlm, for the time of the block; what waits there is cancelled at its end.

    Args:
        address: of the scheduler, such as `tcp://10.0.0.1:8786`.
        no_worker_timeout: seconds to wait where no worker is left.

    Raises:
        UsageError: `distributed` is not installed, or the address is none.
        NetworkError: no scheduler answers there within ten seconds, or it has no workers.
        DataError: a worker has another charlm.
    """
    if importlib.util.find_spec("distributed") is None:
        raise UsageError("--dask needs the package distributed", "install it: pip install distributed")
    if not re.fullmatch(r"[a-z]+://\S+|[^/\s:]+:\d{1,5}", address):  # dask itself would look for it for 20 s
        raise UsageError(f"--dask {address} is no address", "write it like tcp://10.0.0.1:8786")
    from distributed import Client

    with _silence_dask(), contextlib.ExitStack() as stack:
        try:
            client: Any = stack.enter_context(Client(address, timeout=_CONNECT_TIMEOUT, set_as_default=False))
        except OSError as error:
            raise NetworkError(
                f"no dask scheduler answers at {address} within {_CONNECT_TIMEOUT:g} s", "check --dask, and start one"
            ) from error
        except ValueError as error:
            raise UsageError(f"--dask {address} is no address", "write it like tcp://10.0.0.1:8786") from error
        try:
            client.wait_for_workers(1, timeout=_CONNECT_TIMEOUT)
        except TimeoutError as error:
            raise NetworkError(f"the dask scheduler at {address} has no workers", "start some") from error
        _check_versions(client)
        executor = stack.enter_context(contextlib.closing(_Executor(client)))
        yield DaskCluster(client, executor.executor, max(1, sum(client.nthreads().values())), no_worker_timeout)


class _Executor:
    def __init__(self, client: Any) -> None:
        self.executor: Any = client.get_executor(pure=False)

    def close(self) -> None:
        self.executor.shutdown(wait=False)


@contextlib.contextmanager
def _silence_dask() -> Generator[None, None, None]:
    """What distributed logs is said in our one line, or is of no use to who reads it."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "distributed.core")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # pages go along with their task
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_versions(client: Any) -> None:
    """Other code would give other documents, or the same ones under keys that no rerun finds."""

    def worker_version() -> str:  # sent by value: there may be no charlm at all
        try:
            from charlm.data.dask_cluster import charlm_version
        except ImportError:
            return "no charlm with --dask"
        return charlm_version()

    others = {str(found) for found in client.run(worker_version).values()} - {charlm_version()}
    if others:
        raise DataError(
            f"the workers of the cluster have {', '.join(sorted(others))}, and here is {charlm_version()}",
            "install the same charlm on every worker, and restart them",
        )


def charlm_version() -> str:
    """Of charlm, and of its code that makes documents."""
    return f"charlm {__version__} ({code_version()})"


@dataclass(frozen=True, slots=True)
class _ShardFiles:
    """A shard on its way."""

    name: str
    parquet: bytes
    record: bytes


def make_shard_on_worker(number: int, task: SourceTask, row_options: RowOptions) -> _ShardFiles:
    """On a worker: make the shard of a task, and give it back whole."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = make_shard(Path(folder), number, task, row_options).path
        except UsageError as error:
            raise UsageError(
                f"the worker on {socket.gethostname()} says: {error.what}",
                "put the input where every worker finds it under the same path, or give its URL",
            ) from error
        return _ShardFiles(path.name, path.read_bytes(), path.with_suffix(".json").read_bytes())
