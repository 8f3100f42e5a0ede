"""Datasets of local files and of a local hub: rows become documents, failures become one sentence."""

import ast
import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charlm.errors import DataError, SettingsError, UsageError
from charlm.text.document import Document
from charlm.text.settings import HubSettings
from charlm.text.sources.hub.json_rows import read_json_rows
from charlm.text.sources.hub.source import HubSource
from tests.hub_server import HubDataset, HubServer

TEXTS = ["first\r\n\0 \u2028", "второй 🙂", "e\u0301"]
ROWS = [{"id": f"n{number}", "title": f"T{number}", "text": text} for number, text in enumerate(TEXTS)]


def source(*inputs: Path, **values: Any) -> HubSource:
    return HubSource(HubSettings(input=tuple(map(str, inputs)), **values))


def parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def arrow(rows: list[dict[str, Any]]) -> bytes:
    table = pa.Table.from_pylist(rows)
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


FORMATS = {
    "a.parquet": parquet(ROWS),
    "a.jsonl": jsonl(ROWS),
    "a.json": json.dumps(ROWS).encode(),
    "a.csv": b"id,title,text\n" + b"".join(f'{r["id"]},{r["title"]},"{r["text"]}"\n'.encode() for r in ROWS[1:]),
    "a.tsv": b"id\ttitle\ttext\n" + b"".join(f"{r['id']}\t{r['title']}\t{r['text']}\n".encode() for r in ROWS[1:]),
    "a.arrow": arrow(ROWS),
}


@pytest.mark.parametrize("name", FORMATS)
def test_local_files_of_every_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FORMATS[name])
    reader = source(path)
    assert reader.download_plan() is None
    documents = list(reader.documents())
    assert documents == [Document(r["id"], r["title"], r["text"]) for r in (ROWS[1:] if "sv" in name else ROWS)]
    assert reader.page_counts.pages == len(documents)
    assert reader.resolved_settings() == {}
    origin = reader.origin()
    assert origin["files"][0]["bytes"] == len(FORMATS[name])
    assert str(tmp_path) not in str(origin)


def test_columns_are_found_or_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet([{"url": "u", "body": "text", "n": 7}, {"url": None, "body": "", "n": 8}]))
    reader = source(path, column="body")
    assert list(reader.documents()) == [Document("0", "", "text", "u")]
    assert reader.page_counts.dropped == {"empty": 1}
    assert list(source(path, column="body", id_column="n", title_column="n", url_column="n").documents()) == [
        Document("7", "7", "text", "7")
    ]
    with pytest.raises(SettingsError, match=r"column = 'text': the dataset has no such column; there are url, body, n"):
        list(source(path).documents())
    with pytest.raises(SettingsError, match=r"title_column = 'bodi'.*did you mean \"body\""):
        list(source(path, column="body", title_column="bodi").documents())


@pytest.mark.parametrize("value", [7, ["a"], {"a": "b"}, True])
@pytest.mark.parametrize(("name", "write"), [("a.parquet", parquet), ("a.jsonl", jsonl), ("a.arrow", arrow)])
def test_a_value_that_is_no_text_is_named_with_its_row(
    tmp_path: Path, name: str, write: Callable[[list[dict[str, Any]]], bytes], value: object
) -> None:
    path = tmp_path / name
    path.write_bytes(write([{"text": None}, {"text": value}]))
    with pytest.raises(DataError, match=r"row 1 has .*, which is not text,"):
        list(source(path).documents())


def test_lone_surrogates_are_refused_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good \\ud83d\\ude42"}\n\n{"text": "b\\ud800d \\udfff"}\n')
    with pytest.raises(DataError, match="row 1 has a lone surrogate"):
        list(source(path).documents())
    reader = source(path, errors="replace")
    assert [document.text for document in reader.documents()] == ["good 🙂", "b\ufffdd \ufffd"]
    assert reader.page_counts.notes == ["row 1: 2 lone surrogates were replaced by U+FFFD"]
    path.write_bytes(b'[{"text": "b\\ud800"}]')
    assert [d.text for d in source(path.rename(tmp_path / "a.json"), errors="replace").documents()] == ["b\ufffd"]


def test_max_characters_stops_after_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet([{"text": "x" * 10}] * 100))
    reader = source(path, max_characters=25)
    assert len(list(reader.documents())) == 3
    assert reader.page_counts.notes == ["reading stopped after 30 characters (max_characters)"]


def test_a_long_text_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet([{"text": "x" * 2_500_000}, {"text": "y"}]))
    pieces = [(d.id, len(d.text), d.is_last_piece) for d in source(path).documents()]
    assert pieces == [("0", 1_000_000, False), ("0", 1_000_000, False), ("0", 500_000, True), ("1", 1, True)]


def test_a_folder_is_a_dataset(tmp_path: Path) -> None:
    import datasets

    (tmp_path / "plain/data").mkdir(parents=True)
    (tmp_path / "plain/data/train-0.jsonl").write_bytes(jsonl(ROWS))
    (tmp_path / "plain/data/test-0.jsonl").write_bytes(jsonl(ROWS[:1]))
    datasets.disable_progress_bars()
    stored = datasets.Dataset.from_list(ROWS)
    stored.save_to_disk(tmp_path / "single")
    datasets.DatasetDict({"train": stored, "other": stored}).save_to_disk(tmp_path / "several")
    for name in ("plain", "single", "several"):
        assert [document.text for document in source(tmp_path / name).documents()] == TEXTS
    assert len(list(source(tmp_path / "plain", split="test").documents())) == 1
    for name, known in (("plain", "test"), ("several", "other")):
        with pytest.raises(SettingsError, match=rf"split.*none.*there are .*{known}"):
            list(source(tmp_path / name, split="none").documents())
    edited = source(tmp_path / "plain").fingerprint()
    (tmp_path / "plain/data/test-0.jsonl").write_bytes(jsonl(ROWS[:2]))
    assert source(tmp_path / "plain").fingerprint() != edited


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"PAR1 no"),
        ("a.jsonl", b'{"text": "a"\n'),
        ("a.arrow", b"x"),
        ("a.txt", b"text"),
        ("a.csv", b"\xff\n"),
    ],
)
def test_damaged_and_other_files_are_data_errors(
    tmp_path: Path, name: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name) as caught:
        list(source(tmp_path / name).documents())
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("suffix", "compress"), [("bz2", bz2.compress), ("xz", lzma.compress), ("gz", gzip.compress)])
def test_a_damaged_stream_of_a_packed_table_is_not_its_end(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a.csv.{suffix}"
    first, second = compress(b"text\na\n"), compress(b"b\n" * 2000)
    path.write_bytes(first + second)
    assert len(list(source(path).documents())) == 2001
    path.write_bytes(first + second[:-20] + b"x" * 20)
    with pytest.raises(DataError, match=path.name.replace(".", r"\.")):
        list(source(path).documents())


def test_objects_one_after_the_other_take_linear_time(tmp_path: Path) -> None:
    """Once, each of them copied the rest of the file."""
    (tmp_path / "a.json").write_text('{"text":\n"abc"} ' * 120_000, encoding="utf-8")
    start = time.process_time()
    assert len(list(read_json_rows(tmp_path / "a.json"))) == 120_000
    assert time.process_time() - start < 5


def test_inputs_that_do_not_fit_together(tmp_path: Path) -> None:
    for name in ("a.parquet", "a.jsonl"):
        (tmp_path / name).write_bytes(FORMATS[name])
    with pytest.raises(DataError, match="not dataset files of one format"):
        list(source(tmp_path / "a.parquet", tmp_path / "a.jsonl").documents())
    with pytest.raises(UsageError, match="one folder"):
        source(tmp_path, tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match="no file"):
        source(tmp_path / "absent.parquet")


# --- a hub -----------------------------------------------------------------------------------------------------------

CONFIGS = ("20220301.simple", "20231101.simple", "20231101.de")
_PROGRAM = """
import ast, sys
from charlm.errors import CharlmError
from charlm.text.build import build_source
from charlm.text.settings import HubSettings
for values in ast.literal_eval(sys.argv[1]):
    source = build_source(HubSettings(**values))
    try:
        source.download_plan()
        texts = [document.text for document in source.documents()]
        print({"texts": texts, "origin": source.origin(), "resolved": source.resolved_settings()})
    except CharlmError as error:
        print({"error": type(error).__name__, "message": str(error), "exit": error.exit_code})
print({"torch": "torch" in sys.modules})
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        card = "---\nlicense:\n- cc-by-sa-3.0\n- gfdl\nconfigs:\n" + "".join(
            f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/*\n" for name in CONFIGS
        )
        files = {f"{name}/train-0.parquet": parquet([{"id": 5, "text": f"text of {name}"}]) for name in CONFIGS}
        server.datasets["wikimedia/wikipedia"] = HubDataset({"README.md": f"{card}---\n".encode(), **files})
        server.datasets["owner/plain"] = HubDataset({"data.jsonl": jsonl(ROWS)})
        server.datasets["owner/gated"] = HubDataset(refused=(401, "GatedRepo"))
        yield server


def ask(url: str, home: Path, *settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Results of a fresh process for each of the settings: the client reads the hub's address when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, repr(settings)],
        env={**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home)},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    *answers, last = map(ast.literal_eval, done.stdout.splitlines())
    assert last == {"torch": False}
    return answers


def test_the_newest_wikipedia_at_a_pinned_commit(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.datasets["wikimedia/wikipedia"].commit
    pinned = {"revision": commit, "config": "20231101.simple"}
    newest, again, other, plain = ask(
        hub.url(), tmp_path,
        {}, pinned, {"language": "de", "streaming": False}, {"dataset": "owner/plain", "revision": "main"},
    )  # fmt: skip
    assert newest["texts"] == ["text of 20231101.simple"]
    assert newest["resolved"] == pinned
    assert again == newest
    assert newest["origin"] == {
        "source": "hub", "name": "wikimedia/wikipedia", "config": "20231101.simple", "split": "train", "column": "text",
        "revision": commit, "urls": [f"https://huggingface.co/datasets/wikimedia/wikipedia/tree/{commit}"],
        "licence": "cc-by-sa-3.0, gfdl",
    }  # fmt: skip
    assert other["texts"] == ["text of 20231101.de"]
    assert plain["texts"] == TEXTS
    assert plain["resolved"] == {"revision": hub.datasets["owner/plain"].commit, "config": ""}
    assert plain["origin"]["licence"] == ""


def test_what_the_hub_has_not_is_said_with_what_it_has(hub: HubServer, tmp_path: Path) -> None:
    cases = [
        ({"config": "20231101.simpel"}, "SettingsError", "there are 20231101.simple"),
        ({"language": "deu"}, "SettingsError", "no language 'deu'; there are de"),
        ({"split": "tran"}, "SettingsError", 'did you mean "train"'),
        ({"revision": "v9"}, "SettingsError", "has no revision 'v9'"),
        ({"dataset": "not a name"}, "SettingsError", "write it like"),
        ({"dataset": "owner/absent"}, "NetworkError", "no dataset owner/absent"),
        ({"dataset": "owner/gated"}, "NetworkError", "accept its terms"),
    ]
    answers = ask(hub.url(), tmp_path, *(settings for settings, _, _ in cases))
    for answer, (_, kind, message) in zip(answers, cases, strict=True):
        assert answer["error"] == kind
        assert message in answer["message"]
        assert "\n" not in answer["message"]


def test_without_a_network(hub: HubServer, tmp_path: Path) -> None:
    """A downloaded dataset is read again at its commit; anything else fails at once with one sentence."""
    (online,) = ask(hub.url(), tmp_path, {"streaming": False})
    hub.__exit__(None, None, None)
    started = time.monotonic()
    absent, stream, stored = ask(
        hub.url(), tmp_path, {"dataset": "owner/plain"}, online["resolved"], {"streaming": False, **online["resolved"]}
    )
    assert time.monotonic() - started < 30
    for answer in (absent, stream):
        assert (answer["error"], answer["exit"]) == ("NetworkError", 4)
        assert "check the network" in answer["message"]
    assert stored == online
