"""The download loop against a server that fails on purpose: the whole, verified file, or an error and no file."""

import bz2
import hashlib
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from charlm.errors import DataError, NetworkError, StorageError
from charlm.text.download import NotFoundError, Patience, download, get
from tests.fault_server import (
    Fault,
    FaultServer,
    Handler,
    answer,
    drop_after,
    ignoring_range,
    redirect,
    reset_after,
    stall_after,
    trickle,
)

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
    """A Patience that notes its waits instead of waiting."""

    def patience(self, *, stall: float = 10) -> Patience:
        return Patience(stall=stall, sleep=self.append)


def fetch(
    server: FaultServer,
    target: Path,
    waits: Waits | None = None,
    *,
    size: int | None = len(CONTENT),
    sha1: str | None = SHA1,
    md5: str | None = None,
    path: str = PATH,
    stall: float = 10,
) -> list[int]:
    progress: list[int] = []
    patience = (waits if waits is not None else Waits()).patience(stall=stall)
    download(
        [server.url(path)], target, size=size, sha1=sha1, md5=md5, user_agent="charlm/test",
        on_progress=progress.append, patience=patience,
    )  # fmt: skip
    return progress


def assert_whole(target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("known", [{}, {"sha1": None, "md5": MD5}, {"size": None, "sha1": None}])
def test_plain_download(server: FaultServer, tmp_path: Path, known: dict[str, str | None]) -> None:
    progress = fetch(server, tmp_path / "f.bz2", **known)  # pyright: ignore[reportArgumentType]
    assert_whole(tmp_path / "f.bz2")
    assert progress == sorted(progress)
    assert progress[-1] == len(CONTENT)
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
    with pytest.raises(NetworkError, match=r"broke off|Incomplete|reset|RemoteDisconnected"):
        fetch(server, tmp_path / "f.bz2", waits)
    assert waits == [1, 2, 4, 8, 16]
    assert not (tmp_path / "f.bz2").exists()
    arrived = (tmp_path / "f.bz2.part").stat().st_size
    assert arrived == 120_000
    fetch(server, tmp_path / "f.bz2")
    assert server.requests[-1].headers["range"] == f"bytes={arrived}-"
    assert_whole(tmp_path / "f.bz2")


def test_resets(server: FaultServer, tmp_path: Path) -> None:
    server.script += [reset_after(size) for size in (0, 100_000, 7, 100_000, 50_000)]
    fetch(server, tmp_path / "f.bz2")
    assert_whole(tmp_path / "f.bz2")


def test_long_files_may_break_off_more_than_five_times(server: FaultServer, tmp_path: Path) -> None:
    content = b"BZh" + random.Random(2).randbytes(9 << 20)
    server.files[PATH] = content
    server.script += [drop_after(5 << 18) for _ in range(6)]
    fetch(server, tmp_path / "f.bz2", size=len(content), sha1=hashlib.sha1(content).hexdigest())
    assert (tmp_path / "f.bz2").read_bytes() == content


@pytest.mark.parametrize(
    "fault",
    [
        ignoring_range,
        answer(416),
        answer(206, CONTENT[:7], Content_Range=f"bytes 0-6/{len(CONTENT)}"),
        answer(206, CONTENT[:7]),
    ],
)
def test_a_range_that_is_not_honoured_starts_again(server: FaultServer, tmp_path: Path, fault: Fault) -> None:
    server.script += [drop_after(90_000), fault]
    fetch(server, tmp_path / "f.bz2")
    assert_whole(tmp_path / "f.bz2")


def test_a_file_that_changes_on_the_server_is_never_mixed(server: FaultServer, tmp_path: Path) -> None:
    other = bz2.compress(random.Random(3).randbytes(300_000))
    server.script += [reset_after(20_000)] * 6
    with pytest.raises(NetworkError):
        fetch(server, tmp_path / "f.bz2")
    server.files[PATH] = other
    fetch(server, tmp_path / "f.bz2", size=len(other), sha1=hashlib.sha1(other).hexdigest())
    assert (tmp_path / "f.bz2").read_bytes() == other


def test_silence_and_trickling_count_as_broken(server: FaultServer, tmp_path: Path) -> None:
    waits = Waits()
    server.script += [stall_after(70_000), trickle]
    fetch(server, tmp_path / "f.bz2", waits, stall=0.4)
    assert_whole(tmp_path / "f.bz2")
    assert waits == [1, 2]


def test_what_cannot_be_mended_by_waiting_is_not_retried(server: FaultServer, tmp_path: Path) -> None:
    waits = Waits()
    with pytest.raises(NotFoundError):
        fetch(server, tmp_path / "f.bz2", waits, path="/absent")
    server.script.append(answer(403))
    with pytest.raises(NetworkError, match=r"corpus\.source\.contact.*CHARLM_CONTACT"):
        fetch(server, tmp_path / "f.bz2", waits)
    server.script.append(answer(200, b"<html>Welcome to our hotel</html>", Content_Type="text/html"))
    with pytest.raises(NetworkError, match="proxy or login page"):
        fetch(server, tmp_path / "f.bz2", waits)
    server.script.append(answer(200, b"BZh short", Content_Type="application/octet-stream"))
    with pytest.raises(NetworkError, match="9 bytes instead of"):
        fetch(server, tmp_path / "f.bz2", waits)
    assert waits == []
    assert len(server.requests) == 4
    assert not (tmp_path / "f.bz2").exists()


def test_a_wrong_checksum_leaves_nothing(server: FaultServer, tmp_path: Path) -> None:
    for wrong in ({"sha1": "0" * 40}, {"sha1": None, "md5": "0" * 32}):
        with pytest.raises(DataError, match="instead of 0000"):
            fetch(server, tmp_path / "f.bz2", **wrong)  # pyright: ignore[reportArgumentType]
        assert not list(tmp_path.glob("*.bz2*part"))
        assert not (tmp_path / "f.bz2").exists()


def test_a_body_longer_than_promised_is_refused(server: FaultServer, tmp_path: Path) -> None:
    def chunked(handler: Handler) -> None:
        body = CONTENT + b"more"
        handler.head(200, {"Transfer-Encoding": "chunked"})
        handler.wfile.write(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")

    server.script.append(chunked)
    with pytest.raises(NetworkError, match="more than the expected"):
        fetch(server, tmp_path / "f.bz2")
    assert not (tmp_path / "f.bz2").exists()


def test_retry_after_is_obeyed(server: FaultServer, tmp_path: Path) -> None:
    waits = Waits()
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    server.script += [answer(429, Retry_After="7"), answer(503, Retry_After=later), answer(503, Retry_After="soon")]
    fetch(server, tmp_path / "f.bz2", waits)
    assert waits[0] == 7
    assert 90 < waits[1] <= 100
    assert waits[2] == 4
    for too_long in (["601"], ["400", "400"]):
        server.script += [answer(429, Retry_After=seconds) for seconds in too_long]
        (tmp_path / "f.bz2").unlink(missing_ok=True)
        with pytest.raises(NetworkError, match="429"):
            fetch(server, tmp_path / "f.bz2", Waits())


def test_redirects(server: FaultServer, tmp_path: Path) -> None:
    server.script += [redirect(server.url(PATH))] * 5
    fetch(server, tmp_path / "f.bz2")
    assert_whole(tmp_path / "f.bz2")
    server.script += [redirect(PATH)] * 6
    with pytest.raises(NetworkError, match="more than 5 redirects"):
        fetch(server, tmp_path / "g.bz2")


def test_mirrors_are_tried_in_order(server: FaultServer, tmp_path: Path) -> None:
    with FaultServer() as second:
        second.files[PATH] = CONTENT
        server.script += [drop_after(50_000), *[answer(500)] * 5]
        download(
            [server.url(PATH), second.url(PATH)], tmp_path / "f.bz2", size=len(CONTENT), sha1=SHA1, md5=None,
            user_agent="charlm/test", patience=Waits().patience(),
        )  # fmt: skip
    assert_whole(tmp_path / "f.bz2")
    assert len(server.requests) == 6
    assert len(second.requests) == 1


def test_no_space_is_found_before_the_first_request(server: FaultServer, tmp_path: Path) -> None:
    size = shutil.disk_usage(tmp_path).total + 1
    with pytest.raises(StorageError, match=rf"{size:,} bytes.* free"):
        fetch(server, tmp_path / "f.bz2", size=size)
    assert server.requests == []


def test_a_finished_part_needs_no_request(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "f.bz2.part").write_bytes(CONTENT)
    fetch(server, tmp_path / "f.bz2")
    assert server.requests == []
    assert_whole(tmp_path / "f.bz2")


def test_small_documents(server: FaultServer) -> None:
    server.files["/list"] = b"x" * 1000
    server.script += [drop_after(10), answer(500)]
    waits = Waits()
    assert get([server.url("/list")], limit=1000, user_agent="t", patience=waits.patience()) == b"x" * 1000
    assert waits == [1, 2]
    with pytest.raises(NetworkError, match="more than 999"):
        get([server.url("/list")], limit=999, user_agent="t", patience=waits.patience())
    with pytest.raises(NotFoundError):
        get([server.url("/a"), server.url("/b")], limit=9, user_agent="t", patience=waits.patience())


def test_nobody_there() -> None:
    with FaultServer() as gone:
        url = gone.url("/")
    waits = Waits()
    with pytest.raises(NetworkError, match="refused"):
        get([url], limit=9, user_agent="t", patience=waits.patience())
    assert waits == [1, 2, 4, 8, 16]
