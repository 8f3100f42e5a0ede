"""`charlm compare` of labels and tags: figures are those of eval, and differences are paired on the same documents."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.label_runs import make_language_run, prepare_examples, train
from tests.processes import Commands


@pytest.fixture(scope="module")
def labels(labelled: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """Runs of labels and tags, one of labels that has learned nothing, one of segments, and a language model."""
    commands = labelled.within(shutil.copytree(labelled.folder, tmp_path_factory.mktemp("labels") / "folder"))
    train(commands, "labels", "--set", "training.max_steps=1", "--set", "model.body.hidden_size=2", name="poor")
    sentences = (commands.folder / "bank.conllu").read_text(encoding="utf-8").strip().split("\n\n")
    documents = "".join(f"# newdoc id = {number}\n{text}\n\n" for number, text in enumerate(sentences))
    (commands.folder / "documents.conllu").write_text(documents, encoding="utf-8")
    prepare_examples(commands, "tag", "documents.conllu", "segments", "--annotation", "words")
    train(commands, "segments")
    make_language_run(commands)
    return commands


def test_figures_are_those_of_eval_and_of_the_training(labels: Commands) -> None:
    found = labels.json("compare", "poor", "labels")
    assert (found["split"], found["figure"]) == ("test", "accuracy")
    poor, good = found["rows"]
    score = labels.json("eval", "labels")
    assert good["accuracy"] == score["accuracy"]
    assert [good["low"], good["high"]] == score["intervals"]["accuracy"]
    assert [good["macro_f1_low"], good["macro_f1_high"]] == score["intervals"]["macro_f1"]
    assert good["bits_per_label"] == score["bits_per_label"]
    pair = labels.json("eval", "poor", "labels")["differences"]["accuracy"]
    assert poor["difference"] == pair["difference"] < 0
    assert (poor["difference_low"], poor["significant"]) == (pair["low"], pair["significant"])
    assert (good["best"], good["difference"], poor["best"]) == (True, None, False)
    text = (labels.folder / "runs/labels/metrics.jsonl").read_text(encoding="utf-8")
    log = [json.loads(line) for line in text.splitlines()]
    last = [line for line in log if line["kind"] == "train"][-1]
    assert (good["examples_seen"], good["characters_seen"]) == (last["tokens"], last["characters_seen"])
    assert poor["examples_seen"] < 48 < good["examples_seen"]


def test_baselines_are_compared_on_the_same_documents(labels: Commands) -> None:
    rows = labels.json("compare", "labels", "--baselines")["rows"]
    assert [row["model"] for row in rows][:3] == ["labels", "most-frequent", "5-grams-per-class"]
    alone = {row["model"]: row for row in labels.json("baseline", "labels")["rows"]}
    best = next(row for row in rows if row["best"])
    for row in rows[1:]:
        assert row["accuracy"] == alone[row["model"]]["accuracy"]
        if row["accuracy"] is not None and row is not best:
            assert row["difference"] == pytest.approx(row["accuracy"] - best["accuracy"])


def test_tables_of_labels_tags_and_segments(labels: Commands) -> None:
    table = labels.succeed("compare", "labels", "poor", "--csv", "table.csv").stdout
    assert "examples seen" in table
    assert "macro-F1" in table
    assert "segments F1" not in table
    assert "| best " in table
    with Path(labels.folder / "table.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["labels", "poor"]
    assert float(rows[1]["difference"]) < 0
    assert "bits per tag" in labels.succeed("compare", "tags").stdout
    found = labels.json("compare", "segments", "--baselines")
    assert found["figure"] == "segments_f1"
    assert [row["segments_f1"] for row in found["rows"] if row["best"]] == [
        max(row["segments_f1"] for row in found["rows"] if row.get("segments_f1") is not None)
    ]
    assert "segments F1" in labels.succeed("compare", "segments").stdout


def test_bars_are_drawn(labels: Commands) -> None:
    pytest.importorskip("matplotlib")
    for run in ("labels", "segments"):
        labels.succeed("compare", run, "--png", "bars.png")
        assert (labels.folder / "bars.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labels", "language"], "labels predicts labels or tags, and language is a language model"),
        (["language", "labels"], "name runs of one kind"),
        (["labels", "nowhere"], "nowhere"),
        (["labels", "--baselines", "--set", 'baselines=[{type="uniform"}]'], "--set is for language models"),
        (["labels", "--split", "nowhere"], "nowhere"),
    ],
)
def test_wrong_requests(labels: Commands, arguments: list[str], message: str) -> None:
    assert message in labels.fail(2, "compare", *arguments)


def test_runs_of_other_examples_are_not_compared(labels: Commands) -> None:
    assert "different examples" in labels.fail(3, "compare", "labels", "tags")
