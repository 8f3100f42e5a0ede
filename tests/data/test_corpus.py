"""A corpus that opens is complete, unchanged, and not from a newer version."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from charlm import formats, storage
from charlm.data.corpus import Corpus, compute_fingerprint, open_corpus
from charlm.errors import DataError, UsageError

NEEDED = ["vocab.json", *(f"{split}{kind}.npy" for split in ("train", "valid", "test") for kind in ("", ".documents"))]


@pytest.fixture
def copy(tiny_corpus: Corpus, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_corpus.directory, tmp_path / "corpus")


def open_all(directory: Path) -> None:
    corpus = open_corpus(directory)
    for split in corpus.splits:
        corpus.open(split)


def rewrite_card(directory: Path, **changes: Any) -> None:
    path = directory / "corpus.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_a_copied_corpus_is_the_same_corpus(tiny_corpus: Corpus, copy: Path) -> None:
    open_all(copy)
    assert open_corpus(copy).fingerprint == tiny_corpus.fingerprint
    assert open_corpus(copy).vocab.to_json() == tiny_corpus.vocab.to_json()


def test_a_split_is_read_through_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    sha256 = storage.sha256
    monkeypatch.setattr(storage, "sha256", lambda path: read.append(path.name) or sha256(path))
    corpus = open_corpus(copy)
    streams = [corpus.open("train") for _ in range(3)]
    assert sorted(read) == ["train.documents.npy", "train.npy", "vocab.json"]
    assert len({id(stream) for stream in streams}) == 1


@pytest.mark.parametrize("name", NEEDED)
def test_a_changed_file_is_found(copy: Path, name: str) -> None:
    path = copy / name
    content = path.read_bytes()
    for position in (0, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"{name} was changed"):
            open_all(copy)


@pytest.mark.parametrize("name", NEEDED)
def test_a_truncated_longer_or_missing_file_is_found(copy: Path, name: str) -> None:
    path = copy / name
    content = path.read_bytes()
    for damaged in (content[:-1], content + b"\0", b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"{name} has {len(damaged):,} bytes instead of {len(content):,}"):
            open_all(copy)
    path.unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        open_all(copy)


def test_a_newer_corpus_asks_for_an_upgrade(copy: Path) -> None:
    rewrite_card(copy, format=formats.EXAMPLES + 1, files={"nothing": "this version knows"})
    with pytest.raises(DataError, match="upgrade"):
        open_corpus(copy)


def test_a_changed_card_is_found(copy: Path) -> None:
    files = json.loads((copy / "corpus.json").read_text(encoding="utf-8"))["files"]
    files["train.npy"]["sha256"] = "0" * 64
    rewrite_card(copy, files=files)
    with pytest.raises(DataError, match="fingerprint"):
        open_corpus(copy)
    rewrite_card(copy, files=files, fingerprint=compute_fingerprint(files))
    with pytest.raises(DataError, match=r"train\.npy was changed"):
        open_all(copy)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"format": 1}', '{"format": 1, "files": [], "fingerprint": 1}', "[" * 100_000, "\udcff"],
    ids=["empty", "no keys", "list", "no files", "files a list", "deep", "no UTF-8"],
)
def test_a_damaged_card_is_refused(copy: Path, content: str) -> None:
    (copy / "corpus.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="damaged"):
        open_corpus(copy)


@pytest.mark.parametrize("name", NEEDED)
def test_a_card_that_forgets_a_file_is_refused(copy: Path, name: str) -> None:
    files = json.loads((copy / "corpus.json").read_text(encoding="utf-8"))["files"]
    del files[name]
    rewrite_card(copy, files=files, fingerprint=compute_fingerprint(files))
    with pytest.raises(DataError):
        open_all(copy)


def test_what_is_not_there_is_a_usage_error(tiny_corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prepared corpus"):
        open_corpus(tmp_path)
    with pytest.raises(UsageError, match="train, valid, test"):
        tiny_corpus.open("dev")


def test_the_fingerprint_is_that_of_the_arrays_and_the_vocabulary() -> None:
    files = {name: {"bytes": 1, "sha256": name * 3} for name in ("a.npy", "vocab.json", "documents/x.parquet")}
    same = files | {"documents/x.parquet": {"bytes": 2, "sha256": "other"}}
    other = files | {"a.npy": {"bytes": 1, "sha256": "other"}}
    assert compute_fingerprint(files) == compute_fingerprint(same) != compute_fingerprint(other)
    assert compute_fingerprint(dict(reversed(list(files.items())))) == compute_fingerprint(files)
