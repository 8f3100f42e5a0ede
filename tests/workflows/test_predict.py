"""`charlm predict`, `eval` and `baseline` of labels and tags: order, formats, options, refusals."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from charlm.checkpoint import load_model
from charlm.evaluation.evaluate_labels import predict_examples
from charlm.training.run_directory import find_checkpoint
from charlm.workflows.evaluate_labels import decoder_of
from charlm.workflows.predict import Predictor
from charlm.workflows.predict_options import PredictOptions
from charlm.workflows.prediction import Query
from tests.label_runs import NUMBERS
from tests.processes import Commands


@pytest.fixture(scope="module")
def labels(labelled: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return labelled.within(shutil.copytree(labelled.folder, tmp_path_factory.mktemp("labels") / "folder"))


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_texts_are_labelled_in_their_order_whatever_the_blocks(labels: Commands) -> None:
    (labels.folder / "texts.txt").write_text("\n".join(reversed(NUMBERS)) + "\n\n", encoding="utf-8")
    found = lines(labels.succeed("predict", "labels", "--input", "texts.txt").stdout)
    assert [each["text"] for each in found] == NUMBERS[::-1]
    alone = lines(labels.succeed("predict", "labels", NUMBERS[7]).stdout)[0]
    assert alone["probability"] == pytest.approx(found[-8]["probability"], abs=1e-5)
    assert sum(each["label"] == ("even", "odd")[int(each["text"][-1]) % 2] for each in found) >= 54
    piped = labels("predict", "labels", stdin="\n".join(NUMBERS[:3]).encode())
    assert [each["text"] for each in lines(piped.stdout)] == NUMBERS[:3]
    table = lines(labels.succeed("predict", "labels", "--input", "numbers.tsv").stdout)
    assert [each["text"] for each in table] == NUMBERS


def test_options_of_labels(labels: Commands) -> None:
    both = lines(labels.succeed("predict", "labels", "number 8", "--top", "2").stdout)[0]
    assert sum(both["labels"].values()) == pytest.approx(1, abs=1e-5)
    only = lines(labels.succeed("predict", "labels", "number 8", "--labels", "odd").stdout)[0]
    assert (only["label"], only["probability"]) == ("odd", pytest.approx(1))
    assert lines(labels.succeed("predict", "labels", "number 8", "--threshold", "1").stdout)[0]["label"] is None
    flat = lines(labels.succeed("predict", "labels", "number 8", "--temperature", "100").stdout)[0]
    assert flat["probability"] == pytest.approx(0.5, abs=0.1)
    assert labels.succeed("predict", "labels", "a\tb", "--format", "tsv").stdout.count("\t") == 2
    assert "%" in labels.succeed("predict", "labels", "number 8", "--format", "text").stdout
    labels.succeed("predict", "labels", "number 8", "--out", "found.jsonl")
    assert lines((labels.folder / "found.jsonl").read_text(encoding="utf-8"))[0]["text"] == "number 8"


def test_words_are_tagged_as_they_are_scored(labels: Commands) -> None:
    found = labels.succeed("predict", "tags", "--input", "bank.conllu", "--format", "conllu").stdout
    rows = [line.split("\t") for line in found.splitlines() if line and not line.startswith("#")]
    assert [row[1] for row in rows][:4] == ["word0", "0", "word1", "1"]
    assert sum(row[3] == ("NOUN", "NUM")[index % 2] for index, row in enumerate(rows)) >= 110
    plain = lines(labels.succeed("predict", "tags", "word7 7").stdout)[0]
    assert [(start, end) for start, end, _, _ in plain["tags"]] == [(0, 5), (6, 7)]
    assert "[word7 NOUN]" in labels.succeed("predict", "tags", "word7 7", "--format", "text").stdout


def test_predictions_are_those_of_eval(labels: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(labels.folder)
    import torch

    from charlm.data.corpus import open_corpus

    loaded = load_model(find_checkpoint(Path("runs/labels")), torch.device("cpu"))
    examples = open_corpus(Path("data/labels")).open_examples("test")
    scored = {
        found.index: found.log_p_NL
        for found in predict_examples(loaded.model, examples, decoder_of(loaded, "labels"), device=torch.device("cpu"))
    }
    texts = [
        loaded.vocab.decode(examples.stream.tokens[start : end - 1])
        for start, end in zip(examples.starts, examples.ends, strict=True)
    ]
    predictor = Predictor(loaded, "labels", "cpu", PredictOptions(top=2))
    for index, found in enumerate(predictor.predict(map(Query, texts))):
        expected = scored[index][0]
        assert found.labels[0].probability == pytest.approx(float(torch.tensor(expected).exp().max()), abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "labels", "x", "--labels", "off"], "odd"),
        (["predict", "labels", "x", "--format", "xml"], "jsonl"),
        (["predict", "labels", "x", "--format", "conllu"], "another --format"),
        (["predict", "tags", "x", "--top", "2"], "leave --top out"),
        (["predict", "labels", "--input", "nowhere.txt"], "nowhere.txt"),
        (["predict", "labels", "--input", "numbers.tsv", "--text-column", "body"], "text, label"),
        (["sample", "labels"], "charlm predict"),
        (["eval", "labels", "--mix"], "language models"),
        (["train", "--data", "labels", "--out", "runs/x", "--set", "model.head.tied=true"], "tied=false"),
    ],
)
def test_wrong_requests(labels: Commands, arguments: list[str], message: str) -> None:
    assert message in labels.fail(2, *arguments)


def test_eval_and_baseline_print_figures(labels: Commands) -> None:
    score = labels.json("eval", "labels")
    assert score["labels"] == score["documents"] == sum(row["count"] for row in score["per_label"])
    assert score["intervals"]["accuracy"][0] <= score["accuracy"] <= score["intervals"]["accuracy"][1]
    assert 0 <= score["calibration"]["error"] <= 1
    assert "macro-F1" in labels.succeed("eval", "labels").stdout
    labels.succeed("eval", "labels", "--confusion", "counts.csv")
    header, *counts = (labels.folder / "counts.csv").read_text(encoding="utf-8").splitlines()
    assert set(header.split(",")) == {"label", "even", "odd"}
    assert sum(int(count) for line in counts for count in line.split(",")[1:]) == score["labels"]
    labels.succeed("eval", "tags", "--confusion", "counts.csv")
    assert "NOUN" in (labels.folder / "counts.csv").read_text(encoding="utf-8")
    link = labels.folder / "link.csv"
    link.symlink_to("counts.csv")
    labels.succeed("eval", "labels", "--confusion", "link.csv")
    assert link.is_symlink()
    assert "even" in (labels.folder / "counts.csv").read_text(encoding="utf-8")
    pair = labels.json("eval", "labels", "runs/labels")
    assert pair["differences"]["accuracy"]["difference"] == 0
    rows = labels.json("baseline", "labels")["rows"]
    assert [row["model"] for row in rows] == ["most-frequent", "5-grams-per-class", "logistic-regression"]
    assert "word-tags" in labels.succeed("baseline", "tags").stdout


def test_a_baseline_shows_labels_that_training_has_not_seen(labels: Commands) -> None:
    for name, label in (("train", ("x", "y")), ("valid", ("z", "z"))):
        rows = "".join(f"{name} {number}\t{label[number % 2]}\n" for number in range(20))
        (labels.folder / f"{name}.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    given = ("--train", "train.tsv", "--valid", "valid.tsv", "--workers", "1", "--out", "data/unseen")
    labels.succeed("prepare", "--task", "classify", "--source", "table", *given)
    assert " · - bits per label" in labels.succeed("baseline", "unseen", "--split", "valid").stdout


def test_a_run_of_labels_is_listed_with_its_own_figure(labels: Commands) -> None:
    listed = {each["name"]: each for each in labels.json("runs")["runs"]}["labels"]
    assert (listed["state"], listed["best_bits_per_character"]) == ("finished", None)
    assert 0 < listed["best_bits_per_label"] < 2
    assert "(label)" in labels.succeed("runs").stdout


def test_what_a_user_gets_wrong_at_the_input_is_said(labels: Commands) -> None:
    assert "runs/typo, so this is a text" in labels.succeed("predict", "runs/typo").stderr
    assert "no run 'typo'" in labels.fail(2, "predict", "typo", "--input", "numbers.tsv")
    assert "nothing to predict" in labels("predict", "labels", stdin=b"\n").stderr
    closed = labels("predict", "labels", closed=[0])
    assert (closed.code, "standard input is closed" in closed.error) == (2, True)
    invalid = labels("predict", "labels", stdin=b"number 1\nnumber \xff\n")
    assert invalid.code == 3
    assert "offset 16; convert it to UTF-8" in invalid.error
    for name, content in (("latin.csv", b"text\nnumber \xff\n"), ("latin.conllu", b"# text = \xff\n")):
        (labels.folder / name).write_bytes(content)
        error = labels.fail(3, "predict", "labels" if name.endswith("csv") else "tags", "--input", name)
        assert "convert it to UTF-8" in error
        assert "--errors" not in error
