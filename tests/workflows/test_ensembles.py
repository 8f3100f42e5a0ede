"""Several runs that work as one model: language models, labels, and what is refused."""

import json
import math
import re
import shutil
from typing import Any

import pytest

from tests.label_runs import make_language_run, train
from tests.processes import Commands


@pytest.fixture(scope="module")
def runs(labelled: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """Two runs each of a language model, of labels and of tags, and a language model of another text."""
    commands = labelled.within(shutil.copytree(labelled.folder, tmp_path_factory.mktemp("ensembles") / "folder"))
    train(commands, "labels", "--set", "training.seed=1", "--set", "model.direction=both", name="labels2")
    train(commands, "tags", "--set", "training.seed=1", name="tags2")
    make_language_run(commands)
    train(commands, "novel", "--set", "training.seed=1", name="language2")
    train(commands, "novel", "--set", "model.direction=backward", name="backward")
    (commands.folder / "other.txt").write_text("number 1\n" * 300, encoding="utf-8")
    commands.succeed(
        "prepare",
        "--workers",
        "1",
        "--source",
        "text",
        "--input",
        "other.txt",
        "--vocab-from",
        "novel",
        "--out",
        "data/other",
    )
    train(commands, "other")
    return commands


def as_json(runs: Commands, *arguments: str) -> Any:
    return json.loads(runs.succeed(*arguments, "--json").stdout)


def test_tokens_have_the_mean_of_the_probabilities(runs: Commands) -> None:
    import pyarrow.csv

    nats = []
    for name in ("language", "language2"):
        runs.succeed("eval", name, "--per-token", f"{name}.csv")
        rows = pyarrow.csv.read_csv(runs.folder / f"{name}.csv").to_pylist()
        nats.append([row["bits"] * math.log(2) for row in rows])
    mean = [-math.log((math.exp(-a) + math.exp(-b)) / 2) for a, b in zip(*nats, strict=True)]
    together = as_json(runs, "eval", "language", "language2", "--ensemble")
    assert together["nats"] == pytest.approx(sum(mean), rel=1e-4)
    assert together["run"].count(" + ") == 1


@pytest.mark.parametrize("kind", ["labels", "tags"])
def test_labels_have_the_mean_of_the_probabilities(runs: Commands, kind: str) -> None:
    alone = [as_json(runs, "eval", name)["bits_per_label"] for name in (kind, f"{kind}2")]
    together = as_json(runs, "eval", kind, f"{kind}2", "--ensemble")
    assert together["bits_per_label"] < sum(alone) / 2, "the logarithm is concave"
    text = "number 7" if kind == "labels" else "word7 7"
    first, second, both = (
        json.loads(runs.succeed("predict", *names, text, "--format", "jsonl").stdout)
        for names in ((kind,), (f"{kind}2",), (kind, "--ensemble", f"{kind}2"))
    )
    if kind == "labels":
        label = both["label"]
        others = [
            each["probability"] if each["label"] == label else 1 - each["probability"] for each in (first, second)
        ]
        assert both["probability"] == pytest.approx(sum(others) / 2, abs=1e-6)
    else:
        assert [tag[:2] for tag in both["tags"]] == [tag[:2] for tag in first["tags"]]


@pytest.mark.parametrize(
    ("names", "code", "words"),
    [
        (("language",), 2, "name two runs or more"),
        (("language", "language"), 2, "a run is named twice"),
        (("language", "labels"), 2, "no common figure|different"),
        (("labels", "tags"), 3, "different (tasks|vocabularies|labels)"),
        (("language", "backward"), 3, "different directions"),
        (("language", "other"), 3, "scored on different texts"),
    ],
)
def test_what_does_not_fit_is_refused(runs: Commands, names: tuple[str, ...], code: int, words: str) -> None:
    assert re.search(words, runs.fail(code, "eval", *names, "--ensemble"))
