"""Texts with a given label, on the command line and in Python: sample, eval, predict, explain, refusals."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

import charlm
from charlm.errors import OptionError, UsageError
from tests.label_runs import make_language_run, prepare_examples, train
from tests.processes import Commands

_VOWELS = {"alba": "a", "echo": "e", "iris": "i"}


def _words() -> Iterator[tuple[str, str]]:
    """Words whose vowels are those of their label."""
    chance = random.Random(1)
    for label, vowel in _VOWELS.items():
        for number in range(40):
            yield "".join(chance.choice("bdgklmnrst") + vowel for _ in range(2 + number % 2)), label


@pytest.fixture(scope="module")
def runs(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The runs `words` (given the label), `blind` (the same without it), and `classifier` of the same texts."""
    commands = Commands(charlm_server, tmp_path_factory.mktemp("generate"))
    rows = "".join(f"{text}\t{label}\n" for text, label in _words())
    (commands.folder / "words.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    prepare_examples(commands, "generate", "words.tsv", "words")
    prepare_examples(commands, "classify", "words.tsv", "labels")
    train(commands, "words", "--set", "training.max_steps=400", "--set", "model.body.hidden_size=24")
    train(commands, "words", "--set", "model.condition.type=none", name="blind")
    train(commands, "labels", name="classifier")
    return commands


def as_json(runs: Commands, *arguments: str) -> Any:
    return json.loads(runs.succeed(*arguments, "--json").stdout)


def test_the_label_decides_what_is_written(runs: Commands) -> None:
    for label, vowel in _VOWELS.items():
        drawn = as_json(runs, "sample", "words", "--label", label, "--count", "20", "--temperature", "0.5")
        assert drawn["label"] == label
        vowels = "".join(each["text"] for each in drawn["texts"])
        others = sum(vowels.count(other) for other in _VOWELS.values()) - vowels.count(vowel)
        assert vowels.count(vowel) > 5 * others
        assert all("\n" not in each["text"] and len(each["text"]) < 20 for each in drawn["texts"]), "a text is a word"
    one = runs.succeed("sample", "words", "--label", "iris", "--temperature", "0").stdout
    assert one == runs.succeed("sample", "words", "--label", "iris", "--beams", "1", "--temperature", "0").stdout
    assert "i" in runs.succeed("sample", "words", "--label", "iris", "--beams", "4").stdout
    assert "e" in runs.succeed("sample", "words", "--label", "echo", "--precision", "int8").stdout
    talk = runs("sample", "words", "--label", "iris", "--temperature", "0", "--interactive", stdin=b"\n\n/text\n")
    assert talk.stdout == 2 * one, "the text is written, and ends"
    assert "the text has ended" in talk.stderr
    only = runs.succeed("sample", "words", "--label", "alba", "--regex", "[a-z]{4}", "--prompt", "ba").stdout
    assert len(only.strip()) == 6


def test_the_score_is_that_of_each_document_with_its_label(runs: Commands) -> None:
    scored = as_json(runs, "eval", "words")
    blind = as_json(runs, "eval", "blind")
    assert scored["bits_per_character"] < blind["bits_per_character"] - 0.1
    assert scored["tokens"] == blind["tokens"]
    pair = as_json(runs, "eval", "words", "blind")
    assert pair["difference"]["bits"] == pytest.approx(scored["bits_per_character"] - blind["bits_per_character"])
    wrong = as_json(runs, "eval", "words", "--label", "iris")
    assert wrong["bits_per_character"] > scored["bits_per_character"]
    rows = as_json(runs, "compare", "words", "blind")["rows"]
    assert [round(row["bits_per_character"], 6) for row in rows] == [
        round(each["bits_per_character"], 6) for each in (scored, blind)
    ]
    runs.succeed("eval", "words", "--per-document", "documents.csv")
    lines = (runs.folder / "documents.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + scored_documents(runs)


def scored_documents(runs: Commands) -> int:
    metadata = json.loads((runs.folder / "data/words/corpus.json").read_text(encoding="utf-8"))
    return int(metadata["splits"]["test"]["documents"])


def test_a_text_is_scored_for_a_label(runs: Commands) -> None:
    (runs.folder / "text.txt").write_text("bagala", encoding="utf-8")
    bits = [
        as_json(runs, "eval", "words", "--text", "text.txt", "--label", label)["bits_per_character"]
        for label in _VOWELS
    ]
    assert min(bits) == bits[0]
    explained = as_json(runs, "explain", "words", "bagala", "--label", "alba")
    assert explained["bits_per_character"] == pytest.approx(bits[0], abs=1e-4)


def test_bayes_rule_makes_a_classifier_that_is_compared_with_others(runs: Commands) -> None:
    found = as_json(runs, "eval", "words", "--classify")
    assert found["accuracy"] > 0.9
    pair = as_json(runs, "eval", "words", "classifier", "--classify")
    assert pair["runs"][0]["accuracy"] == found["accuracy"]
    assert "accuracy" in pair["differences"]
    predicted = [
        json.loads(line) for line in runs.succeed("predict", "words", "dada", "kiki", "--top", "3").stdout.splitlines()
    ]
    assert [each["label"] for each in predicted] == ["alba", "iris"]
    assert sum(predicted[0]["labels"].values()) == pytest.approx(1, abs=1e-5)


def test_the_corpus_says_what_it_holds(runs: Commands) -> None:
    shown = runs.succeed("inspect", "data/words").stdout
    assert "Labels (3 in training" in shown
    assert "alba: " in shown
    assert "conditions.json" in {path.name for path in (runs.folder / "data/words").iterdir()}
    assert "uniform" in runs.succeed("baseline", "data/words").stdout
    runs.succeed("prepare", "--data", "words", "--vocab", "byte", "--workers", "1")
    train(runs, "words-byte")
    assert as_json(runs, "eval", "words-byte")["characters"] == as_json(runs, "eval", "words")["characters"]
    assert "finished" in runs.succeed("runs").stdout
    assert "damaged" not in runs.succeed("runs").stdout
    runs.succeed("report", "words", "blind", "--out", "report")


def test_an_interactive_text_has_one_label(runs: Commands) -> None:
    spoken = runs(
        "sample", "words", "--label", "iris", "--interactive", "--length", "6", stdin=b"ki\n/save chat\n/quit\n"
    )
    assert spoken.code == 0
    loaded = runs("sample", "words", "--label", "iris", "--interactive", stdin=b"/load chat\n/text\n/quit\n")
    assert "ki" in loaded.stdout
    other = runs("sample", "words", "--label", "echo", "--interactive", stdin=b"/load chat\n/quit\n")
    assert "belongs to another model" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("sample words", "words is given a label for each text, and there is none; give one with --label, such as"),
        ("sample words --label irsi", "there is no label 'irsi'; did you mean \"iris\"?"),
        ("sample classifier --label iris", "is no language model"),
        ("sample language --label iris", "--label has no effect: runs/language is given no label"),
        ("eval words --dynamic", "reads each document with its label"),
        ("eval words --streams 2", "--streams reads a text as one stream"),
        ("eval language --classify", "is a language model, and predicts no labels"),
        ("eval words --text words.tsv", "is given a label for each text"),
        ("eval words --classify --mix", "--mix is for language models"),
        ("tune words", "charlm tune reads a text as one stream"),
        ("explain words text", "is given a label for each text"),
        ("prepare --task generate --source text --input words.tsv --out data/no", "gives no labels for documents"),
        ("train --data words --out runs/no --set model.direction=both", "reads one way"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_cure(runs: Commands, arguments: str, error: str) -> None:
    if "language" in arguments and not (runs.folder / "runs/language").exists():
        make_language_run(runs)
    ended = runs(*arguments.split())
    assert ended.code == 2
    assert error in ended.stderr
    assert ended.stdout == ""


def test_the_python_face_gives_the_label_first(runs: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.folder)
    model = charlm.load("words")
    assert model.labels == tuple(_VOWELS)
    given = model.given("iris")
    assert "i" in given.sample("k", length=20, temperature=0.5)
    assert given.score("kiki").nats < model.given("echo").score("kiki").nats
    assert given.hidden("kiki").shape[0] == 4
    assert model.predict("kiki").labels[0].label == "iris"
    for call in (model.sample, lambda: model.score("x"), lambda: model.hidden("x")):
        with pytest.raises(UsageError, match="is given a label for each text"):
            call()
    with pytest.raises(UsageError, match="is given no label"):
        given.given("iris")
    with pytest.raises(UsageError, match="there is no label 'x'"):
        model.given("x")
    with pytest.raises(OptionError):
        model.given(3)  # pyright: ignore[reportArgumentType] - a user's mistake
