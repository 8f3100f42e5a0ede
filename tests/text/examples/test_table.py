"""Tables: every format, columns by name and number, and what is said about bad rows."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charlm.errors import CharlmError, DataError, SettingsError, UsageError
from charlm.text.examples.example import Example, ExampleCounts, TargetKind
from charlm.text.examples.settings import TableSettings
from charlm.text.examples.table import TableSource

Rows = list[dict[str, Any]]
ROWS: Rows = [{"text": 'He said "hi"', "label": "greeting"}, {"text": "Съешь ещё", "label": "request"}]


def write_csv(path: Path) -> None:
    path.write_text('text,label\n"He said ""hi""",greeting\nСъешь ещё,request\n', encoding="utf-8")


def write_tsv(path: Path) -> None:
    path.write_text('text\tlabel\r\nHe said "hi"\tgreeting\r\nСъешь ещё\trequest', encoding="utf-8")


def write_json_lines(path: Path) -> None:
    path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")


def write_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


def write_arrow(path: Path) -> None:
    rows = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)


def packed(write: Callable[[Path], None], compress: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write_packed(path: Path) -> None:
        write(path)
        path.write_bytes(compress(path.read_bytes()))

    return write_packed


FORMATS: dict[str, Callable[[Path], None]] = {
    "a.csv": write_csv,
    "a.tsv": write_tsv,
    "a.jsonl": write_json_lines,
    "a.ndjson": write_json_lines,
    "a.json": write_json,
    "a.parquet": write_parquet,
    "a.arrow": write_arrow,
    "a.csv.gz": packed(write_csv, gzip.compress),
    "a.tsv.bz2": packed(write_tsv, bz2.compress),
    "a.jsonl.xz": packed(write_json_lines, lzma.compress),
}


def read(
    path: Path, target: TargetKind = "label", counts: ExampleCounts | None = None, **settings: Any
) -> list[Example]:
    source = TableSource(TableSettings(input=(str(path),), **settings), target)
    return list(source.read(counts or ExampleCounts()))


def put(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_examples(name: str, tmp_path: Path) -> None:
    FORMATS[name](tmp_path / name)
    found = read(tmp_path / name)
    assert [(example.text, example.label) for example in found] == [(row["text"], row["label"]) for row in ROWS]
    assert len({example.id for example in found}) == 2


@pytest.mark.parametrize(
    ("content", "settings", "expected"),
    [
        ("a\tx\nb\ty\n", {"text_column": "1", "label_column": "2"}, [("a", "x"), ("b", "y")]),
        ("a\tx\t9\nb\ty\t9\n", {"text_column": 2, "label_column": 1}, [("x", "a"), ("y", "b")]),
        ("word\tkind\na\tx\n", {"text_column": 1, "label_column": 2, "header": "yes"}, [("a", "x")]),
        ("kind\tword\nx\ta\n", {"text_column": "word", "label_column": "kind"}, [("a", "x")]),
        ('text\tlabel\n a \t x \n\n\'"\t"\n', {}, [(" a ", " x "), ("'\"", '"')]),
    ],
)
def test_columns_of_tsv(
    content: str, settings: dict[str, Any], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    found = read(put(tmp_path / "a.tsv", content), **settings)
    assert [(example.text, example.label) for example in found] == expected


def test_cells_of_csv_may_hold_lines_and_the_lines_are_counted(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", 'text,label\n"two\nlines, ""quoted""",x\n' + f"{'long ' * 40_000},y\nno label,\n")
    counts = ExampleCounts()
    found = read(path, counts=counts)
    assert [example.id for example in found] == ["a.csv:2", "a.csv:4"]
    assert [len(example.text) for example in found] == [len('two\nlines, "quoted"'), 200_000]
    assert counts.dropped == {"no label": 1}


def test_tags_as_lists_and_as_texts(tmp_path: Path) -> None:
    rows = [{"text": "ab c", "tags": ["X", None, None, 2]}, {"text": "ab c", "tags": "X _ _ 2"}]
    path = put(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [example.tags for example in read(path, "tags")] == [("X", None, None, "2")] * 2


def test_labels_of_other_types(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", "".join(f'{{"text": "a", "label": {label}}}\n' for label in ("3", "true", "0.5")))
    assert [example.label for example in read(path)] == ["3", "True", "0.5"]


def test_rows_that_say_nothing_are_counted(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "label": None}, {"text": "", "label": "x"}, {"label": "x"}, {"text": "b"},
        {"text": "c", "label": ""}, {"text": "d", "label": "y"}, {"text": "e", "label": float("nan")},
    ]  # fmt: skip
    counts = ExampleCounts()
    found = read(put(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))), counts=counts)
    assert [example.text for example in found] == ["d"]
    assert counts.dropped == {"no label": 4, "empty": 2}
    assert counts.read == 7
    counts = ExampleCounts()
    assert not read(put(tmp_path / "b.jsonl", '{"text": "ab", "tags": [null, null]}'), "tags", counts)
    assert counts.dropped == {"no tags": 1}


BAD: dict[str, tuple[str, str, dict[str, Any], type[CharlmError], str]] = {
    "no text column": ("a.tsv", "txt\tlabel\na\tx\n", {}, SettingsError, "a.tsv has no column 'text'.*mean \"txt\""),
    "no label column": ("a.tsv", "text\tlang\na\tx\n", {}, SettingsError, "no column 'label'.*--label-column"),
    "no column in json": ("a.jsonl", '{"text": "a"}\n', {}, SettingsError, "no column 'label'"),
    "too few cells": ("a.tsv", "text\tlabel\na\n", {}, DataError, r"a.tsv:2 has 1 cells, and the first line has 2"),
    "too many cells": ("a.csv", "text,label\na,b,c\n", {}, DataError, r"a.csv:2 has 3 cells.*double quotes"),
    "no such number": ("a.tsv", "a\n", {"text_column": 1, "label_column": 2}, DataError, "a.tsv:1 .* no column 2"),
    "number 0": ("a.tsv", "a\tb\n", {"text_column": 0, "label_column": 1}, SettingsError, "numbered from 1"),
    "number -1": ("a.tsv", "a\tb\n", {"text_column": 1, "label_column": -1}, SettingsError, "numbered from 1"),
    "name and number": ("a.tsv", "a\tb\n", {"label_column": 2}, SettingsError, "give numbers from 1"),
    "number in json": ("a.jsonl", "{}", {"text_column": 1, "label_column": 2}, SettingsError, "name the columns"),
    "a name twice": ("a.tsv", "text\ttext\na\tb\n", {}, DataError, "a.tsv:1 names a column twice"),
    "open quote": ("a.csv", 'text,label\n"a,x\n', {}, DataError, "a.csv:2 is not CSV"),
    "bad json": ("a.jsonl", '{"text": "a", "label": "x"}\n{"text"\n', {}, DataError, "line 2 of .*a.jsonl is not JSON"),
    "text is a number": ("a.jsonl", '{"text": 5, "label": "x"}', {}, DataError, r"a.jsonl:1 has 5, which is not text"),
    "several labels": ("a.jsonl", '{"text": "a", "label": ["x"]}', {}, DataError, "a.jsonl:1 has .* not one label"),
    "surrogate": ("a.jsonl", '{"text": "\\ud800", "label": "x"}', {}, DataError, "a.jsonl:1 has a lone surrogate"),
    "not utf-8": ("a.tsv", "", {}, DataError, "is not UTF-8: byte 0xff at offset 13"),
    "unknown suffix": ("a.doc", "text\tlabel\n", {}, DataError, "not dataset files"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables(case: str, tmp_path: Path) -> None:
    name, content, settings, error, message = BAD[case]
    path = put(tmp_path / name, content)
    if case == "not utf-8":
        path.write_bytes(b"text\tlabel\na\t\xff\n")
    with pytest.raises(error, match=message):
        read(path, **settings)


BAD_TAGS = {
    '{"text": "abc", "tags": ["X"]}': r"a.jsonl:1 has 1 tags for 3 characters",
    '{"text": "abc", "tags": "X Y"}': r"a.jsonl:1 has 2 tags for 3 characters",
    '{"text": "abc", "tags": 3}': "a.jsonl:1 has 3 in the column 'tags'",
    '{"text": "a", "tags": [["X"]]}': "a.jsonl:1 has .* not a tag",
    '{"text": "a", "tags": ["\\udfff"]}': "a.jsonl:1 has a lone surrogate",
}


@pytest.mark.parametrize("content", BAD_TAGS)
def test_tags_that_do_not_fit(content: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=BAD_TAGS[content]):
        read(put(tmp_path / "a.jsonl", content), "tags")


def test_surrogates_are_replaced_on_request(tmp_path: Path) -> None:
    counts = ExampleCounts()
    path = put(tmp_path / "a.jsonl", '{"text": "a\\ud800", "label": "x"}')
    assert read(path, counts=counts, errors="replace")[0].text == "a\ufffd"
    assert counts.notes == [f"{path}:1: lone surrogates were replaced by U+FFFD"]


INPUTS: dict[str, tuple[dict[str, tuple[str, ...]], type[CharlmError], str]] = {
    "none": ({}, SettingsError, "has no input; give files with --input"),
    "missing": ({"input": ("b.tsv",)}, UsageError, "there is no file"),
    "url": ({"input": ("https://example.org/a.tsv",)}, UsageError, "is a URL, but --source table reads files"),
    "standard input": ({"input": ("-",)}, SettingsError, "does not read standard input"),
    "both": ({"input": ("a.tsv",), "train": ("a.tsv",)}, SettingsError, "--input and --train both give examples"),
    "train alone": ({"train": ("a.tsv",)}, SettingsError, "--train need --valid"),
    "test alone": ({"test": ("a.tsv",)}, SettingsError, "--test need --train and --valid"),
    "in two splits": ({"train": ("a.tsv",), "valid": ("a.tsv",)}, SettingsError, "a.tsv is in --train and in --valid"),
}


@pytest.mark.parametrize("case", INPUTS)
def test_inputs_that_make_no_corpus(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "a.tsv", "text\tlabel\na\tx\n")
    inputs, error, message = INPUTS[case]
    with pytest.raises(error, match=message):
        TableSource(TableSettings.model_validate(inputs), "label")
