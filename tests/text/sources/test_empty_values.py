"""Null, missing and empty values in datasets: such rows are counted, and other columns never matter."""

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

from charlm.errors import DataError, SettingsError
from charlm.text.build import build_source
from charlm.text.document import Document
from charlm.text.settings import HubSettings, MixSettings
from charlm.text.sources.hub.source import HubSource
from tests.processes import Commands

Rows = list[dict[str, Any]]


def table(rows: Rows) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def parquet(path: Path, rows: Rows) -> None:
    pq.write_table(table(rows), path)


def arrow_stream(path: Path, rows: Rows) -> None:
    content = table(rows)
    with pa.ipc.new_stream(str(path), content.schema) as writer:
        writer.write_table(content)


def arrow_file(path: Path, rows: Rows) -> None:
    content = table(rows)
    with pa.ipc.new_file(str(path), content.schema) as writer:
        writer.write_table(content)


def json_lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def json_list(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")


def json_indented(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, indent=2), encoding="utf-8")


def json_objects(path: Path, rows: Rows) -> None:
    path.write_text("\n".join(json.dumps(row, indent=1) for row in rows), encoding="utf-8")


def separated(path: Path, rows: Rows) -> None:
    separator = "\t" if path.suffix == ".tsv" else ","
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *(["" if row.get(name) is None else str(row[name]) for name in names] for row in rows)]
    path.write_text("".join(separator.join(line) + "\n" for line in lines), encoding="utf-8")


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "a.parquet": parquet, "stream.arrow": arrow_stream, "file.arrow": arrow_file, "a.jsonl": json_lines,
    "a.ndjson": json_lines, "list.json": json_list, "indented.json": json_indented, "objects.json": json_objects,
    "a.csv": separated, "a.tsv": separated,
}  # fmt: skip
every_format = pytest.mark.parametrize("name", WRITERS)


def source(*paths: Path, **values: Any) -> HubSource:
    return HubSource(HubSettings(input=tuple(map(str, paths)), **values))


def written(folder: Path, name: str, rows: Rows) -> Path:
    WRITERS[name](folder / name, rows)
    return folder / name


# Case -> rows, the ids and texts of the documents.
CASES: dict[str, tuple[Rows, list[tuple[str, str]]]] = {
    "null in the middle": ([{"text": "a"}, {"text": None, "n": 1}, {"text": "b"}], [("0", "a"), ("2", "b")]),
    "null first": ([{"text": None, "n": 1}, {"text": "a"}], [("1", "a")]),
    "null last": ([{"text": "a"}, {"text": None, "n": 1}], [("0", "a")]),
    "missing": ([{"n": 1}, {"text": "a", "n": 2}, {"n": 3}], [("1", "a")]),
    "empty": ([{"text": "", "n": 1}, {"text": "a", "n": 2}], [("1", "a")]),
    "every kind": (
        [{"text": "a"}, {"text": None, "n": 1}, {"n": 1}, {"text": "", "n": 1}, {"text": "b"}],
        [("0", "a"), ("4", "b")],
    ),
    "nulls beyond the first batch": (
        [{"text": "a"}] * 100 + [{"text": None, "n": 1}] * 100 + [{"text": "b"}],
        [*((str(number), "a") for number in range(100)), ("200", "b")],
    ),
    "the text begins beyond the first batch": ([{"n": 1}] * 200 + [{"text": "a"}], [("200", "a")]),
}


@every_format
@pytest.mark.parametrize("case", CASES)
def test_rows_without_text_are_counted_as_empty(case: str, name: str, tmp_path: Path) -> None:
    rows, expected = CASES[case]
    reader = source(written(tmp_path, name, rows))
    assert [(document.id, document.text) for document in reader.documents()] == expected
    assert reader.page_counts.pages == len(rows)
    assert reader.page_counts.dropped == {"empty": len(rows) - len(expected)}


@every_format
def test_columns_that_nobody_asked_for_never_matter(name: str, tmp_path: Path) -> None:
    rows: Rows = [{"text": f"t{number}", "all_null": None, "late": None} for number in range(300)]
    rows[-1]["late"] = "here"
    assert len(list(source(written(tmp_path, name, rows)).documents())) == 300


@pytest.mark.parametrize("name", [name for name in WRITERS if "json" in name or "sv" in name])
def test_columns_of_mixed_types_never_matter(name: str, tmp_path: Path) -> None:
    values = [1, "word", None, 2.5, True, *range(20_000), "late"]
    rows: Rows = [{"text": f"t{number}", "mixed": value} for number, value in enumerate(values)]
    if "json" in name:
        rows += [{"text": "list", "mixed": [1]}, {"text": "object", "mixed": {"a": None}}]
    assert len(list(source(written(tmp_path, name, rows)).documents())) == len(rows)


@every_format
def test_files_of_one_dataset_may_have_other_columns(name: str, tmp_path: Path) -> None:
    contents: list[Rows] = [
        [{"text": "a", "x": None}], [{"text": "b", "x": "word"}], [{"x": 5, "text": "c", "y": "new"}], [{"x": 1}],
    ]  # fmt: skip
    paths: list[Path] = []
    for number, rows in enumerate(contents):
        (tmp_path / str(number)).mkdir()
        paths.append(written(tmp_path / str(number), name, rows))
    reader = source(*paths)
    assert [(document.id, document.text) for document in reader.documents()] == [("0", "a"), ("1", "b"), ("2", "c")]
    assert reader.page_counts.dropped == {"empty": 1}


@every_format
@pytest.mark.parametrize("value", [None, ""])
def test_a_column_without_any_text_is_an_error_that_lists_the_columns(
    name: str, value: str | None, tmp_path: Path
) -> None:
    path = written(tmp_path, name, [{"text": value, "body": "words"}] * 3)
    with pytest.raises(DataError, match=r"'text' has no text in any of 3 rows; .*column=NAME; there are text, body"):
        list(source(path).documents())


def test_empty_rows_of_another_source_are_not_taken_for_own(tmp_path: Path) -> None:
    one = written(tmp_path, "a.jsonl", [{"text": None}, {"text": "a"}])
    two = written(tmp_path, "a.csv", [{"text": "b"}])
    mix = build_source(MixSettings(sources=tuple(HubSettings(input=(str(path),)) for path in (one, two))))
    assert [document.text for document in mix.documents()] == ["a", "b"]
    assert mix.page_counts.dropped == {"empty": 1}


@every_format
def test_a_column_that_no_row_has_is_an_error_that_suggests_one(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, name, [{"title": "T", "body": "words"}] * 3)
    with pytest.raises(SettingsError, match=r"column = 'text': the dataset has no such column; there are title, body"):
        list(source(path).documents())
    with pytest.raises(SettingsError, match=r'column = \'bodi\'.*did you mean "body"'):
        list(source(path, column="bodi").documents())
    with pytest.raises(SettingsError, match=r'id_column = \'titel\'.*did you mean "title"'):
        list(source(path, column="body", id_column="titel").documents())


@every_format
def test_rows_without_id_or_title_have_the_number_of_the_row(name: str, tmp_path: Path) -> None:
    rows: Rows = [
        {"id": "x", "title": "T", "url": "u", "text": "a"},
        {"id": None, "title": None, "url": None, "text": "b"},
    ]
    path = written(tmp_path, name, rows)
    assert list(source(path).documents()) == [Document("x", "T", "a", "u"), Document("1", "", "b", "")]
    if "sv" not in name:  # there, a null is an empty text
        with pytest.raises(DataError, match="row 1 has no value in the column 'id'"):
            list(source(path, id_column="id").documents())


@pytest.mark.parametrize("name", ["a.jsonl", "list.json", "a.csv", "a.tsv"])
@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_packed_files_are_read(name: str, suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    plain = written(tmp_path, name, [{"text": "a", "n": 1}, {"text": None, "n": 2}])
    packed = tmp_path / f"{name}{suffix}"
    packed.write_bytes(pack(plain.read_bytes()))
    assert list(source(packed).documents()) == list(source(plain).documents())
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(DataError, match=packed.name):
        list(source(packed).documents())


def test_cells_of_csv_are_the_text_that_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffid,text\n007,10\n,NA\n2.50,"null, ""quoted""\nline"\n3\n'.encode())
    reader = source(path)
    assert [(document.id, document.text) for document in reader.documents()] == [
        ("007", "10"), ("1", "NA"), ("2.50", 'null, "quoted"\nline'),
    ]  # fmt: skip
    assert reader.page_counts.dropped == {"empty": 1}


@pytest.mark.parametrize(
    "content",
    ["text\nhello, world\n", "text\nfine\nhello, world\n", "id,text\n1,a,b\n", 'text\n"not closed\n', "\xff\n"],
)
def test_csv_that_would_lose_text_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv"):
        list(source(path).documents())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"text": \n', "line 2 of .* is not JSON"),
        ('{"text": "a\n', "line 1 of .* is not JSON"),
        ('[{"text": "a"}', "is not JSON"),
        ('{"text": "a"}\n5\n', "has 5 instead of an object"),
        ('{"text": "a"} nonsense\n', "line 1 of .* is not JSON"),
        ('{"text": "a"}\nnull\n', "has None instead of an object"),
    ],
)
def test_what_is_not_json_is_named_with_its_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(source(path).documents())


@pytest.mark.real_data
def test_the_null_row_of_the_cases(shared_data: Path, commands: Commands) -> None:
    path = shared_data / "wikitext-cases/f11_null_row.jsonl"
    prepared = commands.json("prepare", "--source", "hub", "--input", str(path), "--out", "corpus")
    assert prepared["documents"]["dropped"] == {"empty": 1}
