"""A cluster of two processes makes the same bytes as one process, and a lost cluster is an error, not a hang."""

import errno
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from charlm.data import dask_cluster
from charlm.data.dask_cluster import DaskCluster, connect
from charlm.data.documents import read_rows
from charlm.data.row_builder import RowOptions
from charlm.data.settings import CorpusSettings
from charlm.data.staging import WorkerPool, stage
from charlm.errors import DataError, NetworkError, OutOfMemoryError, StorageError, UsageError
from charlm.text.document import Document, PageCounts
from charlm.text.dump.articles import RangeTask
from charlm.text.dump.plan import plan_dump
from charlm.text.settings import WikipediaSettings
from charlm.text.sources.wikipedia import WikipediaSource
from charlm.workflows.prepare import prepare
from tests.data.test_staging import TASKS, NumberSource, NumberTask, bytes_of, run
from tests.fault_server import FaultServer
from tests.text.dump.test_plan import INDEX, MULTISTREAM

distributed = pytest.importorskip("distributed", reason="distributed is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    """Start two workers, each a process."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as local:
        yield local


@pytest.fixture
def workers(scheduler: Any) -> Iterator[DaskCluster]:
    with connect(scheduler.scheduler_address) as connected:
        yield connected


@pytest.fixture(autouse=True)
def _small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ranges so small that a small dump has several."""
    monkeypatch.setattr("charlm.text.dump.plan._MIN_TASK_BYTES", 100_000)


def corpus(
    out: Path, given: str, cache: Path, *, workers: int = 1, worker_pool: WorkerPool | None = None
) -> dict[str, bytes]:
    """Prepare the corpus of a dump and return its files, without the origin in corpus.json."""
    settings = CorpusSettings(source=WikipediaSettings(input=(given,)))
    assert isinstance(settings.source, WikipediaSettings)
    source = WikipediaSource(settings.source, cache=cache)
    if worker_pool:
        source.prepare_for_remote_workers()
    source.fetch()
    prepare(settings, source, out, workers=workers, worker_pool=worker_pool)
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    metadata = files["corpus.json"].decode()
    return files | {"corpus.json": re.sub(r'"origin": \{.*?\n  \},', "", metadata, flags=re.DOTALL).encode()}


@pytest.mark.real_data
def test_by_path_and_over_http_the_same_bytes(workers: DaskCluster, shared_data: Path, tmp_path: Path) -> None:
    dump = shared_data / MULTISTREAM
    assert workers.size == 2
    assert len(plan_dump(dump).ranges) > 5
    alone = corpus(tmp_path / "alone", str(dump), tmp_path)
    assert corpus(tmp_path / "processes", str(dump), tmp_path, workers=2) == alone
    assert corpus(tmp_path / "path", str(dump), tmp_path, worker_pool=workers) == alone
    assert (tmp_path / "path/corpus.json").read_bytes() == (tmp_path / "alone/corpus.json").read_bytes()
    with FaultServer() as server:
        server.files[f"/{dump.name}"] = dump.read_bytes()
        server.files[f"/{Path(INDEX).name}"] = (shared_data / INDEX).read_bytes()
        assert corpus(tmp_path / "http", server.url(f"/{dump.name}"), tmp_path / "cache", worker_pool=workers) == alone
        read = [request for request in server.requests if request.path == f"/{dump.name}"]
        assert len(read) > 5
        assert all("range" in request.headers for request in read)
        num_bytes = sum(length for path, _, length in server.sent if path == f"/{dump.name}")
        assert num_bytes <= 2.1 * dump.stat().st_size  # once to cut tasks as small as they are here; once to do them


@pytest.mark.real_data
def test_a_subset_takes_its_streams_along(workers: DaskCluster, shared_data: Path, tmp_path: Path) -> None:
    """Workers do not download again what was downloaded to choose pages, and need no access to our cache."""
    dump = shared_data / MULTISTREAM
    with FaultServer() as server:
        server.files[f"/{dump.name}"] = dump.read_bytes()
        server.files[f"/{Path(INDEX).name}"] = (shared_data / INDEX).read_bytes()
        given = (server.url(f"/{dump.name}"),)
        source = WikipediaSource(WikipediaSettings(input=given, max_characters=100_000), cache=tmp_path / "cache")
        source.prepare_for_remote_workers()
        tasks = list(source.tasks())
    shutil.rmtree(tmp_path / "cache")  # and the server is gone
    shards = list(stage(ListSource(*tasks), tmp_path / "staged", RowOptions(), 1, workers))
    local = WikipediaSource(WikipediaSettings(input=(str(dump),), max_characters=100_000))
    expected = [(document.id, document.text) for document in local.documents()]
    assert [(row["id"], row["text"]) for shard in shards for row in read_rows(shard.path)] == expected


def test_what_workers_did_before_a_kill_is_not_done_again(workers: DaskCluster, tmp_path: Path) -> None:
    alone = run(tmp_path / "one", TASKS, 1)
    half = list(stage(NumberSource(TASKS[:3]), tmp_path / "many", RowOptions(), 1, workers))
    assert [shard.path.name for shard in half] == [shard.path.name for shard in alone[:3]]
    broken = [NumberTask(task.first, "damage") for task in TASKS[:3]]  # would say so if they were read again
    list(stage(NumberSource([*broken, *TASKS[3:]]), tmp_path / "many", RowOptions(), 1, workers))
    assert bytes_of(tmp_path / "many") == bytes_of(tmp_path / "one")


@dataclass(frozen=True)
class DyingTask:
    """Kills the process that reads it, `times` times."""

    marks: str
    times: int
    key: str = "dying"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        marks = len(list(Path(self.marks).iterdir()))
        if marks < self.times:
            (Path(self.marks) / str(marks)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        page_counts.pages += 1
        yield Document("1", "Title", f"Text that came after {marks} deaths.")


@dataclass(frozen=True)
class WaitingTask:
    key: str = "waiting"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        page_counts.pages += 1
        time.sleep(30)
        yield Document("1", "Title", "Text that comes late.")


class ListSource(NumberSource):
    def __init__(self, *tasks: Any) -> None:
        super().__init__(list(tasks))


def test_a_lost_worker_costs_nothing_but_time(workers: DaskCluster, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    source = ListSource(*TASKS[:2], DyingTask(str(tmp_path / "marks"), 1), *TASKS[3:])
    shards = list(stage(source, tmp_path / "staged", RowOptions(), 1, workers))
    assert len(shards) == 7
    assert [shard.num_documents for shard in shards[2:3]] == [1]
    assert len(list((tmp_path / "marks").iterdir())) == 1


def kill_worker(scheduler: Any) -> None:
    running = [worker.pid for worker in scheduler.workers.values() if worker.pid]  # one that restarts has none
    if running:
        os.kill(running[0], signal.SIGKILL)


def test_a_worker_that_dies_while_its_version_is_asked_for(
    scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other worker and the restarted one do the work."""
    run_on_workers = distributed.Client.run

    def run_after_death(client: Any, function: Any, **options: Any) -> Any:
        kill_worker(scheduler)
        return run_on_workers(client, function, **options)

    monkeypatch.setattr(distributed.Client, "run", run_after_death)
    with connect(scheduler.scheduler_address) as connected:
        assert len(list(stage(NumberSource(TASKS), tmp_path, RowOptions(), 1, connected))) == len(TASKS)


def test_a_cluster_whose_workers_all_die_is_an_error(scheduler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "_CONNECT_TIMEOUT", 0.5)
    answers: list[dict[str, OSError]] = []

    def run_on_dead_workers(*_: Any, **__: Any) -> dict[str, OSError]:
        answers.append({"tcp://1": OSError("the connection is closed")} if len(answers) % 2 else {})
        return answers[-1]

    monkeypatch.setattr(distributed.Client, "run", run_on_dead_workers)
    fails(NetworkError, "all workers of the cluster died", scheduler.scheduler_address)
    assert 1 < len(answers) < 10, "charlm asks again, with pauses"


@pytest.mark.faults
def test_workers_that_die_behind_their_work_do_it_again(scheduler: Any, tmp_path: Path) -> None:
    """Shards that were made, and not fetched, are lost with the memory of their workers."""
    tmp_path.joinpath("many").mkdir()
    alone = run(tmp_path / "one", TASKS, 1)
    with connect(scheduler.scheduler_address) as connected:
        waits = [connected.start(tmp_path / "many", i, task, RowOptions()) for i, task in enumerate(TASKS)]
        time.sleep(3)
        for process in connected.client.run(os.getpid).values():
            os.kill(process, signal.SIGKILL)
        assert [wait().path.name for wait in waits] == [shard.path.name for shard in alone]
    assert bytes_of(tmp_path / "many") == bytes_of(tmp_path / "one")


def test_a_worker_without_a_temporary_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")  # as `make_shard_on_worker` finds it on a worker
    with pytest.raises(StorageError, match=r"the worker on .* says: cannot use /nowhere: No such file or directory; "):
        dask_cluster.make_shard_on_worker(0, TASKS[0], RowOptions())


def test_a_worker_without_any_folder_for_temporary_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_no_folder() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile.gettempdir", find_no_folder)
    message = r"the worker on .* says: cannot use a temporary folder: No usable temporary directory found in "
    with pytest.raises(StorageError, match=message):
        dask_cluster.make_shard_on_worker(0, TASKS[0], RowOptions())


def test_damage_on_a_worker_is_said_as_it_is(workers: DaskCluster, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="page 27 is damaged; fetch it again"):
        list(stage(NumberSource([*TASKS[:2], NumberTask(20, "damage")]), tmp_path, RowOptions(), 1, workers))


@pytest.mark.real_data
def test_a_file_that_only_we_see(workers: DaskCluster, shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "dump.xml.bz2"
    shutil.copyfile(shared_data / MULTISTREAM, path)
    dump = plan_dump(path)
    path.unlink()
    source = ListSource(RangeTask("gone", dump, dump.ranges[1], "drop"))
    with pytest.raises(
        UsageError, match=r"the worker on .* says: there is no file .*; put the input at the same path on every worker"
    ):
        list(stage(source, tmp_path / "staged", RowOptions(), 1, workers))


def fails(kind: type[Exception], message: str, address: str) -> None:
    with pytest.raises(kind, match=message), connect(address):
        pass


def test_workers_of_another_version(scheduler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "charlm_version", lambda: "charlm 99")
    message = r"the workers of the cluster have charlm [\d.]+ \(.*\), but this process has charlm 99"
    fails(DataError, message, scheduler.scheduler_address)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "_CONNECT_TIMEOUT", 0.5)
    fails(NetworkError, r"no dask scheduler answers at tcp://127.0.0.1:1 within 0.5 s", "tcp://127.0.0.1:1")
    fails(UsageError, "is not an address", "carrier://pigeon")
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        fails(NetworkError, "has no workers", empty.scheduler_address)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # type: ignore[misc]
    fails(UsageError, "pip install distributed", "tcp://127.0.0.1:8786")


def test_all_workers_lost(scheduler: Any, tmp_path: Path) -> None:
    """The last test with these workers: it stops them."""
    started = time.monotonic()
    with connect(scheduler.scheduler_address, no_worker_timeout=0.5) as no_worker_timeout:
        scheduler.scale(0)
        with pytest.raises(OutOfMemoryError, match="the cluster has no workers left"):
            list(stage(NumberSource(TASKS), tmp_path, RowOptions(), 1, no_worker_timeout))
    assert time.monotonic() - started < 15


def test_the_scheduler_lost(tmp_path: Path) -> None:
    local = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
    with connect(local.scheduler_address) as connected:
        wait = connected.start(tmp_path, 0, WaitingTask(), RowOptions())
        local.close(timeout=1)
        with pytest.raises(NetworkError, match="the connection to the scheduler"):
            wait()
