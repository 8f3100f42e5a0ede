"""Text files are read as they are, character by character, or refused with the place."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm.errors import CharlmError, DataError, SettingsError, UsageError
from charlm.text.files import TextSource
from charlm.text.settings import TextSettings
from tests.corpora import write_files

BOM = "\ufeff"


def source(*inputs: Path) -> TextSource:
    return TextSource(TextSettings(input=tuple(map(str, inputs))))


@given(text=st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("\r\n\x00\ufeff\u2028\x85")))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_character_is_kept_but_one_leading_byte_order_mark(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    for content in (text, BOM + text):
        path.write_bytes(content.encode("utf-8"))
        texts = [document.text for document in source(path).documents()]
        assert texts == ([content.removeprefix(BOM)] if content.removeprefix(BOM) else [])


def test_a_folder_is_its_files_in_order_of_name(tmp_path: Path) -> None:
    names = ["b.txt", "a/z.txt", "a/y.md", "c/d/e", "a.txt"]
    write_files(tmp_path, {name: f"text of {name}" for name in names})
    reader = source(tmp_path)
    documents = list(reader.documents())
    assert [document.id for document in documents] == ["a/y.md", "a/z.txt", "a.txt", "b.txt", "c/d/e"]
    assert [document.title for document in documents] == ["y", "z", "a", "b", "e"]
    assert all(document.text == f"text of {document.id}" for document in documents)
    hashes = {name: hashlib.sha256(f"text of {name}".encode()).hexdigest() for name in names}
    assert reader.origin() == {"source": "text", "files": hashes}


def test_inputs_are_read_in_the_order_given(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "A", "b.txt": "B"})
    assert [d.text for d in source(tmp_path / "b.txt", tmp_path / "a.txt").documents()] == ["B", "A"]


def test_empty_files_are_counted_as_dropped(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": "text", "b": "", "c": BOM})
    reader = source(tmp_path)
    assert len(list(reader.documents())) == 1
    assert reader.census.pages == 3
    assert reader.census.dropped == {"empty": 2}


@pytest.mark.parametrize(
    ("content", "offset", "byte"),
    [(b"ab\xff", 2, "0xff"), (b"\xc3\xa9\xe2\x82", 2, "0xe2"), (b"\xed\xa0\x80", 0, "0xed")],
)
def test_what_is_not_utf_8_is_named_with_its_offset(tmp_path: Path, content: bytes, offset: int, byte: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.txt is not UTF-8: byte {byte} at offset {offset}"):
        list(source(tmp_path).documents())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.txt"):
        list(source(tmp_path / "missing.txt").documents())
    with pytest.raises(SettingsError, match="--input"):
        source()


def test_a_file_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("text", encoding="utf-8")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(DataError, match="UTF-8"):
        list(source(tmp_path).documents())


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux: a file that cannot be read")
def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(CharlmError, match="/proc/self/mem"):
        list(source(Path("/proc/self/mem")).documents())
