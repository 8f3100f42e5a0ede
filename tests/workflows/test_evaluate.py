"""`charlm eval`, `tune`, `compare`, `baseline`: their results, and that these agree with one another."""

import csv
import json
import math

import pyarrow.parquet as pq
import pytest

from tests.processes import Commands
from tests.workspaces import DATA, RUN

KN = ("--set", 'baselines=[{type="uniform"}, {type="kneser_ney", order=3}]')
FAST = ("--set", "max_tokens=400", "--set", "statistics_batches=2", "--set", "lr=[1e-4]", "--set", "decay=[0.01]")


def test_a_score_has_an_interval_around_it(toured: Commands) -> None:
    scored = toured.json("eval", str(RUN), "--split", "train")
    low, high = scored["interval"]
    assert low < scored["bits_per_character"] < high
    assert scored["resampled"].endswith(" blocks")
    shown = toured.succeed("eval", str(RUN), "--split", "train").stdout
    assert f"{low:.4f} to {high:.4f} bits per character (95 %" in shown
    assert "without the variance between seeds" in shown


@pytest.mark.parametrize("streams", ["1", "3"])
def test_lanes_do_not_change_the_score(toured: Commands, streams: str) -> None:
    scored = [toured.json("eval", str(RUN), "--streams", streams), toured.json("eval", str(RUN))]
    assert scored[0]["bits_per_character"] == pytest.approx(scored[1]["bits_per_character"], abs=5e-4)


def test_any_text_is_scored_from_a_file_or_a_pipe(toured: Commands) -> None:
    """A file and standard input give the same score."""
    text = "Съешь ещё 東京 🙂\x00 не виденное раньше: ☃\n"
    (toured.folder / "new.txt").write_bytes(text.encode())
    from_file = toured.json("eval", str(RUN), "--text", "new.txt")
    piped = toured("eval", str(RUN), "--text", "-", "--json", stdin=text.encode())
    assert json.loads(piped.stdout) == from_file
    assert (from_file["split"], from_file["characters"]) == ("text", len(text))
    assert from_file["bytes"] == len(text.encode())


def test_tables_add_up_to_the_score(toured: Commands) -> None:
    scored = toured.json("eval", str(RUN), "--per-document", "d.parquet", "--per-token", "t.csv")
    documents = pq.read_table(toured.folder / "d.parquet").to_pylist()
    assert math.fsum(row["nats"] for row in documents) == pytest.approx(scored["nats"], rel=1e-6)
    for name in ("tokens", "characters", "words", "bytes"):
        assert sum(row[name] for row in documents) == scored[name]
    with open(toured.folder / "t.csv", encoding="utf-8") as file:
        tokens = list(csv.DictReader(file))
    assert math.fsum(float(row["nats"]) for row in tokens) == pytest.approx(scored["nats"], rel=1e-6)
    assert len(tokens) == scored["tokens"]
    assert tokens[-1]["symbol"] == "<eod>"


def test_two_runs_are_compared_on_the_same_text(workspace: Commands) -> None:
    """Also across vocabularies; a run is no better than itself."""
    workspace.succeed("prepare", "--data", str(DATA), "--vocab", "byte")
    workspace.succeed("train", "--config", "tiny", "--data", "texts-byte", "--out", "runs/bytes")
    result = workspace.json("eval", str(RUN), "bytes", "--split", "train")
    first, second = result["runs"]
    assert first["characters"] == second["characters"]
    difference = result["difference"]
    assert difference["bits"] == pytest.approx(first["bits_per_character"] - second["bits_per_character"])
    assert difference["low"] < difference["bits"] < difference["high"]
    shown = workspace.succeed("eval", str(RUN), "bytes", "--split", "train").stdout
    assert f"by {abs(difference['bits']):.4f} +- {difference['margin']:.4f} bits per character" in shown
    rows = workspace.json("compare", str(RUN), "bytes", "--split", "train")["rows"]
    best = min(rows, key=lambda row: row["bits_per_character"])
    other = next(row for row in rows if row is not best)
    assert (best["best"], best["difference"], other["best"]) == (True, None, False)
    ends = sorted(abs(other[key]) for key in ("difference_low", "difference", "difference_high"))
    assert ends == pytest.approx(sorted(abs(difference[key]) for key in ("low", "bits", "high")))
    assert other["difference"] > 0
    itself = workspace.json("eval", str(RUN), str(RUN), "--split", "train")["difference"]
    assert (itself["bits"], itself["significant"]) == (0, False)


def test_different_texts_are_not_compared(workspace: Commands) -> None:
    (workspace.folder / "other.txt").write_text("quite another text. " * 300, encoding="utf-8")
    workspace.succeed("prepare", "--workers", "1", "--source", "text", "--input", "other.txt")
    workspace.succeed(
        "train", "--config", "lstm", "--data", "other", "--set", "training.max_steps=1", "--out", "runs/o"
    )
    assert "different texts" in workspace.fail(3, "eval", str(RUN), "o")


def test_a_tuned_run_adapts_beside_its_static_score(workspace: Commands) -> None:
    assert "charlm tune" in workspace.fail(2, "eval", str(RUN), "--dynamic")
    tuned = workspace.json("tune", str(RUN), *FAST)
    assert tuned["dynamic"]["lr"] == 1e-4
    scored = workspace.json("eval", str(RUN), "--dynamic", "--cache", "--calibrated", "--mix", "--mix-online")
    assert scored["bits_per_character"] == workspace.json("eval", str(RUN))["bits_per_character"]
    for way in ("dynamic", "cache", "temperature", "mix", "recall"):
        assert 0 < scored[way]["bits_per_character"] < scored["bits_per_character"] + 0.05
    assert scored["mix"]["bits_per_character"] < scored["bits_per_character"]
    assert scored["recall"]["bits_per_character"] < scored["mix"]["bits_per_character"]
    (workspace.folder / RUN / "adaptive" / "step-000000020.safetensors").write_bytes(b"torn")
    assert "run `charlm tune` again" in workspace.fail(3, "eval", str(RUN), "--dynamic", "--checkpoint", "20")


def test_a_score_of_text_that_is_not_new_is_said_to_be_one(workspace: Commands) -> None:
    """Of the network, of n-grams, of weights, and of settings; in notes and in JSON."""
    workspace.succeed("tune", str(RUN), *FAST)
    options = ("--dynamic", "--cache", "--calibrated", "--mix", "--mix-online")
    ways = ("dynamic", "cache", "temperature", "mix", "recall")
    said = {
        "train": ["trained on this split"] * 3 + ["n-grams were counted on this split"] * 2,
        "valid": ["`charlm tune` chose its settings"] * 3 + ["weights were fitted on this split"] * 2,
    }
    for split, words in said.items():
        scored = workspace.json("eval", "--split", split, *options)
        notes = workspace.succeed("eval", "--split", split, *options).stderr.splitlines()
        for way, option, expected in zip(ways, options, words, strict=True):
            assert expected in scored[way]["warning"]
            assert f"{RUN}, {option}: {scored[way]['warning']}" in notes
        assert (f"{RUN}: the model was trained on this split" in "\n".join(notes)) == (split == "train")
    new = workspace.json("eval", *options)
    assert [new[way]["warning"] for way in ways] == [None] * 5
    assert workspace.succeed("eval", *options).stderr == ""
    both = workspace.succeed("eval", str(RUN), str(RUN), "--split", "valid", "--mix").stderr
    assert both.count("--mix: its weights were fitted on this split") == 2
    assert "know it" in workspace.succeed("compare", str(RUN), "--split", "train").stderr


def test_one_table_for_runs_and_baselines(toured: Commands) -> None:
    rows = toured.json("compare", str(RUN), "--baselines", *KN, "--csv", "c.csv")["rows"]
    assert [row["model"] for row in rows] == ["tiny-texts", "uniform", "kneser-ney-3"]
    bits = [row["bits_per_character"] for row in rows]
    assert [row["ratio"] for row in rows] == pytest.approx([value / min(bits) for value in bits])
    assert bits[0] == pytest.approx(toured.json("eval", str(RUN))["bits_per_character"])
    assert bits[1:] == [row["bits_per_character"] for row in toured.json("baseline", str(DATA), *KN)["rows"]]
    with open(toured.folder / "c.csv", encoding="utf-8") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["tiny-texts", "uniform", "kneser-ney-3"]
    shown = toured.succeed("compare", str(RUN), "--split", "train").stdout
    assert "| tiny-texts |" in shown
    assert "95 % interval" in shown


def test_baselines_are_compared_with_the_best_run_on_the_same_documents(toured: Commands) -> None:
    kinds = ("--set", 'baselines=[{type="unigram"}, {type="kneser_ney", order=3}, {type="xz"}]')
    arguments = ("compare", str(RUN), "--split", "train", "--baselines", *kinds)
    rows = toured.json(*arguments, "--csv", "d.csv")["rows"]
    assert [row["difference"] is None for row in rows] == [True, False, False, True, True]
    for row in rows[1:3]:
        assert row["difference"] == pytest.approx(row["bits_per_character"] - rows[0]["bits_per_character"])
        assert row["difference_low"] < row["difference"] < row["difference_high"]
        assert row["significant"] == (row["difference_low"] > 0 or row["difference_high"] < 0)
    with open(toured.folder / "d.csv", encoding="utf-8") as file:
        assert [float(row["difference"] or 0) for row in csv.DictReader(file)] == [
            row["difference"] or 0 for row in rows
        ]
    table = toured.succeed(*arguments).stdout
    assert f"{rows[2]['difference']:+.4f}" in table
    assert "To the best run:" in table


def test_runs_and_their_report(toured: Commands) -> None:
    listed = toured.json("runs")["runs"]
    assert [(run["name"], run["state"]) for run in listed] == [("tiny-texts", "finished")]
    page = toured.json("report", str(RUN), "--out", "r", "--no-png")["page"]
    assert "tiny-texts" in (toured.folder / page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--per-token", "x.txt"), ".csv"),
        (("--text", "nowhere.txt"), "nowhere.txt"),
        (("tiny-texts", "tiny-texts", "tiny-texts"), "charlm compare"),
        (("--split", "test", "--text", "new.txt"), "--split is a part of a corpus"),
        (("--mix", "--text", "new.txt"), "training text"),
        (("--mix-online", "--text", "new.txt"), "training text"),
    ],
)
def test_requests_that_cannot_be_scored_are_refused(toured: Commands, arguments: tuple[str, ...], words: str) -> None:
    (toured.folder / "new.txt").write_text("text", encoding="utf-8")
    assert words in toured.fail(2, "eval", *arguments)
