"""prepare: from files to a corpus that exists whole or not at all, the same bytes every time."""

import errno
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm import storage
from charlm.data.corpus import Corpus, open_corpus
from charlm.data.documents import read_parts
from charlm.data.settings import CorpusSettings
from charlm.errors import BusyError, DataError, SettingsError
from charlm.text.build import build_source
from charlm.text.document import Document, PageCounts, Source
from charlm.text.split import SPLITS
from charlm.vocab.settings import ByteSettings, CharSettings
from charlm.workflows.corpus_directory import working_directory
from charlm.workflows.corpus_identity import find_prepared
from charlm.workflows.prepare import prepare
from tests.corpora import TINY, UNSEEN, build_corpus, text_settings, write_files
from tests.faulty_disk import every_fault


class ListSource(Source):
    """Documents from memory."""

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents

    def read(self, page_counts: PageCounts) -> Iterator[Document]:
        page_counts.pages += len(self._documents)
        return iter(self._documents)

    def origin(self) -> dict[str, Any]:
        return {"source": "list"}


def tree(directory: Path) -> dict[str, str]:
    """Every file below a directory and the hash of its content."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def text_of(corpus: Corpus, split: str) -> str:
    """What the tokens of a split say, boundaries left out."""
    return corpus.vocab.decode(corpus.open(split).tokens.tolist())


def read_documents(corpus: Corpus, split: str) -> list[tuple[str, str]]:
    return [(p.document.id, p.document.text) for p in read_parts(corpus.directory / "documents", split)]


# ---- what is in a corpus


@pytest.mark.parametrize("vocab", [CharSettings(), ByteSettings()])
def test_every_character_is_in_the_split_that_its_position_says(tmp_path: Path, vocab: Any) -> None:
    corpus = build_corpus(tmp_path, TINY, vocab=vocab)
    whole = "".join(TINY.values())
    assert corpus.metadata["split"] == {"shares": "80/10/10", "method": "position"}
    borders = [0, len(whole) * 80 // 100, len(whole) * 90 // 100, len(whole)]
    for split, start, end in zip(SPLITS, borders[:-1], borders[1:], strict=True):
        assert text_of(corpus, split) == whole[start:end]
        assert "".join(text for _, text in read_documents(corpus, split)) == whole[start:end]


def test_by_hash_a_document_is_in_the_split_of_its_id(tmp_path: Path) -> None:
    letters = np.random.default_rng(0).integers(97, 123, size=(1200, 2200), dtype=np.uint8)
    documents = [Document(str(number), f"T{number}", bytes(row).decode()) for number, row in enumerate(letters)]
    settings = CorpusSettings(source=text_settings(tmp_path).source, split="80/10/10")
    corpus = prepare(settings, ListSource(documents), tmp_path / "corpus")
    assert corpus.metadata["split"]["method"] == "hash"
    share = {d.id: int(hashlib.sha256(d.id.encode()).hexdigest()[:16], 16) / 16**16 for d in documents}
    expected = {
        "train": [d for d in documents if share[d.id] < 0.8],
        "valid": [d for d in documents if 0.8 <= share[d.id] < 0.9],
        "test": [d for d in documents if share[d.id] >= 0.9],
    }
    for split, found in expected.items():
        assert text_of(corpus, split) == "".join(document.text for document in found)
        assert read_documents(corpus, split) == [(document.id, document.text) for document in found]
        assert corpus.metadata["splits"][split]["documents"] == len(found)


def test_counts_are_those_of_the_text(tiny_corpus: Corpus) -> None:
    whole = "".join(TINY.values())
    splits = tiny_corpus.metadata["splits"]
    assert sum(counts["documents"] for counts in splits.values()) == len(TINY)
    assert sum(counts["characters"] for counts in splits.values()) == len(whole)
    assert sum(counts["bytes"] for counts in splits.values()) == len(whole.encode())
    for split, counts in splits.items():
        stream = tiny_corpus.open(split)
        text = text_of(tiny_corpus, split)
        assert stream.count("characters") == counts["characters"] == len(text)
        assert stream.count("bytes") == counts["bytes"] == len(text.encode())
        assert (
            stream.count("words")
            == counts["words"]
            == sum(len(t.split()) for _, t in read_documents(tiny_corpus, split))
        )
    documents = {"pages": len(TINY), "kept": len(TINY), "dropped": {}, "near_identical": 0}
    assert tiny_corpus.metadata["documents"] == documents


def test_the_vocabulary_is_learned_from_the_training_split_alone(tiny_corpus: Corpus) -> None:
    known = tiny_corpus.vocab.to_json()["characters"]
    assert set(known) == set(text_of(tiny_corpus, "train"))
    assert UNSEEN in text_of(tiny_corpus, "test")
    assert UNSEEN not in known
    assert "🙂" in known


def test_two_shares_mean_no_test_split(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY, split="90/10")
    assert corpus.splits == ["train", "valid"]
    assert text_of(corpus, "train") + text_of(corpus, "valid") == "".join(TINY.values())


@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("ab"), min_size=1, max_size=30),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
@example(texts=["ab"])
@example(texts=["a", "b", "c"])
@hypothesis_settings(max_examples=15)
def test_any_text_comes_back_or_is_too_small(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    documents = [Document(f"{number}.txt", "", text) for number, text in enumerate(texts)]
    settings = text_settings(folder, split="50/25/25", vocab=ByteSettings())
    whole = "".join(texts)
    if len(whole) < 3:
        with pytest.raises(DataError, match="too few"):
            prepare(settings, ListSource(documents), folder / "corpus")
        assert not (folder / "corpus").exists()
        return
    corpus = prepare(settings, ListSource(documents), folder / "corpus")
    assert "".join(text_of(corpus, split) for split in SPLITS) == whole


# ---- the same bytes


def test_equal_inputs_give_equal_bytes_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("here", "there/below"):
        build_corpus(tmp_path / place, TINY)
    assert tree(tmp_path / "here" / "corpus") == tree(tmp_path / "there/below" / "corpus")
    assert set(tree(tmp_path / "here" / "corpus")) == {
        "corpus.json",
        "vocab.json",
        *(f"{split}{kind}.npy" for split in SPLITS for kind in ("", ".documents")),
        *(f"documents/{split}-00000.parquet" for split in SPLITS),
    }
    assert [path.name for path in (tmp_path / "here").iterdir() if path.name.startswith(".")] == []


def test_another_text_has_another_fingerprint(tmp_path: Path, tiny_corpus: Corpus) -> None:
    other = build_corpus(tmp_path, TINY | {"a.txt": TINY["a.txt"].replace("quick", "quack", 1)})
    assert other.fingerprint != tiny_corpus.fingerprint


# ---- what is there already


def test_a_prepared_corpus_is_found_again(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    found = find_prepared(text_settings(tmp_path / "files"), corpus.directory)
    assert found is not None
    assert found.fingerprint == corpus.fingerprint
    assert find_prepared(text_settings(tmp_path / "files"), tmp_path / "other") is None


def test_other_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    with pytest.raises(SettingsError) as caught:
        find_prepared(text_settings(tmp_path / "files", split="90/10"), corpus.directory)
    assert "split: 80/10/10 -> 90/10" in caught.value.what
    assert "--overwrite" in caught.value.cure
    with pytest.raises(SettingsError, match=r"vocab\.type: char -> byte"):
        find_prepared(text_settings(tmp_path / "files", vocab=ByteSettings()), corpus.directory)


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    before = tree(corpus.directory)
    settings = text_settings(tmp_path / "files", split="90/10")
    with pytest.raises(SettingsError, match="not empty"):
        prepare(settings, build_source(settings.source), corpus.directory)
    assert tree(corpus.directory) == before
    assert prepare(settings, build_source(settings.source), corpus.directory, overwrite=True).splits == [
        "train",
        "valid",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "files"]


def test_overwrite_does_not_touch_what_is_no_corpus(tmp_path: Path) -> None:
    write_files(tmp_path / "precious", {"diary.txt": "mine"})
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    settings = text_settings(write_files(tmp_path / "files", TINY))
    for name in ("precious", "file"):
        with pytest.raises(SettingsError, match="choose another --out"):
            prepare(settings, build_source(settings.source), tmp_path / name, overwrite=True)
    assert tree(tmp_path / "precious").keys() == {"diary.txt"}


def test_a_failed_overwrite_leaves_the_old_corpus(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    before = tree(corpus.directory)
    (tmp_path / "files" / "z.txt").write_bytes(b"\xff")
    settings = text_settings(tmp_path / "files")
    with pytest.raises(DataError, match="UTF-8"):
        prepare(settings, build_source(settings.source), corpus.directory, overwrite=True)
    assert tree(corpus.directory) == before


def test_two_processes_do_not_prepare_one_corpus(tmp_path: Path) -> None:
    settings = text_settings(write_files(tmp_path / "files", TINY))
    with storage.DirectoryLock(working_directory(tmp_path / "corpus")), pytest.raises(BusyError):
        prepare(settings, build_source(settings.source), tmp_path / "corpus")


@pytest.mark.parametrize("place", ["new", "replaced", "filled"])
def test_the_lock_is_held_until_the_corpus_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Before any file is moved or removed, another process is refused."""
    out = tmp_path / "corpus"
    if place != "new":
        build_corpus(tmp_path, TINY)
    if place == "filled":
        (out / "diary.txt").touch()
    work = working_directory(out)
    refused: list[str] = []
    remove_tree, rename = storage.remove_tree, storage.rename

    def refuse(name: str) -> None:
        if work.exists():
            with pytest.raises(BusyError), storage.DirectoryLock(work):
                raise AssertionError(name)
            refused.append(name)

    def remove_later(path: Path) -> None:
        refuse(path.name)
        remove_tree(path)

    def rename_later(source: Path, target: Path) -> None:
        refuse(target.name)
        rename(source, target)

    monkeypatch.setattr(storage, "remove_tree", remove_later)
    monkeypatch.setattr(storage, "rename", rename_later)
    settings = text_settings(write_files(tmp_path / "again", TINY))
    prepare(settings, build_source(settings.source), out, overwrite=True)
    assert {"staged", "corpus.json" if place == "filled" else "corpus"} <= set(refused)
    assert not work.exists()
    assert {path.name for path in out.iterdir() if path.name.startswith(".")} == set()


# ---- too little, or no text at all


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({}, "no text in 0 pages"),
        ({"a": "", "b": ""}, "no text in 2 pages"),
        ({"a": "abcd"}, "'valid' is empty: 4 characters are too few"),
        ({"a": "x" * 1000}, "1 different characters"),
    ],
)
def test_too_little_text_is_a_data_error(tmp_path: Path, texts: dict[str, str], words: str) -> None:
    (tmp_path / "files").mkdir()
    with pytest.raises(DataError, match=words):
        build_corpus(tmp_path, texts, split="80/10/10")
    assert not (tmp_path / "corpus").exists()


def test_a_lone_surrogate_is_named_with_its_document(tmp_path: Path) -> None:
    source = ListSource([Document("7", "Seven", "fine"), Document("8", "Eight", "ab\udc80")])
    with pytest.raises(DataError, match=r"document 8 \(Eight\): character 2 is the lone surrogate U\+DC80"):
        prepare(text_settings(tmp_path), source, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_the_card_names_every_file_and_no_other(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    assert {*corpus.metadata["files"], "corpus.json"} == tree(corpus.directory).keys()


# ---- long texts, which come in pieces


def test_a_text_in_pieces_is_one_document(tmp_path: Path) -> None:
    long = "the whole text, " * 40
    pieces = [Document("long", "L", long[:100], is_last_piece=False), Document("long", "L", long[100:])]
    copy = [Document("copy", "C", long[:300], is_last_piece=False), Document("copy", "C", long[300:])]
    settings = CorpusSettings(source=text_settings(tmp_path).source, split="80/10/10")
    corpus = prepare(settings, ListSource([*pieces, Document("a", "A", long[:100]), *copy]), tmp_path / "corpus")
    assert corpus.metadata["documents"]["kept"] == 2
    assert corpus.metadata["documents"]["dropped"] == {"duplicate": 1}
    assert "".join(text_of(corpus, name) for name in SPLITS) == long + long[:100]
    assert sum(int((corpus.open(name).tokens == corpus.vocab.eod_id).sum()) for name in SPLITS) == 3 + 2
    assert corpus.metadata["splits"]["train"]["documents"] == 0
    again = CorpusSettings(source=text_settings(tmp_path).source)
    new = [*pieces, Document("a", "A", long[:100]), Document("new", "N", "a new page")]
    split_reference = prepare(again, ListSource(new), tmp_path / "like", split_reference=corpus)
    for name in SPLITS:
        old = read_documents(corpus, name)
        assert [found for found in read_documents(split_reference, name) if found[0] != "new"] == old


def test_documents_of_one_id_are_numbered(tmp_path: Path) -> None:
    texts = [f"text number {number}. " * 9 for number in range(4)]
    long = [Document("same", "", texts[2][:90], is_last_piece=False), Document("same", "", texts[2][90:])]
    documents = [Document("same", "", texts[0]), Document("own", "", texts[1]), *long, Document("same", "", texts[3])]
    settings = CorpusSettings(source=text_settings(tmp_path).source, split="34/33/33")
    corpus = prepare(settings, ListSource(documents), tmp_path / "corpus")
    found: dict[str, str] = {}
    for split in SPLITS:
        for identifier, text in read_documents(corpus, split):
            found[identifier] = found.get(identifier, "") + text
    assert found == {"same": texts[0], "own": texts[1], "same (2)": texts[2], "same (3)": texts[3]}
    again = prepare(settings, ListSource(documents), tmp_path / "again", split_reference=corpus)
    for split in SPLITS:
        assert text_of(again, split) == text_of(corpus, split)


def test_a_source_may_cut_its_text_by_bytes(tmp_path: Path) -> None:
    class ByteSource(ListSource):
        split_method = "bytes"

    text = "é" * 40 + "a" * 20
    settings = CorpusSettings(source=text_settings(tmp_path).source)
    corpus = prepare(settings, ByteSource([Document("all", "", text)]), tmp_path / "corpus")
    assert corpus.metadata["split"] == {"shares": "90/5/5", "method": "bytes"}
    assert [corpus.metadata["splits"][name]["bytes"] for name in SPLITS] == [90, 5, 5]


# ---- crashes and full disks


SMALL = {"a.txt": "ab cd\n" * 40, "b.txt": "é🙂" * 30}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_whatever_write_fails_no_corpus_appears_and_the_next_attempt_is_as_good_as_new(
    tmp_path: Path, number: int
) -> None:
    clean = tree(build_corpus(tmp_path / "clean", SMALL).directory)
    settings = text_settings(write_files(tmp_path / "files", SMALL))
    out = tmp_path / "corpus"

    def attempt() -> None:
        storage.remove_tree(out)
        prepare(settings, build_source(settings.source), out)

    for failed in every_fault(number, attempt):
        assert failed is None or not out.exists() or tree(out) == clean
    assert tree(out) == clean
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "corpus", "files"]


_KILL = """
import os, signal, sys
from pathlib import Path
from charlm.text.build import build_source
from charlm.workflows.prepare import prepare
from tests.corpora import text_settings

files, out = Path(sys.argv[1]), Path(sys.argv[2])
settings = text_settings(files)
left = 0

def killing(function):
    def run(*arguments, **keywords):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **keywords)
    return run

for name in ("open", "fsync", "replace"):
    setattr(os, name, killing(getattr(os, name)))
for count in range(1, 1000, int(sys.argv[3])):
    left = count
    child = os.fork()
    if child == 0:
        prepare(settings, build_source(settings.source), out)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        print(count, flush=True)
        sys.exit()
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    if out.exists():  # the last operations only make durable what is whole
        os.rename(out, out.with_name(f"whole-{count}"))
"""


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.faults)])
def test_a_prepare_killed_anywhere_leaves_no_corpus_or_a_whole_one(tmp_path: Path, stride: int) -> None:
    clean = tree(build_corpus(tmp_path / "clean", SMALL).directory)
    files = write_files(tmp_path / "files", SMALL)
    command = [sys.executable, "-c", _KILL, str(files), str(tmp_path / "corpus"), str(stride)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 30
    assert tree(tmp_path / "corpus") == clean
    for whole in tmp_path.glob("whole-*"):
        (whole / ".lock").unlink(missing_ok=True)  # it is removed after the move
        assert tree(whole) == clean


def test_prepare_never_imports_torch(tmp_path: Path) -> None:
    write_files(tmp_path / "files", SMALL)
    script = """
import sys
from pathlib import Path
from charlm.text.build import build_source
from charlm.workflows.prepare import prepare
from tests.corpora import text_settings
settings = text_settings(Path(sys.argv[1]) / "files")
prepare(settings, build_source(settings.source), Path(sys.argv[1]) / "corpus")
print([name for name in ("torch", "datasets") if name in sys.modules])
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert ended.stdout == "[]\n"
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text(encoding="utf-8"))["format"] == 1
    assert open_corpus(tmp_path / "corpus").splits == list(SPLITS)


# ---- the split of another corpus


def test_split_like_puts_every_character_where_the_other_corpus_has_it(tmp_path: Path) -> None:
    old = build_corpus(tmp_path / "old", TINY)
    assert old.metadata["split"]["method"] == "position"
    files = write_files(tmp_path / "new", {**TINY, "00 new.txt": "an unknown document " * 30})
    settings = text_settings(files)
    new = prepare(settings, build_source(settings.source), tmp_path / "again", split_reference=old)
    split = {"shares": "80/10/10", "method": "position", "like": old.fingerprint, "by_hash": 1}
    assert new.metadata["split"].items() >= split.items()
    for split in SPLITS:
        found = [entry for entry in read_documents(new, split) if entry[0] != "00 new.txt"]
        assert found == read_documents(old, split)


def test_split_like_keeps_a_changed_document_whole(tmp_path: Path) -> None:
    old = build_corpus(tmp_path / "old", {"a.txt": "x" * 50 + "y" * 50})
    settings = text_settings(write_files(tmp_path / "new", {"a.txt": "z" * 120, "b.txt": "w" * 50}))
    with pytest.raises(DataError, match=r"'(valid|test)' is empty"):
        prepare(settings, build_source(settings.source), tmp_path / "again", split_reference=old)
