"""The download loop: headers, resuming, waits, small documents, certificates. Its faults: test_download_faults.py."""

import bz2
import errno
import hashlib
import random
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from pathlib import Path
from typing import Self

import pytest
import requests

from charlm.errors import NetworkError, StorageError
from charlm.text.download import connection
from charlm.text.download.connection import fetch_document
from charlm.text.download.retry import NotFoundError, RetryPolicy, retry
from charlm.text.download.whole_file import download
from tests.certificate import make_certificate
from tests.fault_server import FaultServer, answer, drop_after, redirect

CONTENT = bz2.compress(random.Random(1).randbytes(300_000))
SHA1 = hashlib.sha1(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
PATH = "/wiki/file.bz2"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.files[PATH] = CONTENT
        yield server


class Waits(list[float]):
    """A RetryPolicy that records its waits instead of waiting."""

    def retry_policy(self, *, stall_timeout: float = 10) -> RetryPolicy:
        return RetryPolicy(stall_timeout=stall_timeout, sleep=self.append)


def fetch(
    server: FaultServer,
    target: Path,
    waits: Waits | None = None,
    *,
    size: int | None = len(CONTENT),
    sha1: str | None = SHA1,
    md5: str | None = None,
    path: str = PATH,
    stall_timeout: float = 10,
) -> list[int]:
    progress: list[int] = []
    retry_policy = (waits if waits is not None else Waits()).retry_policy(stall_timeout=stall_timeout)
    download(
        [server.url(path)], target, size=size, sha1=sha1, md5=md5, user_agent="charlm/test",
        on_progress=progress.append, retry_policy=retry_policy,
    )  # fmt: skip
    return progress


def assert_whole(target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("known", [{}, {"sha1": None, "md5": MD5}, {"size": None, "sha1": None}])
def test_plain_download(server: FaultServer, tmp_path: Path, known: dict[str, str | None]) -> None:
    (tmp_path / ".f.bz2.part.json.123.tmp").touch()  # a process was killed
    progress = fetch(server, tmp_path / "f.bz2", **known)  # pyright: ignore[reportArgumentType]
    assert_whole(tmp_path / "f.bz2")
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0, len(CONTENT))
    headers = server.requests[0].headers
    assert headers["user-agent"] == "charlm/test"
    assert headers["accept-encoding"] == "identity"
    assert "range" not in headers


def test_resumes_where_it_broke_off(server: FaultServer, tmp_path: Path) -> None:
    waits = Waits()
    server.script += [drop_after(100_000), drop_after(50_000), answer(500), answer(502)]
    fetch(server, tmp_path / "f.bz2", waits)
    assert_whole(tmp_path / "f.bz2")
    assert waits == [1, 2, 4, 8]
    starts = [int(r.headers.get("range", "bytes=0-")[6:-1]) for r in server.requests]
    assert starts == [0, 100_000, 150_000, 150_000, 150_000]
    assert all("if-range" in r.headers for r in server.requests[1:])


def test_gives_up_after_five_waits_and_goes_on_the_next_time(server: FaultServer, tmp_path: Path) -> None:
    waits = Waits()
    server.script += [drop_after(20_000) for _ in range(6)]
    with pytest.raises(NetworkError, match="broke off"):
        fetch(server, tmp_path / "f.bz2", waits)
    assert waits == [1, 2, 4, 8, 16]
    assert not (tmp_path / "f.bz2").exists()
    arrived = (tmp_path / "f.bz2.part").stat().st_size
    assert arrived == 120_000
    assert fetch(server, tmp_path / "f.bz2")[0] == arrived
    assert server.requests[-1].headers["range"] == f"bytes={arrived}-"
    assert_whole(tmp_path / "f.bz2")


def test_retry_after_is_obeyed(server: FaultServer, tmp_path: Path) -> None:
    waits = Waits()
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    server.script += [answer(429, Retry_After="7"), answer(503, Retry_After=later), answer(503, Retry_After="soon")]
    fetch(server, tmp_path / "f.bz2", waits)
    assert waits[0] == 7
    assert 90 < waits[1] <= 100
    assert waits[2] == 4


@pytest.mark.parametrize("days", [-400, 400])
def test_retry_after_counts_from_the_clock_of_the_server(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    class WrongClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(days=days)

    monkeypatch.setattr(connection, "datetime", WrongClock)
    waits = Waits()
    server.script += [answer(503, Retry_After=format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True))]
    fetch(server, tmp_path / "f.bz2", waits)
    assert 90 < waits[0] <= 101


def test_no_space_is_found_before_the_first_request(server: FaultServer, tmp_path: Path) -> None:
    size = shutil.disk_usage(tmp_path).total + 1
    with pytest.raises(StorageError, match=rf"{size:,} bytes.* free"):
        fetch(server, tmp_path / "f.bz2", size=size)
    assert server.requests == []


def test_small_documents(server: FaultServer) -> None:
    server.files["/list"] = b"x" * 1000
    server.script += [drop_after(10), answer(500)]
    waits = Waits()
    assert (
        fetch_document([server.url("/list")], limit=1000, user_agent="t", retry_policy=waits.retry_policy())
        == b"x" * 1000
    )
    assert waits == [1, 2]
    with pytest.raises(NetworkError, match="more than 999"):
        fetch_document([server.url("/list")], limit=999, user_agent="t", retry_policy=waits.retry_policy())
    with pytest.raises(NotFoundError):
        fetch_document([server.url("/a"), server.url("/b")], limit=9, user_agent="t", retry_policy=waits.retry_policy())


def test_nobody_there(tmp_path: Path) -> None:
    with FaultServer() as gone:
        url, host = gone.url("/"), gone.host
    waits, notes = Waits(), list[str]()
    retry_policy = replace(waits.retry_policy(), notify=notes.append)
    with pytest.raises(NetworkError) as caught:
        fetch_document([url], limit=9, user_agent="t", retry_policy=retry_policy)
    assert str(caught.value) == (
        f"no answer from {host} (Connection refused), 6 times; check the network and run the same command again"
    )
    assert waits == [1, 2, 4, 8, 16]
    assert notes == [
        f"no answer from {host} (Connection refused); trying again in {wait:g} s, {number} of 5"
        for number, wait in enumerate(waits, start=1)
    ]


def test_without_a_network_the_first_question_fails_soon_and_a_download_waits(tmp_path: Path) -> None:
    waits, url = Waits(), "http://nowhere.invalid/f.bz2"
    with pytest.raises(NetworkError, match=r"no answer from nowhere\.invalid \(.*\), 2 times"):
        fetch_document([url], limit=9, user_agent="t", retry_policy=waits.retry_policy())
    assert waits == [1]
    target, policy = tmp_path / "f.bz2", waits.retry_policy()
    with pytest.raises(NetworkError, match=r"no answer from nowhere\.invalid \(.*\), 6 times"):
        download([url], target, size=None, sha1=None, md5=None, user_agent="t", retry_policy=policy)
    assert waits == [1, 1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("failure", "num_waits"),
    [
        *[(OSError(number, "no network"), 1) for number in (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)],
        (socket.gaierror(socket.EAI_AGAIN, "no address"), 1),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 5),
        (ConnectionResetError(errno.ECONNRESET, "reset"), 5),
    ],
)
def test_only_a_missing_network_ends_the_attempts_early(failure: OSError, num_waits: int) -> None:
    waits = Waits()

    def attempt() -> None:
        raise requests.exceptions.ConnectionError from failure

    with pytest.raises(NetworkError, match="no answer from nowhere"):
        retry("http://nowhere/", attempt, waits.retry_policy(), gives_up_offline=True)
    assert len(waits) == num_waits


def test_a_url_that_is_none(tmp_path: Path) -> None:
    waits = Waits()
    with pytest.raises(NetworkError, match=r"check corpus\.source\.mirrors and CHARLM_MIRROR"):
        fetch_document(["http://[::1/"], limit=9, user_agent="t", retry_policy=waits.retry_policy())
    with pytest.raises(NetworkError, match="no mirror is set"):
        fetch_document([], limit=9, user_agent="t")
    with pytest.raises(NetworkError, match=r"there is no URL for f\.bz2"):
        download([], tmp_path / "f.bz2", size=None, sha1=None, md5=None, user_agent="t")
    assert list(tmp_path.iterdir()) == []


def test_waits_are_told_on_stderr(server: FaultServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.script += [answer(503, Retry_After="0"), answer(404)]
    with FaultServer() as mirror:
        mirror.files[PATH] = CONTENT
        download(
            [server.url(PATH), mirror.url(PATH)], tmp_path / "f.bz2", size=None, sha1=SHA1, md5=None, user_agent="t"
        )
    assert caplog.messages == [
        f"{server.host}: the server is busy (503); trying again in 0 s, 1 of 5",
        f"{server.url(PATH)} does not exist (404); trying {mirror.host} next",
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}  # what logging shows unless it is told not to


def test_other_kinds_of_files(server: FaultServer, tmp_path: Path) -> None:
    server.files["/x.zip"] = b"PK\x03\x04 and so on"
    kind = {"size": None, "sha1": None, "md5": None, "user_agent": "t"}
    download([server.url("/x.zip")], tmp_path / "x.zip", magic=b"PK", **kind)  # pyright: ignore[reportArgumentType]
    assert (tmp_path / "x.zip").read_bytes() == server.files["/x.zip"]
    with pytest.raises(NetworkError, match="returned another kind of file"):
        download([server.url("/x.zip")], tmp_path / "y.bz2", **kind)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def test_never_from_https_to_http(
    server: FaultServer, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with FaultServer(certificate) as safe:
        safe.files[PATH] = CONTENT
        fetch(safe, tmp_path / "f.bz2")
        assert_whole(tmp_path / "f.bz2")
        safe.script += [redirect("/moved"), redirect(safe.url(PATH))]
        fetch(safe, tmp_path / "g.bz2")
        safe.script += [redirect(PATH), redirect(server.url(PATH))]
        with pytest.raises(NetworkError) as caught:
            fetch(safe, tmp_path / "h.bz2")
        assert str(caught.value) == (
            f"{safe.url(PATH)} redirects to {server.url(PATH)}, which is not encrypted; "
            "set CHARLM_MIRROR to another mirror"
        )
        assert server.requests == []
        server.script.append(redirect(safe.url(PATH)))  # the other way round is fine
        fetch(server, tmp_path / "i.bz2")
    assert {path.name for path in tmp_path.iterdir()} == {"f.bz2", "g.bz2", "i.bz2"}


def test_a_certificate_without_trust_is_not_retried(certificate: Path, tmp_path: Path) -> None:
    waits = Waits()
    with FaultServer(certificate) as stranger:
        stranger.files[PATH] = CONTENT
        with pytest.raises(NetworkError) as caught:
            fetch(stranger, tmp_path / "f.bz2", waits)
        assert stranger.requests == []
    assert str(caught.value) == (
        f"{stranger.host}: the certificate of the server is not trusted (self-signed certificate); "
        "check the clock and the proxy"
    )
    assert waits == []
    assert list(tmp_path.iterdir()) == []
