"""Storage: files are whole or absent after any failure, locks exclude processes, manifests detect damage."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm import storage
from charlm.errors import BusyError, CheckpointError, StorageError
from charlm.storage import lock
from tests.faulty_disk import every_fault

OLD, NEW = b"old " * 3, b"new " * 5000


ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT]


@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("before", [None, OLD])
def test_after_any_failed_operation_a_file_has_its_old_or_its_new_content(
    tmp_path: Path, number: int, before: bytes | None
) -> None:
    path = tmp_path / "file"

    def attempt() -> None:
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)
        storage.write_bytes(path, NEW)

    for failed in every_fault(number, attempt):
        content = path.read_bytes() if path.exists() else None
        assert content in ((before, NEW) if failed else (NEW,))
        assert {found.name for found in tmp_path.iterdir()} <= {"file"}, "a temporary file was left behind"
        if failed:
            assert str(path) in failed.what
            assert os.strerror(number) in failed.what
            assert failed.cure


def test_after_a_kill_at_any_operation_a_file_has_its_old_or_its_new_content(tmp_path: Path) -> None:
    script = """
import os, signal, sys, builtins, io
from pathlib import Path
from charlm import storage
from charlm.storage import whole_files
left = int(sys.argv[2])
def tick():
    global left
    left -= 1
    if left == 0: os.kill(os.getpid(), signal.SIGKILL)
def wrap(function):
    def killing(*arguments, **keywords):
        tick(); result = function(*arguments, **keywords); tick()
        return result
    return killing
class File(io.FileIO):
    def write(self, content, /): return wrap(super().write)(content)
whole_files.open = lambda path, mode: io.BufferedRandom(wrap(File)(path, mode))
for name in ("fsync", "replace"): setattr(os, name, wrap(getattr(os, name)))
storage.write_bytes(Path(sys.argv[1]), b"new " * 5000)
"""
    path = tmp_path / "file"
    seen: set[bytes] = set()
    for kill_at in range(1, 40):
        path.write_bytes(OLD)
        ended = subprocess.run([sys.executable, "-c", script, str(path), str(kill_at)])
        seen.add(path.read_bytes())
        assert path.read_bytes() in (OLD, NEW)
        if ended.returncode == 0:
            assert kill_at > 8
            assert path.read_bytes() == NEW
            break
        assert ended.returncode == -signal.SIGKILL
    else:
        raise AssertionError("never ran clean")
    assert seen == {OLD, NEW}


def test_an_error_inside_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), storage.atomic_file(path) as file:
            _write_and_raise(file, error)
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == OLD


def _write_and_raise(file: IO[bytes], error: type[BaseException]) -> None:
    file.write(NEW)
    raise error


def test_a_full_disk_is_a_storage_error_in_every_kind_of_write(tmp_path: Path) -> None:
    """Uses the kernel's limit on the size of files instead of a simulation."""
    script = """
import resource, signal, sys
from pathlib import Path
from charlm import storage
from charlm.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
folder = Path(sys.argv[1])
attempts = {
    "bytes": lambda: storage.write_bytes(folder / "bytes", b"x" * 10000),
    "json": lambda: storage.write_json(folder / "json", {"x": "x" * 10000}),
    "log": lambda: [storage.append_line(folder / "log", "x" * 100) for _ in range(100)],
}
for name, attempt in attempts.items():
    try:
        attempt()
    except StorageError as error:
        assert str(folder / name) in error.what, error
        print(name)
"""
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert ended.stdout.split() == ["bytes", "json", "log"], ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"log"}
    lines = (tmp_path / "log").read_bytes().split(b"\n")
    assert set(lines) == {b"x" * 100, b""}, "no line is torn"
    assert len(lines) == 1 + 4096 // 101


def test_a_missing_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        storage.write_bytes(tmp_path / "missing" / "file", NEW)
    (tmp_path / "file").write_bytes(OLD)
    for refused in (storage.make_directory, storage.check_writable):
        with pytest.raises(StorageError):
            refused(tmp_path / "file" / "below")


@given(content=st.binary(max_size=300))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_bytes_are_read_back(tmp_path: Path, content: bytes) -> None:
    storage.write_bytes(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content


def test_json_refuses_numbers_that_are_not_finite() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            storage.to_json({"x": value})


# ---- partial files


def test_a_partial_file_is_continued_by_another_process(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    with storage.PartialFile(target) as file:
        file.append(b"abc")
    with storage.PartialFile(target) as file:
        assert file.size == 3
        file.append(b"def")
        assert not target.exists()
        file.commit()
    assert target.read_bytes() == b"abcdef"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_partial_file_can_start_again(tmp_path: Path) -> None:
    with storage.PartialFile(tmp_path / "file") as file:
        file.append(b"abc")
        file.restart()
        assert file.size == 0
        file.append(b"x")
        file.commit()
    assert (tmp_path / "file").read_bytes() == b"x"


# ---- locks


HOLD = """
import sys, time
from pathlib import Path
from charlm.storage import DirectoryLock
with DirectoryLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock of tmp_path."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_busy_directory_names_the_process_that_holds_it(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    with pytest.raises(BusyError) as caught, storage.DirectoryLock(tmp_path):
        raise AssertionError("two processes hold one lock")
    assert f"process {holder.pid} on {socket.gethostname()}" in caught.value.what
    with pytest.raises(BusyError, match=str(holder.pid)), storage.DirectoryLock(tmp_path):
        raise AssertionError("a failed attempt has released the lock")


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with storage.DirectoryLock(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text(encoding="utf-8")


def test_the_lock_of_a_directory_that_was_just_moved_away_is_that_of_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process opened the file before the move, and locks it afterwards."""
    directory = tmp_path / "work"
    holder = storage.DirectoryLock(directory).__enter__()
    try_lock = lock._try_lock  # pyright: ignore[reportPrivateUsage]

    def finish_first(descriptor: int) -> None:
        if not (tmp_path / "finished").exists():
            directory.rename(tmp_path / "finished")
            holder.__exit__(None, None, None)
        try_lock(descriptor)

    monkeypatch.setattr(lock, "_try_lock", finish_first)
    with storage.DirectoryLock(directory):
        assert storage.is_locked(directory)
        assert not storage.is_locked(tmp_path / "finished")


def test_a_lock_can_be_taken_again(tmp_path: Path) -> None:
    lock = storage.DirectoryLock(tmp_path / "new")
    for _ in range(2):
        with lock, pytest.raises(BusyError), storage.DirectoryLock(tmp_path / "new"):
            raise AssertionError("held twice")


def test_a_lock_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(StorageError), storage.DirectoryLock(tmp_path):
        raise AssertionError("held")


def test_is_locked_changes_nothing_and_blocks_no_process(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert not storage.is_locked(tmp_path)
    assert not path.exists()
    with storage.DirectoryLock(tmp_path):
        before = path.read_bytes()
        assert storage.is_locked(tmp_path)
        assert path.read_bytes() == before
    with open(path, "rb") as other:
        fcntl.flock(other.fileno(), fcntl.LOCK_SH)
        assert not storage.is_locked(tmp_path), "a shared lock of another test does not count"
    with storage.DirectoryLock(tmp_path):
        pass
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="cannot read"):
        storage.is_locked(tmp_path)


# ---- manifests


@pytest.fixture
def manifested(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    (tmp_path / "empty").touch()
    storage.write_manifest(tmp_path, {"format": 1})
    return tmp_path


def test_a_whole_directory_is_verified(manifested: Path) -> None:
    manifest = storage.verify_manifest(manifested, "cure")
    assert set(manifest["files"]) == {"a", "b", "empty"}
    assert manifest["format"] == 1


@given(name=st.sampled_from("ab"), position=st.integers(0, 999), bit=st.integers(0, 7))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_a_flipped_bit_is_found(manifested: Path, name: str, position: int, bit: int) -> None:
    path = manifested / name
    before = path.read_bytes()
    damaged = bytearray(before)
    damaged[position] ^= 1 << bit
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=rf"{name} is damaged.*SHA-256"):
        storage.verify_manifest(manifested, "cure")
    path.write_bytes(before)
    storage.verify_manifest(manifested, "cure")


def test_a_truncated_a_longer_and_a_missing_file_are_found(manifested: Path) -> None:
    path = manifested / "b"
    for content in (b"b" * 999, b"b" * 1001, b""):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{len(content):,} bytes instead of 1,000"):
            storage.verify_manifest(manifested, "cure")
    path.unlink()
    with pytest.raises(CheckpointError, match="b is missing"):
        storage.verify_manifest(manifested, "cure")
    (manifested / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="not a complete checkpoint"):
        storage.verify_manifest(manifested, "cure")


def hostile_manifests() -> Iterator[str]:
    good = {"bytes": 1000, "sha256": "0" * 64}
    yield from ("", "[]", "1", "null", "{", '{"files": []}', '{"files": {"a": 1}}', "[" * 100_000, "9" * 5000)
    for name in ("../a", "/etc/passwd", "..", "", ".", "a\0", "a" * 5000, "sub/a"):
        yield json.dumps({"files": {name: good}})
    for size in (float("inf"), float("nan"), -1, "x", None, [], 10**400):
        yield json.dumps({"files": {"a": {**good, "bytes": size}}})
    for digest in (None, 5, "0" * 64):
        yield json.dumps({"files": {"a": {**good, "sha256": digest}}})


@pytest.mark.parametrize("content", list(hostile_manifests()), ids=lambda content: ascii(content[:60]))
def test_a_hostile_manifest_is_refused(manifested: Path, content: str) -> None:
    (manifested / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError):
        storage.verify_manifest(manifested, "cure")


def test_json_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        storage.read_json(tmp_path)
    with pytest.raises(FileNotFoundError):
        storage.read_json(tmp_path / "missing")


def test_temporary_files_of_killed_writers_are_removed(tmp_path: Path) -> None:
    for name in (".a.json.999999999.tmp", f".a.json.{os.getpid()}.tmp", ".ab.json.999999999.tmp", "a.json"):
        (tmp_path / name).touch()
    storage.remove_stale_temporaries(tmp_path / "a.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f".a.json.{os.getpid()}.tmp",
        ".ab.json.999999999.tmp",
        "a.json",
    ]


# ---- whole directories


def _replace_directory(path: Path) -> None:
    with storage.atomic_directory(path) as folder:
        storage.write_bytes(folder / "file", NEW)


@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("is_there", [False, True], ids=["made", "replaced"])
def test_after_any_failed_operation_a_directory_is_the_old_or_the_new_one(
    tmp_path: Path, number: int, is_there: bool
) -> None:
    path = tmp_path / "folder"

    def reset() -> None:
        storage.remove_tree(path)
        if is_there:
            path.mkdir()
            (path / "file").write_bytes(OLD)

    reset()
    for failed in every_fault(number, lambda: _replace_directory(path)):
        content = (path / "file").read_bytes() if path.exists() else None
        assert content in ((OLD if is_there else None, NEW) if failed else (NEW,))
        if failed:
            _replace_directory(path)
        assert [found.name for found in tmp_path.iterdir()] == ["folder"], "a temporary folder was left behind"
        reset()


@pytest.mark.parametrize("pid", [999_999_999, os.getpid()], ids=["another process", "a process of the same number"])
def test_a_directory_that_a_killed_process_moved_aside_is_restored(tmp_path: Path, pid: int) -> None:
    """It was killed between its two renames."""
    path = tmp_path / "folder"
    for name, content in ((f".folder.old.{pid}.tmp", OLD), (f".folder.{pid}.tmp", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(content)
    with pytest.raises(FileExistsError), storage.atomic_directory(path) as folder:
        folder.mkdir()
    assert (path / "file").read_bytes() == OLD
    assert [found.name for found in tmp_path.iterdir()] == ["folder"]
    _replace_directory(path)
    assert (path / "file").read_bytes() == NEW
    assert [found.name for found in tmp_path.iterdir()] == ["folder"]
