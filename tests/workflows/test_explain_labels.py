"""`charlm explain` of models of labels and tags: its figures are those of `charlm predict` on the shortened texts."""

import json
import math
from pathlib import Path

import pytest
import regex

from tests.processes import Commands

SMALL = "--set training.max_steps=30 --set model.body.hidden_size=8 --set training.optimizer.lr=0.02".split()


@pytest.fixture(scope="module")
def labels(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A folder with runs: labels of numbers, tags of words, segments, and restored case."""
    commands = Commands(charlm_server, tmp_path_factory.mktemp("explain"))
    rows = "".join(f"number {number}\t{('even', 'odd')[number % 2]}\n" for number in range(60))
    (commands.folder / "numbers.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    words = "".join(
        f"# newdoc\n1\tWord{number}\t_\tNOUN\t_\t_\t_\t_\t_\t_\n2\t{number}\t_\tNUM\t_\t_\t_\t_\t_\tSpaceAfter=No\n\n"
        for number in range(60)
    )
    (commands.folder / "bank.conllu").write_text(words, encoding="utf-8")
    sources = {
        "labels": ("--task", "classify", "--input", "numbers.tsv"),
        "tags": ("--task", "tag", "--input", "bank.conllu"),
        "segments": ("--task", "tag", "--input", "bank.conllu", "--annotation", "words"),
    }
    for name, source in sources.items():
        commands.succeed("prepare", *source, "--workers", "1", "--out", f"data/{name}")
        commands.succeed("train", "--data", name, "--out", f"runs/{name}", *SMALL, "--set", "model.direction=both")
    return commands


@pytest.fixture(scope="module")
def restoring(labels: Commands) -> Commands:
    """The same folder with a run that restores upper case."""
    (labels.folder / "novel.txt").write_text("The Quick Brown Fox\n\n" * 60, encoding="utf-8")
    prepare = ("prepare", "--workers", "1", "--out")
    labels.succeed(*prepare, "data/novel", "--source", "text", "--input", "novel.txt")
    labels.succeed(
        *prepare, "data/case", "--task", "tag", "--source", "derived", "--input", "novel", "--change", "case"
    )
    labels.succeed("train", "--data", "case", "--out", "runs/case", *SMALL, "--set", "model.direction=both")
    return labels


def predicted(labels: Commands, texts: list[str]) -> list[dict[str, float]]:
    """The probabilities of the labels of each text, by `charlm predict` from a table, where a text may be empty."""
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (labels.folder / "texts.jsonl").write_text(rows, encoding="utf-8")
    found = labels.succeed("predict", "labels", "--input", "texts.jsonl", "--top", "2").stdout
    return [json.loads(line)["labels"] for line in found.splitlines()]


@pytest.mark.parametrize("text", ["number 17", "7", "Ω漢字🙂 e\u0301\u0323", "1\n2"])
@pytest.mark.parametrize("label", [None, "even"])
def test_effects_are_those_of_predict(labels: Commands, text: str, label: str | None) -> None:
    found = labels.json("explain", "labels", text, *([] if label is None else ["--label", label]))
    spans = [each["characters"] for each in found["effects"]]
    assert [text[start:end] for start, end in spans] == regex.findall(r"\X", text)
    whole, *shortened = predicted(labels, [text, *(text[:start] + text[end:] for start, end in spans)])
    chosen = label or max(whole, key=lambda name: whole[name])
    assert (found["label"], found["text"]) == (chosen, text)
    assert found["labels"] == pytest.approx(whole, abs=1e-5)
    assert found["probability"] == pytest.approx(whole[chosen], abs=1e-5)
    for each, without in zip(found["effects"], shortened, strict=True):
        assert each["effect"] == pytest.approx(math.log2(whole[chosen] / without[chosen]), abs=1e-4)
        assert each["probability_without"] == pytest.approx(without[chosen], abs=1e-5)


def test_a_long_text_is_explained_in_pieces(labels: Commands) -> None:
    text = "number 17 " * 130
    (labels.folder / "long.txt").write_text(text, encoding="utf-8")
    found = labels.json("explain", "labels", "--text", "long.txt")
    assert [each["characters"] for each in found["effects"]] == [[start, start + 2] for start in range(0, 1300, 2)]
    whole, without = predicted(labels, [text, text[:6] + text[8:]])
    expected = math.log2(whole[found["label"]] / without[found["label"]])
    assert found["effects"][3]["effect"] == pytest.approx(expected, abs=1e-4)
    assert (
        "2 neighbouring characters are left out together"
        in labels.succeed("explain", "labels", "--text", "long.txt").stdout
    )
    (labels.folder / "long.txt").write_text("a" * 100_001, encoding="utf-8")
    assert "at most 100,000" in labels.fail(2, "explain", "labels", "--text", "long.txt")
    labels.succeed("explain", "tags", "--text", "long.txt")


def test_without_a_terminal_there_is_a_summary(labels: Commands, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ended = labels.succeed("explain", "labels", "number 17", "--out", str(page))
    best = predicted(labels, ["number 17"])[0]
    label = max(best, key=lambda name: best[name])
    assert ended.stdout.splitlines()[0].startswith(f"{label} {100 * best[label]:.3g} %, ")
    assert f"for {label}:" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(labels.json("explain", "labels", "number 17", "--top", "1")["labels"]) == 1


@pytest.mark.parametrize("run", ["tags", "segments"])
def test_tags_are_those_of_predict(labels: Commands, run: str, tmp_path: Path) -> None:
    text = "Word7 7 Ω é"
    found = labels.json("explain", run, text, "--top", "1")["tags"]
    expected = json.loads(labels.succeed("predict", run, text).stdout)["tags"]
    if run == "tags":
        assert [[*each["characters"], each["tag"]] for each in found] == [row[:3] for row in expected]
        assert [each["probability"] for each in found] == pytest.approx([row[3] for row in expected], abs=1e-5)
    else:
        assert [each["characters"] for each in found] == [[i, i + 1] for i, c in enumerate(text) if c != " "]
        assert [each["characters"][0] for each in found if each["tag"][0] == "B"] == [row[0] for row in expected]
    assert all(each["bits"] == pytest.approx(-math.log2(each["probability"])) for each in found)
    assert {len(each["alternatives"]) for each in found} == {1}
    summary = labels.succeed("explain", run, text, "--out", str(tmp_path / "page.html")).stdout
    assert "least certain:" in summary
    assert "tagged" in summary
    assert "no character has a tag" in labels.succeed("explain", run, "  ").stdout


def test_tags_that_restore_a_text_are_explained_at_the_letters_that_they_change(restoring: Commands) -> None:
    text = "the 7 quick é"
    found = restoring.json("explain", "case", text)["tags"]
    expected = json.loads(restoring.succeed("predict", "case", text).stdout)
    assert [[*each["characters"], each["tag"]] for each in found] == [row[:3] for row in expected["tags"]]
    assert {text[each["characters"][0]] for each in found} == set("thequické")
    upper = {each["characters"][0] for each in found if each["tag"] == "upper"}
    restored = "".join(letter.upper() if index in upper else letter for index, letter in enumerate(text))
    assert expected["restored"] == restored


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["labels", ""], 3, "the text is empty"),
        (["tags", ""], 3, "the text is empty"),
        (["labels", "7", "--label", "evn"], 2, 'did you mean "even"?'),
        (["tags", "7", "--label", "odd"], 2, "--label chooses a label of documents, and runs/tags predicts tags"),
        (["bundled", "7", "--label", "odd"], 2, "bundled predicts tokens"),
    ],
)
def test_wrong_requests(labels: Commands, arguments: list[str], code: int, message: str) -> None:
    assert message in labels.fail(code, "explain", *arguments)
