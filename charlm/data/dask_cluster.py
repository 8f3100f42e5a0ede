"""Makes the shards of a source on a dask cluster: `charlm prepare --dask ADDRESS`.

    task ──> worker: make the shard in a temporary folder ──bytes──> this process: staged/000007-KEY.parquet, .json

Workers send shards back, so they need no shared folder for output. Local input must have the same path on every worker;
of input given by its URL, each worker fetches its own range. Dask repeats the tasks of a lost worker on another one.
Needs the package `distributed`.
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
from charlm.errors import DataError, NetworkError, OutOfMemoryError, StorageError, UsageError
from charlm.storage import storage_errors
from charlm.text.code_version import charlm_version
from charlm.text.document import SourceTask

_CONNECT_TIMEOUT = 10.0  # seconds
_POLL_INTERVAL = 1.0  # seconds
_RETRY_INTERVAL = 0.2  # seconds
_NO_WORKER_TIMEOUT = 30.0  # seconds; a restarted worker needs less
_RESTART_CURE = "start it again and run the same command; finished shards are kept"


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
            storage.write_bytes(path.with_suffix(".json"), shard_files.record)  # last: it marks the shard as complete
            shard = find_shard(directory, number, task, row_options)
            if shard is None:
                raise DataError(
                    "a worker returned the shard of another task", "install the same charlm on every worker"
                )
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
                    raise  # the task itself raised it
                if self._num_workers():
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > self.no_worker_timeout:
                    raise OutOfMemoryError("the cluster has no workers left", _RESTART_CURE) from None
            except KilledWorker as error:
                raise OutOfMemoryError(
                    "several workers of the cluster were killed by one task, probably for lack of memory",
                    "give the workers more memory or fewer threads",
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
    """Connect to a cluster for the time of the block; pending tasks are cancelled at its end.

    Args:
        address: address of the scheduler, for example `tcp://10.0.0.1:8786`.
        no_worker_timeout: seconds to wait when no worker is left.

    Raises:
        UsageError: `distributed` is not installed, or the address is invalid.
        NetworkError: no scheduler answers within ten seconds, or it has no workers.
        DataError: a worker has another version of charlm.
    """
    if importlib.util.find_spec("distributed") is None:
        raise UsageError("--dask needs the package distributed", "install it: pip install distributed")
    if not re.fullmatch(r"[a-z]+://\S+|[^/\s:]+:\d{1,5}", address):  # dask would try for 20 s
        raise UsageError(f"--dask {address} is not an address", "write it like tcp://10.0.0.1:8786")
    from distributed import Client

    with _silence_dask(), contextlib.ExitStack() as stack:
        try:
            client: Any = stack.enter_context(Client(address, timeout=_CONNECT_TIMEOUT, set_as_default=False))
        except OSError as error:
            raise NetworkError(
                f"no dask scheduler answers at {address} within {_CONNECT_TIMEOUT:g} s",
                "check the address, or start a scheduler there",
            ) from error
        except ValueError as error:
            raise UsageError(f"--dask {address} is not an address", "write it like tcp://10.0.0.1:8786") from error
        try:
            client.wait_for_workers(1, timeout=_CONNECT_TIMEOUT)
        except TimeoutError as error:
            raise NetworkError(f"the dask scheduler at {address} has no workers", "start workers for it") from error
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
    """Silence the log of distributed: charlm's errors say the same in one line."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "distributed.core")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # tasks contain their pages
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_versions(client: Any) -> None:
    """Check that the workers have the code of this process; other code could make other documents.

    Raises:
        DataError: a worker has other code.
        NetworkError: all workers died within ten seconds.
    """

    def worker_version() -> str:  # pickled by value: the worker may not have charlm
        try:
            from charlm.text.code_version import charlm_version
        except ImportError:
            return "no charlm with --dask"
        return charlm_version()

    def ask_workers() -> set[str]:  # a worker that dies meanwhile answers with an OSError, and its task goes elsewhere
        answers = client.run(worker_version, on_error="return").values()
        return {str(answer) for answer in answers if not isinstance(answer, OSError)}

    end = time.monotonic() + _CONNECT_TIMEOUT
    while not (versions := ask_workers()):
        if time.monotonic() > end:
            raise NetworkError("all workers of the cluster died when charlm asked for their version", _RESTART_CURE)
        time.sleep(_RETRY_INTERVAL)
    if others := versions - {charlm_version()}:
        raise DataError(
            f"the workers of the cluster have {', '.join(sorted(others))}, but this process has {charlm_version()}",
            "install the same charlm on every worker, and restart them",
        )


@dataclass(frozen=True, slots=True)
class _ShardFiles:
    """The files of a shard, sent from a worker."""

    name: str
    parquet: bytes
    record: bytes


def make_shard_on_worker(number: int, task: SourceTask, row_options: RowOptions) -> _ShardFiles:
    """Make the shard of a task on a worker and return its files."""
    worker = f"the worker on {socket.gethostname()}"
    try:
        with _temporary_folder() as folder:
            path = make_shard(folder, number, task, row_options).path
            return _ShardFiles(path.name, path.read_bytes(), path.with_suffix(".json").read_bytes())
    except UsageError as error:
        cure = "put the input at the same path on every worker, or give its URL"
        raise UsageError(f"{worker} says: {error.what}", cure) from error
    except StorageError as error:
        raise StorageError(f"{worker} says: {error.what}", error.cure) from error


@contextlib.contextmanager
def _temporary_folder() -> Generator[Path, None, None]:
    with contextlib.ExitStack() as stack:
        with storage_errors(Path(tempfile.tempdir or "a temporary folder"), "use"):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        yield Path(folder)
