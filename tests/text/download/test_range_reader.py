"""Ranges of a remote file: exactly these bytes, from one version of the file, over a connection that breaks."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.errors import NetworkError
from charlm.text.download.range_reader import RemoteFile
from charlm.text.download.retry import NotFoundError, RetryPolicy
from tests.fault_server import Fault, FaultServer, answer, drop_after, etag, redirect, without
from tests.rare_faults import becoming, ignoring_and_dropping, no_answer, other_version, short_range, stall_of_a_range

CONTENT = random.Random(1).randbytes(300_000)
SIZE = len(CONTENT)
PATH = "/wiki/file.bz2"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.files[PATH] = CONTENT
        yield server


class Reader(RemoteFile):
    """A RemoteFile that records its waits instead of waiting."""

    def __init__(self, *servers: FaultServer, size: int | None = SIZE, stall_timeout: float = 10) -> None:
        self.waits: list[float] = []
        self.notes: list[str] = []
        retry_policy = RetryPolicy(stall_timeout=stall_timeout, sleep=self.waits.append, notify=self.notes.append)
        super().__init__([server.url(PATH) for server in servers], size, "charlm/test", retry_policy)


@given(st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), max_size=5))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_range(server: FaultServer, ranges: list[tuple[int, int]]) -> None:
    server.sent.clear()
    file = Reader(server)
    for start, end in map(sorted, ranges):
        assert file.read(start, end) == CONTENT[start:end]
    assert sum(count for _, _, count in server.sent) == sum(abs(end - start) for start, end in ranges)


def test_ranges_that_are_none(server: FaultServer) -> None:
    for start, end in ((-1, 3), (5, 4), (0, SIZE + 1)):
        with pytest.raises(ValueError, match="no bytes"):
            Reader(server).read(start, end)
    assert server.requests == []


def test_the_size_is_asked_for_where_nobody_knows_it(server: FaultServer) -> None:
    file = Reader(server, size=None)
    assert file.size == SIZE
    assert file.size == SIZE
    assert [request.headers["range"] for request in server.requests] == ["bytes=0-0"]
    assert file.read(SIZE - 5, SIZE) == CONTENT[-5:]


def test_a_drop_costs_nothing_that_has_arrived(server: FaultServer) -> None:
    file = Reader(server)
    server.script += [drop_after(30_000), answer(503, Retry_After="3"), no_answer, drop_after(20_000), short_range(10)]
    assert file.read(1000, 200_000) == CONTENT[1000:200_000]
    assert file.waits == [1, 3, 4, 8, 16]
    ranges = [request.headers["range"] for request in server.requests]
    assert ranges == [f"bytes={first}-199999" for first in (1000, 31_000, 31_000, 31_000, 51_000, 51_010)]
    assert server.sent_twice(PATH) == 0
    assert {request.headers.get("if-range") for request in server.requests[1:]} == {etag(CONTENT)}
    assert all(request.headers["accept-encoding"] == "identity" for request in server.requests)


def test_silence(server: FaultServer) -> None:
    server.script.append(stall_of_a_range)
    file = Reader(server, stall_timeout=0.3)
    assert file.read(5, 50) == CONTENT[5:50]
    assert file.notes == [f"{server.host}: no data for 0.3 seconds; trying again in 1 s, 1 of 5"]


def test_two_connections_at_most_and_any_number_of_threads(server: FaultServer) -> None:
    server.pace = 2e6
    file = Reader(server)
    spans = [(start, start + 20_000) for start in range(0, SIZE - 20_000, 20_000)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda span: file.read(*span), spans)) == [CONTENT[a:b] for a, b in spans]
    assert server.most_at_once == 2
    assert len(server.requests) == len(spans)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            ignoring_and_dropping(5000),
            "{url} does not serve ranges of files, perhaps behind a proxy; set CHARLM_MIRROR to another mirror",
        ),
        (
            answer(200, b"<html>"),
            "{url} does not serve ranges of files, perhaps behind a proxy; set CHARLM_MIRROR to another mirror",
        ),
        (answer(416), "{url} sent other bytes than requested; set CHARLM_MIRROR to another mirror"),
        (answer(206, b"abc"), "{url} sent other bytes than requested; set CHARLM_MIRROR to another mirror"),
        (
            answer(206, b"abc", Content_Range=f"bytes 6-8/{SIZE}"),
            "{url} sent other bytes than requested; set CHARLM_MIRROR to another mirror",
        ),
        (
            answer(206, b"abc", Content_Range="bytes 5-7/1,000"),
            "{url} sent other bytes than requested; set CHARLM_MIRROR to another mirror",
        ),
        (
            answer(206, b"abc", Content_Range="bytes 5-7/1000"),
            "{url} has 1,000 bytes instead of 300,000; set CHARLM_MIRROR to another mirror",
        ),
        (
            answer(206, bytes(60), Content_Range=f"bytes 5-64/{SIZE}"),
            "{url} sent more bytes than requested; set CHARLM_MIRROR to another mirror",
        ),
        (answer(404), "{url} does not exist (404); check language, wiki and date"),
        (redirect(PATH), ""),
        (without("ETag"), ""),
        (without("ETag", "Last-Modified"), ""),
    ],
)
def test_answers_to_a_range(server: FaultServer, fault: Fault, message: str) -> None:
    for mirrors in ((), (server,)):  # with a mirror, none of it matters
        file = Reader(server, *mirrors)
        server.script.append(fault)
        if mirrors or not message:
            assert file.read(5, 50) == CONTENT[5:50]
        else:
            with pytest.raises(NetworkError) as caught:
                file.read(5, 50)
            assert str(caught.value) == message.format(url=server.url(PATH))
        assert file.waits == []


def test_a_file_that_changes_is_never_mixed(server: FaultServer) -> None:
    for change in (becoming(CONTENT[::-1]), other_version):
        server.files[PATH] = CONTENT
        file = Reader(server, server)
        assert file.read(0, 10) == CONTENT[:10]
        server.script.append(change)
        with pytest.raises(NetworkError) as caught:
            file.read(10, 20)
        assert str(caught.value) == f"{server.url(PATH)} changed while it was read; run the same command again"


def test_the_version_that_was_read_before_can_be_asked_for(server: FaultServer) -> None:
    asked = Reader(server, size=None)
    assert (asked.version, asked.size) == (etag(CONTENT), SIZE)
    assert len(server.requests) == 1
    url = server.url(PATH)
    assert RemoteFile([url], SIZE, "t", version=asked.version).read(0, 5) == CONTENT[:5]
    with pytest.raises(NetworkError, match="changed while it was read"):
        RemoteFile([url], SIZE, "t", version='"older"').read(0, 5)


def test_a_mirror_that_works_is_kept_to(server: FaultServer) -> None:
    with FaultServer() as dead:
        pass
    file = Reader(dead, server)
    for start in range(0, 100, 10):
        assert file.read(start, start + 10) == CONTENT[start : start + 10]
    assert file.waits == [1, 2, 4, 8, 16]
    assert file.notes[-1] == f"no answer from {dead.host} (Connection refused), 6 times; trying {server.host} next"


def test_nothing_anywhere(server: FaultServer) -> None:
    del server.files[PATH]
    with pytest.raises(NotFoundError):
        Reader(server, server, size=None).read(0, 1)
    with pytest.raises(NetworkError, match="no mirror is set"):
        Reader(size=3).read(0, 1)
