"""`charlm train` without a config."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Commands

SMALL = ("--set", "model.body.hidden_size=8", "--set", "training.batch_size=4", "--set", "training.seq_len=8")
SHORT = ("--set", "training.max_steps=4", *SMALL)


def experiment(commands: Commands, run: str) -> dict[str, Any]:
    return tomllib.loads((commands.folder / run / "experiment.toml").read_text(encoding="utf-8"))


def test_it_says_what_it_chose_and_writes_it_down(workspace: Commands) -> None:
    ended = workspace.succeed("train", "--data", "texts", "--minutes", "0.1")
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("auto: ")]
    written = experiment(workspace, "runs/auto-texts")
    assert f"LSTM {written['model']['body']['hidden_size']}," in line
    assert f"batch {written['training']['batch_size']} x {written['training']['seq_len']}" in line
    assert written["training"]["max_minutes"] == 0.1
    assert "ngram" in written["model"]
    assert ended.stdout.startswith("runs/auto-texts: ")


def test_ten_minutes_are_the_default(workspace: Commands) -> None:
    described = workspace.json("train", "--data", "texts", "--dry-run")
    assert described["run"] == "runs/auto-texts"
    assert described["max_minutes"] == 10
    assert described["chosen"].startswith("auto: ")
    assert "10:00" in described["chosen"]


def test_every_choice_can_be_overruled(workspace: Commands) -> None:
    workspace.succeed("train", "--config", "auto", "--data", "texts", *SHORT, "--set", "model.ngram=none")
    written = experiment(workspace, "runs/auto-texts")
    assert written["model"]["body"]["hidden_size"] == 8
    assert "ngram" not in written["model"]
    assert written["model"]["embedding"]["context_ngrams"], "a network alone gets vectors of n-grams"
    assert "max_minutes" not in written["training"], "the user gave another budget"
    assert written["training"]["max_steps"] == 4


def test_another_budget_or_a_task_takes_the_config_lstm(workspace: Commands, labelled: Commands) -> None:
    """As in the first version: what does not depend on the time shall not depend on the machine."""
    assert workspace.succeed("train", "--data", "texts", *SHORT).stdout.startswith("runs/lstm-texts: 4 steps")
    assert labelled.json("train", "--data", "labels", "--dry-run")["run"] == "runs/lstm-labels"
    refused = labelled.fail(2, "train", "--data", "labels", "--config", "auto", "--dry-run")
    assert "prepared for another task" in refused


def test_a_run_goes_on_with_what_was_chosen(workspace: Commands) -> None:
    """The machine may be slower now."""
    first = ("train", "--config", "auto", "--data", "texts", "--out", "runs/it", *SHORT)
    workspace.succeed(*first)
    before = experiment(workspace, "runs/it")
    ended = workspace.succeed(
        "train", "--config", "auto", "--data", "texts", "--out", "runs/it", "--set", "training.max_steps=6"
    )
    assert ended.stdout.startswith("runs/it: 6 steps")
    after = experiment(workspace, "runs/it")
    assert after["model"] == before["model"]
    assert "auto: " not in ended.stderr
    other = workspace.fail(2, *first[:-1], "training.seq_len=16")
    assert "training.seq_len: 8 -> 16" in other
    assert "auto: " in workspace.succeed(*first, "--overwrite").stderr


def test_a_damaged_record_is_data_that_is_wrong(workspace: Commands) -> None:
    first = ("train", "--config", "auto", "--data", "texts", "--out", "runs/it", *SHORT)
    workspace.succeed(*first)
    (workspace.folder / "runs/it/experiment.toml").write_text("[model", encoding="utf-8")
    assert "is damaged" in workspace.fail(3, *first)


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_minutes_are_a_positive_number(workspace: Commands, minutes: str) -> None:
    assert "max_minutes" in workspace.fail(2, "train", "--data", "texts", "--minutes", minutes)
    assert "--minutes x is not a number" in workspace.fail(2, "train", "--minutes", "x")


def test_a_number_of_processes_that_is_none_is_told(workspace: Commands) -> None:
    odd = Commands(workspace.address, workspace.folder, {"WORLD_SIZE": "abc"})
    assert "WORLD_SIZE is 'abc'" in odd.fail(2, "train", "--data", "texts")


def test_minutes_are_a_budget_beside_a_config_too(workspace: Commands) -> None:
    options = ("--config", "tiny", "--data", "texts", "--out", "runs/x", "--minutes", "5", "--dry-run")
    assert workspace.json("train", *options)["max_minutes"] == 5


def test_weights_of_a_run_bring_their_own_network(workspace: Commands) -> None:
    options = ("--config", "auto", "--init-from", "runs/tiny-texts", "--data", "texts", "--dry-run")
    assert "contradict each other" in workspace.fail(2, "train", *options)


def test_no_config_has_the_name(workspace: Commands) -> None:
    """`auto` is a rule, not a file: other commands say so."""
    assert "auto" in workspace.fail(2, "prepare", "--config", "auto")
    assert not Path(workspace.folder / "configs" / "auto.toml").exists()
