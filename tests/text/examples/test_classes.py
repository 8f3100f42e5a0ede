"""Files and folders of a class each."""

import gzip
from pathlib import Path

import pytest

from charlm.errors import SettingsError
from charlm.text.examples.classes import ClassesSource
from charlm.text.examples.example import ExampleCounts
from charlm.text.examples.settings import ClassesSettings
from tests.corpora import write_files

FILES = {"names/Russian.txt": "Adam\r\n\nBogdan\n", "names/Old English.txt": "Alf"}
FOLDERS = {"reviews/good/1.txt": "One\ntwo", "reviews/bad/2.txt": "Three", "reviews/bad/more/3.txt": "Four"}


def read(*inputs: str, counts: ExampleCounts | None = None, **settings: str) -> list[tuple[str, str | None]]:
    source = ClassesSource(ClassesSettings.model_validate({"input": inputs, **settings}))
    return [(example.text, example.label) for example in source.read(counts or ExampleCounts())]


@pytest.mark.parametrize("given", ["names", "names/*.txt"])
def test_a_file_is_a_class_and_a_line_a_document(given: str, tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    expected = [("Alf", "Old English"), ("Adam", "Russian"), ("Bogdan", "Russian")]
    assert read(f"{tmp_path}/{given}") == expected
    assert read(f"{tmp_path}/names/Russian.txt") == expected[1:]


def test_a_folder_is_a_class_and_a_file_a_document(tmp_path: Path) -> None:
    write_files(tmp_path, {**FOLDERS, "reviews/good/0.txt": ""})
    counts = ExampleCounts()
    expected = [("Three", "bad"), ("Four", "bad"), ("One\ntwo", "good")]
    assert read(f"{tmp_path}/reviews", counts=counts) == expected
    assert (counts.read, counts.dropped) == (4, {"empty": 1})
    by_line = read(f"{tmp_path}/reviews", documents="line")
    assert by_line == [("Three", "bad"), ("Four", "bad"), ("One", "good"), ("two", "good")]


def test_packed_files_and_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "ru.txt.gz").write_bytes(gzip.compress("мир\n".encode("cp1251")))
    assert read(str(tmp_path), encoding="cp1251") == [("мир", "ru")]
    counts = ExampleCounts()
    assert read(str(tmp_path), counts=counts, errors="replace") == [("\ufffd\ufffd\ufffd", "ru")]
    assert counts.notes == ["ru.txt.gz: bytes that are not UTF-8 were replaced by U+FFFD 3 times"]


def test_a_long_file_is_one_document(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.txt": "x" * 2_500_000})
    assert [(len(text), label) for text, label in read(str(tmp_path))] == [(2_500_000, "a")]


def test_files_and_folders_together_need_a_word(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "one", "b/c.txt": "two"})
    with pytest.raises(SettingsError, match=r"a\.txt is in no folder of a class, and other files are"):
        read(str(tmp_path))
    assert read(str(tmp_path), label="file") == [("one", "a"), ("two", "c")]
    with pytest.raises(SettingsError, match=r"a\.txt is in no folder below its input"):
        read(str(tmp_path), label="folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="the folder is empty"):
        read(f"{tmp_path}/empty")
