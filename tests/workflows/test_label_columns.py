"""Texts with a label of each of several columns: prepare, train, sample, eval, explain, refusals."""

import json
import random
import re

import numpy as np
import pytest

import charlm
from charlm.errors import UsageError
from tests.label_runs import train
from tests.processes import Commands

_TABLE = "--label-column", "case", "--label-column", "letter"


@pytest.fixture(scope="module")
def runs(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A run `words` of words whose case and whose vowel are those of their labels."""
    commands = Commands(charlm_server, tmp_path_factory.mktemp("columns"))
    chance = random.Random(1)
    lines = ["text\tcase\tletter"]
    for number in range(240):
        case, vowel = ("upper", "lower")[number % 2], "ae"[number // 2 % 2]
        word = "".join(chance.choice("bdgkmnt") + vowel for _ in range(2 + number % 3))
        lines.append(f"{word.upper() if case == 'upper' else word}\t{case}\t{vowel if number % 40 else ''}")
    (commands.folder / "words.tsv").write_text("\n".join(lines), encoding="utf-8")
    commands.succeed("prepare", "--task", "generate", "--input", "words.tsv", *_TABLE, "--out", "data/words")
    train(commands, "words", "--set", "training.max_steps=400", "--set", "model.body.hidden_size=24")
    return commands


def test_each_label_decides_its_part(runs: Commands) -> None:
    for case, vowel in (("upper", "e"), ("lower", "a")):
        labels = "--label", f"letter={vowel}", "--label", f"case={case}"
        options = "--count", "20", "--temperature", "0.5", "--json"
        drawn = json.loads(runs.succeed("sample", "words", *labels, *options).stdout)
        assert drawn["label"] == [f"letter={vowel}", f"case={case}"]
        text = "".join(each["text"] for each in drawn["texts"])
        assert text.isupper() if case == "upper" else text.islower(), text
        assert text.lower().count(vowel) > 10 * text.lower().count("e" if vowel == "a" else "a")


def test_the_corpus_names_columns_and_counts_labels(runs: Commands) -> None:
    folder = runs.folder / "data/words"
    content = json.loads((folder / "conditions.json").read_text(encoding="utf-8"))
    assert content["labels"] == ["case=lower", "case=upper", "letter=a", "letter=e"]
    assert content["columns"] == ["case", "letter"]
    documents = len(np.load(folder / "train.documents.npy"))
    ids = np.load(folder / "train.conditions.npy").reshape(documents, 2)
    assert set(ids[:, 0].tolist()) == {0, 1}
    assert set(ids[:, 1].tolist()) == {-1, 2, 3}, "an empty cell is an unknown label"
    assert "letter=e" in runs.succeed("inspect", "data/words").stdout


def test_the_score_uses_the_labels_of_each_document(runs: Commands) -> None:
    own = json.loads(runs.succeed("eval", "words", "--json").stdout)
    wrong = "--label", "case=upper", "--label", "letter=e"
    other = json.loads(runs.succeed("eval", "words", *wrong, "--json").stdout)
    assert own["bits_per_character"] < other["bits_per_character"] - 0.5
    assert "bits" in runs.succeed("explain", "words", "BEDE", *wrong).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sample", "words"), "such as case=.* and letter="),
        (("sample", "words", "--label", "case=upper"), "one label of letter, and none is given"),
        (("sample", "words", "--label", "case=upper", "--label", "case=lower"), "of case, and 2 are given"),
        (("sample", "words", "--label", "case=uper", "--label", "letter=e"), "did you mean .*case=upper"),
        (("eval", "words", "--classify"), "only a single one can be recognised"),
        (("predict", "words", "BEDE"), "only a single one can be recognised"),
        (("prepare", "--task", "classify", "--input", "words.tsv", *_TABLE), "for --task generate"),
        (
            ("prepare", "--task", "generate", "--input", "words.tsv", *_TABLE[:3], "vowel", "--out", "x"),
            "no column 'vowel'",
        ),
    ],
)
def test_what_is_refused(runs: Commands, arguments: tuple[str, ...], words: str) -> None:
    assert re.search(words, runs.fail(2, *arguments))


def test_in_python(runs: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.folder)
    model = charlm.load("words")
    assert model.labels == ("case=lower", "case=upper", "letter=a", "letter=e")
    given = model.given("case=upper", "letter=e")
    assert given.score("BEDE").nats < model.given("case=lower", "letter=a").score("BEDE").nats
    with pytest.raises(UsageError, match="one label of letter"):
        model.given("case=upper")


def test_a_column_without_labels_is_refused(runs: Commands) -> None:
    lines = "".join(f"word{number}\t{number % 2}\t\n" for number in range(60))
    (runs.folder / "empty.tsv").write_text("text\tcase\tletter\n" + lines, encoding="utf-8")
    arguments = "prepare", "--task", "generate", "--input", "empty.tsv", *_TABLE, "--out", "data/empty"
    assert "no training example has a label in the column 'letter'" in runs.fail(3, *arguments)
