"""Datasets of the hub with a column of labels: classes have their names, splits are taken over."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charlm.data.documents import read_parts
from charlm.errors import CharlmError, SettingsError, UsageError
from charlm.text.examples.example import ExampleCounts
from charlm.text.examples.hub_rows import HubExamples
from charlm.text.settings import HubSettings
from tests.conftest import Charlm
from tests.hub_server import HubDataset, HubServer

FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["bad", "good"], "_type": "ClassLabel"},
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "train": [{"text": f"text {number}", "label": number % 2} for number in range(8)] + [{"text": "?", "label": -1}],
    "validation": [{"text": "one", "label": 1}, {"text": "", "label": 0}, {"text": "two", "label": None}],
    "test": [{"text": "three", "label": 0}],
}


def parquet(rows: list[dict[str, Any]]) -> bytes:
    schema = pa.schema({"text": pa.string(), "label": pa.int64()})
    table = pa.Table.from_pylist(
        rows, schema.with_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        files = {f"data/{split}-0.parquet": parquet(rows) for split, rows in ROWS.items()}
        server.datasets["owner/reviews"] = HubDataset(files)
        yield server


def test_classes_and_splits_of_the_hub(hub: HubServer, charlm: Charlm, tmp_path: Path) -> None:
    names = ("dataset=owner/reviews", "valid_split=validation", "test_split=test")
    settings = [word for name in names for word in ("--set", f"corpus.source.{name}")]
    env = {"HF_ENDPOINT": hub.url(), "HF_HOME": str(tmp_path / "home")}
    done = charlm(
        *"prepare --task classify --source hub --label-column label --workers 1 --json".split(), *settings, env=env
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    directory = tmp_path / found["data"]
    texts = {
        split: [(part.document.text, part.label) for part in read_parts(directory / "documents", split)]
        for split in found["splits"]
    }
    assert texts["train"] == [(f"text {number}", "good" if number % 2 else "bad") for number in range(8)]
    assert (texts["valid"], texts["test"]) == ([("one", "good")], [("three", "bad")])
    assert found["documents"]["dropped"] == {"empty": 1, "no label": 2}
    assert found["origin"]["revision"] == hub.datasets["owner/reviews"].commit


def read(path: Path, target: Any = "label", counts: ExampleCounts | None = None, **settings: Any) -> list[Any]:
    source = HubExamples(HubSettings.model_validate({"input": (str(path),), **settings}), target)
    return [(example.text, example.label or example.tags) for example in source.read(counts or ExampleCounts())]


def test_a_folder_that_is_laid_out_as_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(parquet(ROWS["train"]))
    assert read(tmp_path, label_column="label")[:2] == [("text 0", "bad"), ("text 1", "good")]


def test_local_files(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"body": "ab", "tags": ["X", null], "n": 5}\n{"body": "cd", "n": 6}\n', encoding="utf-8")
    counts = ExampleCounts()
    assert read(path, "tags", counts, column="body", tags_column="tags") == [("ab", ("X", None))]
    assert counts.dropped == {"no tags": 1}
    assert read(path, column="body", label_column="n") == [("ab", "5"), ("cd", "6")]
    counts = ExampleCounts()
    assert read(path, counts=counts, column="body", label_column="n", max_characters=1) == [("ab", "5"), ("cd", "6")]
    assert counts.notes == ["reading stopped after 4 characters (max_characters)"]


WRONG: dict[str, tuple[dict[str, Any], type[CharlmError], str]] = {
    "no column named": ({}, SettingsError, "needs the column of the labels; name it with --label-column NAME"),
    "no such label": ({"label_column": "lang"}, SettingsError, r"has no column 'lang' \(corpus.source.label_column\)"),
    "no such text": ({"label_column": "n", "column": "bdy"}, SettingsError, 'did you mean "body"'),
    "test alone": ({"label_column": "n", "test_split": "test"}, SettingsError, "test_split needs .*valid_split"),
    "split of a file": ({"label_column": "n", "valid_split": "v"}, UsageError, "--source table --train FILE"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    settings, error, message = WRONG[case]
    (tmp_path / "rows.jsonl").write_text('{"body": "ab", "n": 5}', encoding="utf-8")
    arguments: dict[str, Any] = {"column": "body", **settings}
    with pytest.raises(error, match=message):
        read(tmp_path / "rows.jsonl", **arguments)
