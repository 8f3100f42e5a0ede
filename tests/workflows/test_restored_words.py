"""Restored words in `charlm eval`, `baseline` and `compare` are those that `charlm predict` restores."""

import json
import re

import pyarrow.parquet as pq
import pytest

from charlm.text.examples.reversible_changes import CHANGES
from tests.label_runs import train
from tests.processes import Commands


@pytest.fixture(scope="module")
def restoring(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A run that restores capital letters, after a little training."""
    commands = Commands(charlm_server, tmp_path_factory.mktemp("restoring"))
    lines = "".join(
        f"Anna sah {'Otto' if number % 3 else 'otto'} um 9 in bonn, Nr. {number}.\n" for number in range(120)
    )
    (commands.folder / "novel.txt").write_text(lines, encoding="utf-8")
    commands.succeed("prepare", "--source", "text", "--input", "novel.txt", "--workers", "1")
    derived = ("--task", "tag", "--source", "derived", "--input", "novel", "--change", "case")
    commands.succeed("prepare", *derived, "--workers", "1", "--out", "data/case")
    train(commands, "case", "--set", "training.max_steps=12")
    return commands


def test_the_words_of_eval_are_those_that_predict_restores(restoring: Commands) -> None:
    case = CHANGES["case"]
    documents = restoring.folder / "data/novel/documents"
    train_text = "".join(pq.read_table(path)["text"][0].as_py() for path in documents.glob("train-*"))
    carriers = {letter.lower() for letter in train_text if letter.isupper()}
    (text,) = [pq.read_table(path)["text"][0].as_py() for path in documents.glob("test-*")]
    changed, _, _ = case.change(text)
    restored = json.loads(restoring.succeed("predict", "case", changed).stdout)["restored"]
    spans = [found.span() for found in re.finditer(r"[^\W_]+", changed)]
    counted = [(start, end) for start, end in spans if carriers & set(changed[start:end])]
    right = sum(restored[start:end] == text[start:end] for start, end in counted)
    score = restoring.json("eval", "case")
    assert score["words"] == {"words": len(counted), "correct": right, "accuracy": right / len(counted)}
    assert 0 < right < len(counted)
    assert f"{len(counted):,}, of which" in restoring.succeed("eval", "case").stdout
    table = restoring.succeed("compare", "case", "--baselines").stdout
    assert "restored words" in table
    assert "word-restorations" in table
    rows = {row["model"]: row for row in restoring.json("baseline", "case")["rows"]}
    assert rows["word-restorations"]["words_accuracy"] > rows["most-frequent"]["words_accuracy"]
