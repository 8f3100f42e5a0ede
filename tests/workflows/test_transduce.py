"""Transducers on the command line and in Python: eval, predict, sample, explain, refusals."""

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

import charlm
from charlm.errors import DataError, OptionError, UsageError
from tests.label_runs import make_label_runs, make_language_run, train
from tests.processes import Channel, Commands

_NAMES = {"a": "ei", "b": "bi", "c": "si", "d": "di"}
_SMALL = (
    "--set model.condition.type=source --set model.condition.encoder.body.hidden_size=16"
    " --set model.condition.encoder.embedding.size=8 --set model.condition.attention.type=monotonic"
    " --set model.condition.attention.size=16 --set model.body.hidden_size=24 --set model.embedding.size=8"
    " --set training.max_steps=250 --set training.validation_interval=125 --set training.batch_size=16"
    " --set training.select=accuracy"
).split()


def _words() -> list[str]:
    chance = random.Random(1)
    return sorted({"".join(chance.choices("abcd", k=chance.randint(2, 4))) for _ in range(240)})


def spelled(word: str) -> str:
    return " ".join(map(_NAMES.__getitem__, word))


@pytest.fixture(scope="module")
def runs(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The runs `one` and `two` of words that are spelled, and `blind`, which is not given the word.

    One word in three may be spelled in two ways.
    """
    commands = Commands(charlm_server, tmp_path_factory.mktemp("transduce"))
    rows = [(word, spelled(word), 1 + len(word)) for word in _words()]
    rows += [(word, spelled(word).replace("si", "see"), 0.5) for word in _words()[::3]]
    content = "".join(f"{word}\t{target}\t{weight}\n" for word, target, weight in rows)
    (commands.folder / "words.tsv").write_text(f"text\ttarget\tweight\n{content}", encoding="utf-8")
    commands.succeed(
        *"prepare --task transduce --input words.tsv --weight-column weight --out data/words --workers 1".split(),
        *"--vocab symbols --set corpus.vocab.min_count=1".split(),
    )
    train(commands, "words", *_SMALL, name="one")
    train(commands, "words", *_SMALL, "--set", "training.seed=2", "--set", "training.max_steps=30", name="two")
    blind = ("--set", "model.condition.type=none", "--set", "training.max_steps=30")
    train(commands, "words", "--set", "training.select=accuracy", *blind, name="blind")
    return commands


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def answers(runs: Commands, split: str = "test") -> dict[str, set[str]]:
    """Return the words of a split with the ways to spell them."""
    import pyarrow.parquet as pq

    found: dict[str, set[str]] = {}
    for row in pq.read_table(runs.folder / f"data/words/documents/{split}-00000.parquet").to_pylist():
        found.setdefault(row["text"], set()).add(row["target"])
    return found


# ---- eval


def test_the_score_is_that_of_the_texts_that_are_predicted(runs: Commands) -> None:
    right = answers(runs)
    (runs.folder / "test.txt").write_text("\n".join(right), encoding="utf-8")
    for run in ("one", "two"):
        scored = runs.json("eval", run)
        written = {
            each["text"]: each["target"] for each in lines(runs.succeed("predict", run, "--input", "test.txt").stdout)
        }
        correct = [written[word] in right[word] for word in right]
        assert (scored["sources"], scored["correct"]) == (len(right), sum(correct))
        assert scored["exact_match"] == 1 - scored["error_rate"] == pytest.approx(sum(correct) / len(right))
        assert scored["symbols"] == sum(len(word) for word in right), "between blanks"
        assert scored["symbols"] == scored["words_written_for"]
        mistakes = {each["source"]: each["written"] for each in scored["mistakes"]}
        assert len(mistakes) == min(10, correct.count(False))
        assert all(written[word] == text for word, text in mistakes.items())
        low, high = scored["intervals"]["exact_match"]
        assert low <= scored["exact_match"] <= high
    assert runs.json("eval", "one")["exact_match"] > 0.8


def test_what_eval_prints(runs: Commands) -> None:
    shown = runs.succeed("eval", "one").stdout
    for name in ("exact match", "by weight", "wrong texts", "symbol error rate", "bits per character"):
        assert name in shown
    assert "word error rate" not in shown, "a symbol is a word here"
    pair = runs.succeed("eval", "one", "two").stdout
    assert pair.count("exact match") == 3
    found = runs.json("eval", "one", "two")
    scores = [each["exact_match"] for each in found["runs"]]
    assert scores == [runs.json("eval", run)["exact_match"] for run in ("one", "two")]
    assert found["difference"]["difference"] == pytest.approx(scores[0] - scores[1])
    assert runs.json("eval", "blind")["bits_per_character"] > runs.json("eval", "one")["bits_per_character"]
    assert runs.json("eval", "one", "--split", "valid")["sources"] == len(answers(runs, "valid"))
    greedy = runs.json("eval", "one", "--beams", "1", "--length-penalty", "1")
    assert greedy["bits_per_character"] == runs.json("eval", "one")["bits_per_character"], "no search changes it"


def test_an_ensemble_averages_the_probabilities_of_tokens(runs: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    import torch

    from charlm.evaluation.score_documents import score_documents
    from charlm.nn.model import ConditionalModel
    from charlm.workflows.load_run import load_any_run, open_corpus_for

    monkeypatch.chdir(runs.folder)
    nats_MP: list[Any] = []
    for run in ("one", "two"):
        loaded, _ = load_any_run(run, None, "cpu")
        corpus = open_corpus_for(loaded, None)
        stream, sources = corpus.open("test"), corpus.open_sources("test")
        assert isinstance(loaded.model, ConditionalModel)
        nats_MP.append(score_documents(loaded.model, stream, sources, device=torch.device("cpu")))
    nats = -np.log(np.exp(-np.array(nats_MP, dtype=np.float64)).mean(0)).sum()
    found = runs.json("eval", "one", "two", "--ensemble")
    assert found["nats"] == pytest.approx(nats, rel=1e-5)
    assert found["run"] == "runs/one + runs/two"
    assert found["exact_match"] >= runs.json("eval", "two")["exact_match"]
    assert "one + runs/two" in runs.succeed("eval", "one", "two", "--ensemble").stdout
    assert "named twice" in runs.fail(2, "eval", "one", "one", "--ensemble")


# ---- predict


def test_texts_are_written_in_the_order_of_the_input(runs: Commands) -> None:
    words = [word * (1 + n % 2) for n, word in enumerate(_words()[::9])][::-1]
    found = runs("predict", "one", stdin=("\n\n".join(words) + "\n \n").encode())
    assert [each["text"] for each in lines(found.stdout)] == words
    alone = lines(runs.succeed("predict", "one", words[3]).stdout)[0]
    among = lines(found.stdout)[3]
    assert (alone["target"], alone["probability"]) == (among["target"], pytest.approx(among["probability"], abs=1e-5))
    table = lines(runs.succeed("predict", "one", "--input", "words.tsv").stdout)
    assert [each["text"] for each in table] == [*_words(), *_words()[::3]]
    assert sum(
        each["target"] in (spelled(each["text"]), spelled(each["text"]).replace("si", "see")) for each in table
    ) > 0.8 * len(table)
    empty = runs("predict", "one", stdin=b"\n\n")
    assert (empty.code, empty.stdout) == (0, "")
    assert "the input has no text" in empty.stderr


def test_several_texts_are_the_best_first(runs: Commands) -> None:
    for top in ("1", "3", "8"):
        (found,) = lines(runs.succeed("predict", "one", "cab", "--top", top).stdout)
        assert len(found["targets"]) == int(top), "with more than five, the search is wider"
        probabilities = [each["probability"] for each in found["targets"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) <= 1 + 1e-6
        assert found["target"] == found["targets"][0]["text"]
    wide, narrow = (lines(runs.succeed("predict", "two", "cab", "--beams", n).stdout)[0] for n in ("50", "1"))
    assert wide["probability"] >= narrow["probability"] - 1e-6
    long = lines(runs.succeed("predict", "two", "cab", "--length-penalty", "10").stdout)[0]
    assert len(long["target"]) >= len(wide["target"])


def test_formats(runs: Commands) -> None:
    word, text = "ba", lines(runs.succeed("predict", "one", "ba").stdout)[0]["target"]
    columns = runs.succeed("predict", "one", word, "--format", "tsv").stdout.rstrip("\n").split("\t")
    assert columns[:2] == [word, text]
    assert 0 < float(columns[2]) <= 1
    assert runs.succeed("predict", "one", word, "--format", "text").stdout == f"{word}\t{text}\n"
    several = runs.succeed("predict", "one", word, "--format", "text", "--top", "3").stdout
    assert several.startswith(f"{word}\t{text}\t")
    assert several.count("%") == 2
    runs.succeed("predict", "one", word, "--out", "found.jsonl")
    assert lines((runs.folder / "found.jsonl").read_text(encoding="utf-8"))[0]["target"] == text


def test_an_ensemble_writes_too(runs: Commands) -> None:
    (found,) = lines(runs.succeed("predict", "one", "cab", "--ensemble", "two").stdout)
    one, two = (lines(runs.succeed("predict", run, "cab").stdout)[0]["probability"] for run in ("one", "two"))
    assert not math.isclose(found["probability"], one, rel_tol=1e-3)
    assert not math.isclose(found["probability"], two, rel_tol=1e-3)


# ---- sample


def test_a_sample_is_written_for_the_source(runs: Commands) -> None:
    greedy = runs.succeed("sample", "one", "--source", "cab", "--temperature", "0").stdout
    assert greedy == "si ei bi\n"
    assert runs.succeed("sample", "one", "--source", "cab", "--beams", "4").stdout == greedy
    assert runs.succeed("sample", "one", "--source", "cab", "--temperature", "0", "--prompt", "si").stdout == greedy
    drawn = runs.json("sample", "one", "--source", "dd", "--count", "9", "--temperature", "0.3")
    assert drawn["source"] == "dd"
    assert [each["text"] for each in drawn["texts"]].count("di di") > 4
    only = runs.succeed(
        "sample", "one", "--source", "cab", "--regex", "(si|bi)( (si|bi)){2}", "--temperature", "0"
    ).stdout
    assert set(only.split()) <= {"si", "bi"}
    assert len(only.split()) == 3
    assert "di" in runs.succeed("sample", "one", "--source", "d", "--must-contain", "di").stdout
    assert runs.succeed("sample", "one", "--source", "ab", "--precision", "int8", "--temperature", "0").stdout.strip()


def test_an_interactive_text_has_one_source(runs: Commands) -> None:
    spoken = runs(
        "sample", "one", "--source", "cab", "--interactive", "--length", "3", stdin=b"si\n/save chat\n/quit\n"
    )
    assert spoken.code == 0
    other = runs("sample", "one", "--source", "ab", "--interactive", stdin=b"/load chat\n/quit\n")
    assert "belongs to another model" in other.stderr


# ---- explain


def test_the_alignment_says_where_tokens_come_from(runs: Commands) -> None:
    found = runs.json("explain", "one", "cab")
    assert (found["source"], found["target"], found["cells"]) == ("cab", "si ei bi", ["c", "a", "b"])
    assert len(found["tokens"]) == 4, "three symbols and the end"
    assert all(sum(each["weights"]) <= 1 + 1e-5 for each in found["tokens"])
    bits = sum(each["bits"] for each in found["tokens"])
    assert found["probability"] == pytest.approx(2**-bits)
    predicted = lines(runs.succeed("predict", "one", "cab").stdout)[0]
    assert predicted["probability"] == pytest.approx(found["probability"], rel=1e-3)
    forced = runs.json("explain", "one", "cab", "--target", "di di", "--top", "2")
    assert forced["target"] == "di di"
    assert forced["probability"] < found["probability"]
    assert all(len(each["alternatives"]) == 2 for each in forced["tokens"])


def test_what_explain_shows(runs: Commands) -> None:
    shown = runs.succeed("explain", "one", "cab").stdout
    assert "cab → si ei bi; probability" in shown
    assert "\n  ei     from a (2) " in shown
    assert "si ei bi [" in shown.partition("least certain")[2], "blanks stay between symbols"
    runs.succeed("explain", "one", "cab", "--target", "si ei", "--out", "page.html")
    page = (runs.folder / "page.html").read_text(encoding="utf-8")
    assert "Alignment" in page
    assert "how much the model looks at each character" in page
    coloured = runs("explain", "one", "cab", out=Channel(80)).stdout
    plain = re.sub(r"\x1b\[[\d;]*m", "", coloured).replace("\r\n", "\n")
    assert coloured.count("\x1b[") > 9
    assert "cab → si\ncab → ei\ncab → bi\n" in plain


# ---- other commands


def test_runs_reports_and_other_vocabularies(runs: Commands) -> None:
    assert "damaged" not in runs.succeed("runs").stdout
    runs.succeed("report", "one", "two", "--out", "report")
    runs.succeed("prepare", "--data", "words", "--vocab", "byte", "--workers", "1")
    train(runs, "words-byte", "--set", "training.max_steps=2")
    found = runs.json("eval", "words-byte")
    assert found["sources"] == len(answers(runs))
    assert found["symbols"] > found["words_written_for"]
    assert "word error rate" in runs.succeed("eval", "words-byte").stdout
    assert "have different vocabularies" in runs.fail(3, "eval", "one", "words-byte", "--ensemble")


# ---- refusals

_REFUSED = [
    ("sample one", 2, "is given a text for which it writes another, and there is none; give one with --source"),
    ("sample one --source cab --label x", 2, "--label has no effect: runs/one is given no label"),
    ("sample language --source cab", 2, "--source has no effect: runs/language is given no source"),
    ("eval one --dynamic", 2, "--dynamic is for language models or for labels"),
    ("eval one --mix", 2, "--mix is for language models or for labels"),
    ("eval one --label x", 2, "--label is for language models or for labels"),
    ("eval one --streams 2", 2, "--streams is for language models or for labels"),
    ("eval one --text words.tsv", 2, "--text is for language models or for labels"),
    ("eval one --per-document a.csv", 2, "--per-document is for language models or for labels"),
    ("eval one --confusion a.csv", 2, "--confusion is for language models or for labels"),
    ("eval one --classify", 2, "--classify"),
    ("eval one --ensemble", 2, "--ensemble scores several runs as one model"),
    ("eval one --beams 0", 2, "--beams"),
    ("eval one two blind", 2, "eval takes one run, or two; add --ensemble"),
    ("eval one language", 2, "language is given no texts, and another one is"),
    ("eval one labels", 2, ""),
    ("eval one none", 2, "there is no run"),
    ("eval language --beams 3", 2, "--beams is for runs of --task transduce"),
    ("eval labels --length-penalty 1", 2, "--length-penalty is for runs of --task transduce"),
    ("eval one --data novel", 3, "vocabulary"),
    ("eval one language --ensemble", 2, "name runs of one kind"),
    ("predict one cab --threshold 0.5", 2, "--threshold is for labels of documents, and this model writes texts"),
    ("predict one cab --labels a", 2, "--labels is for labels"),
    ("predict one cab --temperature 2", 2, "--temperature is for labels"),
    ("predict one cab --format conllu", 2, "CoNLL-U holds words with tags"),
    ("predict one cab --ensemble labels", 3, "have different tasks"),
    ("predict labels cab --beams 3", 2, "--beams is for models that write texts"),
    ("predict labels cab --beams 5", 2, "--beams is for models that write texts"),
    ("predict one cab --beams 0", 2, "--beams"),
    ("tune one", 2, "charlm tune reads a text as one stream"),
    ("explain blind cab", 2, "runs/blind does not look at its source (model.condition.type=none)"),
    ("explain one cab --label x", 2, "--label has no effect: runs/one is given no label"),
    ("explain language cab --target x", 2, "--target has no effect: runs/language writes no text for another"),
    ("train --data words --out runs/no --set training.select=f1", 2, "is for labels and tags"),
    ("train --data words --out runs/no --set model.direction=both", 2, "reads one way"),
    ("train --data words --out runs/no --set model.condition.type=label", 2, "--task generate"),
    ("train --config lstm --data novel --out runs/no --set model.condition.type=source", 2, "--task transduce"),
]


@pytest.fixture(scope="module")
def mixed(runs: Commands) -> Commands:
    """The runs `language`, `labels` and `tags` beside them."""
    make_label_runs(runs)
    make_language_run(runs)
    return runs


@pytest.mark.parametrize(("arguments", "code", "error"), _REFUSED, ids=[each[0] for each in _REFUSED])
def test_what_cannot_be_done_is_refused_with_a_cure(mixed: Commands, arguments: str, code: int, error: str) -> None:
    assert error in mixed.fail(code, *arguments.split())


def test_long_sources_cannot_be_explained(runs: Commands) -> None:
    assert "at most 500 can be explained" in runs.fail(2, "explain", "one", "ab" * 300)


# ---- Python


def test_the_python_face(runs: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.folder)
    model = charlm.load("one")
    assert model.labels == ()
    found = model.predict("cab")
    assert (found.text, found.targets[0].text) == ("cab", "si ei bi")
    (printed,) = lines(runs.succeed("predict", "one", "cab").stdout)
    assert printed["target"] == found.targets[0].text
    assert printed["probability"] == pytest.approx(found.targets[0].probability, rel=1e-6)
    several = model.predict(["d", "", "cab"], top=3, beams=4, length_penalty=0.5)
    assert [each.text for each in several] == ["d", "", "cab"]
    assert all(len(each.targets) == 3 for each in several)
    given = model.given("cab")
    assert given.sample(temperature=0) == "si ei bi"
    assert given.score("si ei bi").nats == pytest.approx(-math.log(found.targets[0].probability), rel=1e-3)
    assert given.score("si ei bi").nats < model.given("dd").score("si ei bi").nats
    assert given.hidden("si ei").shape[0] == 5
    for call in (model.sample, lambda: model.score("x"), lambda: model.hidden("x")):
        with pytest.raises(UsageError, match=r"is given a source for each text.*model.given\(source\)"):
            call()
    with pytest.raises(UsageError, match="is given no label and no source"):
        given.given("cab")
    with pytest.raises(OptionError, match="condition"):
        model.given(3)  # pyright: ignore[reportArgumentType] - a user's mistake
    with pytest.raises(DataError, match="surrogate"):
        model.given("\ud800")
    wrong: dict[str, Any]
    for wrong in ({"threshold": 0.5}, {"labels": "a"}, {"temperature": 2.0}, {"beams": 0}, {"length_penalty": 11.0}):
        with pytest.raises(OptionError):
            model.predict("cab", **wrong)
    with pytest.raises(TypeError):
        model.predict("cab", beam=3)  # pyright: ignore[reportCallIssue] - a user's mistake


def test_the_run_may_be_moved(runs: Commands, tmp_path: Path) -> None:
    """A checkpoint has all that is needed to write."""
    import shutil

    shutil.copytree(runs.folder / "runs/one", tmp_path / "moved")
    elsewhere = runs.within(tmp_path)
    assert lines(elsewhere.succeed("predict", "moved", "cab").stdout)[0]["target"] == "si ei bi"
