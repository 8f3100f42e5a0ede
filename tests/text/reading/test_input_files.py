"""Hashes of inputs: an unchanged file is read once, and a changed one is noticed whatever its size and time say."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from charlm import storage
from charlm.errors import DataError
from charlm.text.reading import input_files
from charlm.text.reading.input_files import hash_inputs

Hash = Callable[[Path], tuple[list[str], list[str]]]


@pytest.fixture
def hash_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hash:
    """Return the hashes of the files of a folder, and the names of those that were read."""
    monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(input_files, "CACHED_BYTES", 0)
    monkeypatch.setattr(input_files, "_SETTLED_NS", -(10**18))  # as if every file were old
    read: list[str] = []

    def sha256(path: Path) -> str:
        read.append(path.name)
        return storage.sha256(path)

    def run(folder: Path) -> tuple[list[str], list[str]]:
        read.clear()
        files = hash_inputs((path.name, path) for path in sorted(folder.iterdir()))
        assert all(file.sha256 == storage.sha256(file.path) for file in files)
        assert all(file.num_bytes == file.path.stat().st_size for file in files)
        return [file.sha256 for file in files], list(read)

    monkeypatch.setattr(input_files, "sha256", sha256)
    return run


def folder_of(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "files" / name).write_text(name, encoding="utf-8")
    return tmp_path / "files"


def test_only_what_has_changed_is_read_again(hash_folder: Hash, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    first, read = hash_folder(folder)
    assert read == ["a", "b", "c"]
    assert hash_folder(folder) == (first, [])
    os.utime(folder / "a", (1, 1))
    assert hash_folder(folder) == (first, ["a"]), "touched, and equal"
    assert hash_folder(folder) == (first, [])


def test_a_change_is_noticed_if_size_and_time_are_as_before(hash_folder: Hash, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    first, _ = hash_folder(folder)
    for replace in (False, True):
        status = (folder / "b").stat()
        if replace:
            (folder / "new").write_text("y", encoding="utf-8")
            os.replace(folder / "new", folder / "b")
        else:
            (folder / "b").write_text("x", encoding="utf-8")
        os.utime(folder / "b", ns=(status.st_atime_ns, status.st_mtime_ns))
        hashes, read = hash_folder(folder)
        assert read == ["b"]
        assert hashes != first
        first = hashes


def test_a_file_that_was_just_written_is_read_again(
    hash_folder: Hash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change could have the same time."""
    monkeypatch.setattr(input_files, "_SETTLED_NS", 2_000_000_000)
    folder = folder_of(tmp_path)
    hash_folder(folder)
    assert hash_folder(folder)[1] == ["a", "b", "c"]


def test_a_small_folder_needs_no_cache(hash_folder: Hash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_files, "CACHED_BYTES", 4)
    hash_folder(folder_of(tmp_path))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{\"'a'\": 1}", b"{\"'a'\": [1, 2, 3, 4, 5]}", b"\xff"])
def test_a_damaged_cache_is_made_again(hash_folder: Hash, tmp_path: Path, content: bytes) -> None:
    folder = folder_of(tmp_path)
    first, _ = hash_folder(folder)
    (record,) = (tmp_path / "cache" / "hashes").iterdir()
    record.write_bytes(content)
    assert hash_folder(folder) == (first, ["a", "b", "c"])
    assert hash_folder(folder) == (first, [])


def test_a_cache_that_cannot_be_written_costs_only_time(hash_folder: Hash, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (tmp_path / "cache").write_text("a file where the folder of the cache should be", encoding="utf-8")
    first, read = hash_folder(folder)
    assert read == ["a", "b", "c"]
    assert hash_folder(folder) == (first, ["a", "b", "c"])


def test_a_name_that_is_not_utf_8(hash_folder: Hash, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / os.fsdecode(b"\xff")).write_text("x", encoding="utf-8")
    first, read = hash_folder(folder)
    assert len(read) == 4
    assert hash_folder(folder) == (first, [])


def test_a_file_that_changed_after_it_was_hashed(tmp_path: Path) -> None:
    (file,) = hash_inputs([("a", folder_of(tmp_path) / "a")])
    file.check_unchanged()
    file.path.write_text("longer", encoding="utf-8")
    with pytest.raises(DataError, match="a changed while it was read"):
        file.check_unchanged()
