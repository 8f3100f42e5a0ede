"""Text files are read exactly, or refused with the offset of the error."""

import bz2
import codecs
import gzip
import hashlib
import io
import itertools
import lzma
import os
import pickle
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm.errors import CharlmError, DataError, SettingsError, UsageError
from charlm.settings import single_value_layer, validate
from charlm.text.document import Document, PageCounts
from charlm.text.reading.decoding import Decoder
from charlm.text.reading.documents import read_documents, rechunk_text
from charlm.text.reading.inputs import check_input
from charlm.text.settings import TextSettings
from charlm.text.sources.text_files import TextSource
from tests.corpora import write_files

BOM = "\ufeff"


def source(*inputs: Path | str, **values: str) -> TextSource:
    return TextSource(TextSettings(input=tuple(map(str, inputs)), **values))  # pyright: ignore[reportArgumentType]


def texts(reader: TextSource) -> dict[str, str]:
    """Whole texts by id, put together from their pieces."""
    found: dict[str, str] = {}
    for document in reader.documents():
        found[document.id] = found.get(document.id, "") + document.text
    return found


@given(text=st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("\r\n\x00\ufeff\u2028\x85")))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_character_is_kept_but_one_leading_byte_order_mark(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    for content in (text, BOM + text):
        path.write_bytes(content.encode("utf-8"))
        found = [document.text for document in source(path).documents()]
        assert found == ([content.removeprefix(BOM)] if content.removeprefix(BOM) else [])


def test_a_folder_is_its_files_in_order_of_name(tmp_path: Path) -> None:
    names = ["b.txt", "a/z.txt", "a/y.md", "c/d/e", "a.txt"]
    write_files(tmp_path, {name: f"text of {name}" for name in names})
    reader = source(tmp_path)
    documents = list(reader.documents())
    assert [document.id for document in documents] == ["a/y.md", "a/z.txt", "a.txt", "b.txt", "c/d/e"]
    assert [document.title for document in documents] == ["y", "z", "a", "b", "e"]
    assert all(document.text == f"text of {document.id}" for document in documents)
    origin = reader.origin()
    assert origin["files"] == [
        {
            "name": document.id,
            "bytes": len(document.text),
            "sha256": hashlib.sha256(document.text.encode()).hexdigest(),
        }
        for document in documents
    ]
    assert (origin["source"], origin["fingerprint"]) == ("text", reader.fingerprint())


def test_inputs_are_read_in_the_order_given(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "A", "b.txt": "B"})
    assert [d.text for d in source(tmp_path / "b.txt", tmp_path / "a.txt").documents()] == ["B", "A"]


def test_empty_files_are_counted_as_dropped(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": "text", "b": "", "c": BOM})
    reader = source(tmp_path)
    assert len(list(reader.documents())) == 1
    assert reader.page_counts.pages == 3
    assert reader.page_counts.dropped == {"empty": 2}


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


def test_globs_are_the_files_that_fit(tmp_path: Path) -> None:
    write_files(tmp_path / "data", {"b.txt": "B", "a.txt": "A", "c.md": "C", "deep/er/d.txt": "D", "[1].txt": "one"})
    assert texts(source(tmp_path / "data/*.txt")) == {"[1].txt": "one", "a.txt": "A", "b.txt": "B"}
    assert list(texts(source(tmp_path / "data/**/[ad].txt"))) == ["a.txt", "deep/er/d.txt"]
    assert list(texts(source(tmp_path / "data/**"))) == ["[1].txt", "a.txt", "b.txt", "c.md", "deep/er/d.txt"]
    assert texts(source(tmp_path / "data/[1].txt")) == {"[1].txt": "one"}
    with pytest.raises(UsageError, match="no file matches"):
        source(tmp_path / "data/*.rst")


@pytest.mark.parametrize("kind", ["text", "books"])
def test_a_url_names_the_source_that_reads_files(kind: str) -> None:
    with pytest.raises(UsageError, match=f"is a URL, but --source {kind} reads files; download it"):
        check_input("https://example.org/a.txt", kind)


def test_equal_names_in_two_folders_are_two_documents(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/x.txt": "A", "b/x.txt": "B"})
    assert texts(source(tmp_path / "b/x.txt", tmp_path / "a/x.txt")) == {"x.txt": "B", "x.txt (2)": "A"}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("-", "stdin"),
        ("/d/war.txt", "war"),
        ("/d/war.txt.gz", "war"),
        ("/d/books/*.txt", "books"),
        ("/d/a/**/b*/c", "a"),
    ],
)
def test_a_corpus_is_named_after_its_first_input(given: str, name: str) -> None:
    assert TextSettings(input=(given,)).name == name


# --- documents -------------------------------------------------------------------------------------------------------


def test_a_document_for_each_line_or_block(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\r\n \t\ntwo\rtoo\u2028\x85\n\n\nthree\nfour\r\nfive\r".encode())
    lines = source(tmp_path / "a.txt", documents="line")
    assert texts(lines) == {
        "a.txt:1": "one", "a.txt:3": "two\rtoo\u2028\x85", "a.txt:6": "three", "a.txt:7": "four", "a.txt:8": "five\r",
    }  # fmt: skip
    assert lines.page_counts == PageCounts(pages=5)
    blocks = source(tmp_path / "a.txt", documents="block")
    assert texts(blocks) == {
        "a.txt:1": "one", "a.txt:2": "two\rtoo\u2028\x85", "a.txt:3": "three\nfour\r\nfive\r",
    }  # fmt: skip
    assert blocks.page_counts == PageCounts(pages=3)


def lines_of(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.split("\n")[:-1]] + text.split("\n")[-1:]


@given(
    text=st.text(st.sampled_from("a b\t\r\n\u2028é"), max_size=80),
    cuts=st.lists(st.integers(0, 80), max_size=8),
)
def test_lines_and_blocks_do_not_depend_on_how_the_text_comes(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    fragments = [text[start:end] for start, end in itertools.pairwise(edges)]
    lines = [document.text for document in read_documents("a", "a", fragments, "line", PageCounts())]
    assert lines == [line for line in lines_of(text) if line.strip(" \t")]
    blocks = list(read_documents("a", "a", fragments, "block", PageCounts()))
    assert [document.id for document in blocks] == [f"a:{number + 1}" for number in range(len(blocks))]
    assert blocks == list(read_documents("a", "a", [text], "block", PageCounts()))
    assert [line for block in blocks for line in lines_of(block.text)] == lines


@given(fragments=st.lists(st.text("ab", max_size=9)), size=st.integers(1, 7))
def test_pieces_are_full_but_the_last(fragments: list[str], size: int) -> None:
    pieces = list(rechunk_text(fragments, size))
    assert "".join(text for text, _ in pieces) == "".join(fragments)
    assert [is_last for _, is_last in pieces] == [False] * (len(pieces) - 1) + [True] * bool(pieces)
    assert all(len(text) == size for text, is_last in pieces if not is_last)
    assert all(0 < len(text) <= size for text, _ in pieces)


@pytest.mark.parametrize("unit", ["file", "block", "line"])
def test_a_long_text_comes_in_pieces(tmp_path: Path, unit: str) -> None:
    long = "é" * 999_999 + "\r" + "z" * 1_000_000  # the end of a piece looks like half of a line's end
    (tmp_path / "a.txt").write_bytes(f"{long}\r\n".encode())
    documents = list(source(tmp_path, documents=unit).documents())
    assert [document.is_last_piece for document in documents] == [False] * (len(documents) - 1) + [True]
    assert max(len(document.text) for document in documents) == 1_000_000
    assert len({document.id for document in documents}) == 1
    assert "".join(document.text for document in documents) == long + ("\r\n" if unit == "file" else "")


# --- encodings -------------------------------------------------------------------------------------------------------

ENCODINGS = {
    "cp1251": "Привет, мир", "koi8-r": "Привет", "utf-16": "é🙂", "utf-16-le": "é🙂", "utf-16-be": "é🙂",
    "utf-32": "é🙂", "utf-8-sig": "é", "shift_jis": "日本語", "gb18030": "漢字🙂é", "euc-kr": "한국어", "big5": "漢字",
    "iso2022_jp": "日本", "latin-1": "ÿþé", "utf-7": "é🙂",
}  # fmt: skip


@pytest.mark.parametrize(("encoding", "text"), ENCODINGS.items())
def test_any_encoding_is_read_exactly(tmp_path: Path, encoding: str, text: str) -> None:
    content = f"{text}\r\n\0{text}"
    (tmp_path / "a.txt").write_bytes(content.encode(encoding))
    assert texts(source(tmp_path, encoding=encoding)) == {"a.txt": content}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-16", "utf-32", "utf-8-sig"])
def test_one_leading_byte_order_mark_is_dropped(tmp_path: Path, encoding: str) -> None:
    marked = ("" if encoding in ("utf-16", "utf-32", "utf-8-sig") else BOM) + f"{BOM}text{BOM}"
    (tmp_path / "a.txt").write_bytes(marked.encode(encoding))
    assert texts(source(tmp_path, encoding=encoding)) == {"a.txt": f"{BOM}text{BOM}"}


@given(data=st.data(), encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-be", "utf-32", *list(ENCODINGS)[7:11]]))
def test_chunks_of_any_size_decode_as_the_whole(data: st.DataObject, encoding: str) -> None:
    """The exact text, or the exact offset of invalid bytes; with `replace`, the exact text too."""
    good = ENCODINGS.get(encoding, "é🙂漢")
    parts = st.lists(st.binary(max_size=3) | st.sampled_from([c.encode(encoding, "ignore") for c in good]), max_size=12)
    mark = codecs.BOM_UTF16_LE if encoding == "utf-16" else codecs.BOM_UTF32_LE if encoding == "utf-32" else b"..."
    content = mark + b"".join(data.draw(parts))
    size = data.draw(st.integers(1, 5))
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    try:
        expected = content.decode(encoding)
    except UnicodeDecodeError as error:
        with pytest.raises(DataError, match=f"byte {content[error.start]:#04x} at offset {error.start};"):
            list(Decoder(encoding).decode("a", chunks))
    else:
        assert "".join(Decoder(encoding).decode("a", chunks)) == expected
    replacing = Decoder(encoding, "replace")
    assert "".join(replacing.decode("a", chunks)) == content.decode(encoding, "replace")


def test_the_offset_is_exact_far_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("é".encode() * 700_001 + b"\xe2\x82" + b"z" * 300_000)
    with pytest.raises(DataError, match="byte 0xe2 at offset 1400002"):
        list(source(tmp_path).documents())


def test_replaced_bytes_are_counted_and_noted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\xffb\xe2\x82 \xef\xbf\xbd")
    reader = source(tmp_path, errors="replace")
    assert texts(reader) == {"a.txt": "a\ufffdb\ufffd \ufffd"}
    assert reader.page_counts.notes == ["a.txt: bytes that are not UTF-8 were replaced by U+FFFD 2 times"]


def test_utf_16_without_a_mark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("text".encode("utf-16-le"))
    with pytest.raises(DataError, match="BOM"):
        list(source(tmp_path, encoding="utf-16").documents())


@pytest.mark.parametrize(
    "name", ["klingon", "hex", "rot13", "base64", "punycode", "unicode_escape", "a\0b", "undefined"]
)
def test_what_is_no_encoding_of_files_is_a_wrong_setting(name: str) -> None:
    with pytest.raises(SettingsError, match=r"encoding: .*cp1251"):
        validate(TextSettings, single_value_layer("encoding", name, "--set"))


# --- compressed and binary files -------------------------------------------------------------------------------------


def zipped(*contents: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.txt", content)
    return buffer.getvalue()


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": zipped}


@pytest.mark.parametrize(("kind", "pack"), PACKERS.items())
def test_packed_files_are_unpacked_and_damage_is_seen(
    tmp_path: Path, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    text = "".join(f"line {number * number}\r\n" for number in range(20_000))
    path = tmp_path / f"a.txt.{kind}"
    packed = pack(text.encode())
    path.write_bytes(packed)
    assert list(source(path).documents()) == [Document(f"a.txt.{kind}", "a", text)]
    for damaged in (packed[: len(packed) // 2], packed[:2000] + b"\xff\0\xff" + packed[2003:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.txt\."):
            list(source(path).documents())


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damage_of_any_method_in_a_zip_archive_is_seen(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.txt.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.txt", "".join(f"line {number * number}\n" for number in range(20_000)))
    packed = path.read_bytes()
    assert len(list(source(path).documents())) == 1
    path.write_bytes(packed[:100] + b"\xff" * 200 + packed[300:])
    with pytest.raises(DataError, match=r"a\.txt\.zip: corrupt zip archive"):
        list(source(path).documents())


@pytest.mark.parametrize("content", [b"BZh9 is how bz2 files begin", b"BZh", b"PK and PKK", b"ustar"])
def test_a_text_may_begin_like_a_packed_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert texts(source(tmp_path)) == {"a.txt": content.decode()}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
        (b"%PDF-1.7\n", "a PDF document"),
        pytest.param(zipped(b"a", b"b"), "an archive of 2 files", id="zip"),
        (gzip.compress(b"x" * 257 + b"ustar" + b"x" * 300, mtime=0), "a tar archive"),
        (gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "a gzip file"),
        (b"\x28\xb5\x2f\xfd\0", "a zstandard file"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=kind):
        list(source(tmp_path, encoding="latin-1", errors="replace").documents())


# --- standard input --------------------------------------------------------------------------------------------------


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_standard_input_is_read_once_in_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "A", "b.txt": "B"})
    give_stdin(monkeypatch, b"piped\r\n\0")
    reader = source(tmp_path / "b.txt", "-", tmp_path / "a.txt")
    assert [task.key is None for task in reader.tasks()] == [False, True, False], "the others may be kept"
    assert reader.fingerprint() is None
    assert [(d.id, d.text) for d in reader.documents()] == [("b.txt", "B"), ("stdin", "piped\r\n\0"), ("a.txt", "A")]
    entries = {entry["name"]: entry["sha256"] for entry in reader.origin()["files"]}
    assert entries["stdin"] == hashlib.sha256(b"piped\r\n\0").hexdigest()
    with pytest.raises(UsageError, match="was read before"):
        list(reader.documents())
    with pytest.raises(SettingsError, match="twice"):
        source("-", "-")


def test_standard_input_may_be_damaged_or_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for content, message in (
        (b"ab\xff", "standard input is not UTF-8: byte 0xff at offset 2"),
        (gzip.compress(b"text"), "standard input is a gzip file"),
    ):
        give_stdin(monkeypatch, content)
        with pytest.raises(DataError, match=message):
            list(source("-").documents())


# --- tasks -----------------------------------------------------------------------------------------------------------


def test_tasks_give_the_same_documents_and_know_the_content(tmp_path: Path) -> None:
    write_files(tmp_path, {f"{number:05d}.txt": f"text {number}" for number in range(1_500)})
    write_files(tmp_path, {"00700.txt": "x" * (17 << 20)})
    reader = source(tmp_path)
    tasks = list(reader.tasks())
    assert len(tasks) == 3
    page_counts = PageCounts()
    documents = [document for task in tasks for document in pickle.loads(pickle.dumps(task)).documents(page_counts)]
    assert documents == list(reader.documents())
    assert page_counts == reader.page_counts == PageCounts(pages=1_500)
    assert "files" not in reader.origin()
    assert reader.origin()["num_files"] == 1_500
    write_files(tmp_path, {"01400.txt": "text changed"})
    edited = source(tmp_path)
    same = [old.key == new.key for old, new in zip(tasks, edited.tasks(), strict=True)]
    assert same == [True, True, False]
    assert edited.fingerprint() != reader.fingerprint()
    assert [task.key for task in source(tmp_path, documents="line").tasks()] != [task.key for task in tasks]
    with pytest.raises(DataError, match=r"01400\.txt changed while it was read"):
        list(tasks[2].documents(PageCounts()))


@pytest.mark.parametrize("unit", ["file", "block", "line"])
def test_a_large_file_needs_little_memory(tmp_path: Path, unit: str) -> None:
    (tmp_path / "a.txt").write_bytes((b"0123456789abcde" * 1_000 + b"\n\n") * 2_000)
    tracemalloc.start()
    size = sum(len(document.text) for document in source(tmp_path, documents=unit).documents())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 2_000 * (15_002 if unit == "file" else 15_000)
    assert peak < 8 << 20
