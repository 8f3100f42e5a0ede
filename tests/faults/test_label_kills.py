"""Training of labels that is killed, or spread over two ranks: the weights are those of an undisturbed run."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.examples import write_problem
from tests.faults.test_kills import kill_at_random, timed
from tests.faults.test_ranks import started
from tests.processes import Commands
from tests.workspaces import metrics, steps, weights

CONFIG = """\
[model]
direction = "both"
embedding = {size = 8}
body = {hidden_size = 8, cell = {type = "gru"}, dropout = 0.2, num_layers = 2}

[training]
batch_size = 16
seq_len = 8
max_steps = 20
validation_interval = 6
log_interval = 1
checkpoint_minutes = 1e-9
precision = "fp32"
select = "accuracy"
averaging = {type = "ema"}
schedule = {type = "constant", warmup_steps = 3}
"""
TRAIN = ("train", "--config", "labels.toml", "--data", "data/first", "--out", "runs/it")
WITHOUT_NOISE = ("--set", "model.body.dropout=0")


@pytest.fixture
def folder(commands: Commands) -> Commands:
    write_problem(commands.folder / "data" / "first", "first")
    (commands.folder / "labels.toml").write_text(CONFIG, encoding="utf-8")
    return commands


@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=pytest.mark.faults)])
def test_kills_at_random_moments(folder: Commands, kills: int) -> None:
    """Each run is killed again and again until it finishes; then the next run starts."""
    run = folder.folder / "runs/it"
    longest = timed(folder, *TRAIN)
    expected = weights(run), metrics(run), (run / "best.json").read_bytes()
    chance = random.Random(kills)
    done = 0
    while done < kills:
        shutil.rmtree(run)
        saved = 0
        while done < kills and kill_at_random(folder, TRAIN, chance, longest):
            done += 1
            before, saved = saved, max(steps(run), default=0)
            assert saved >= before
        folder.succeed(*TRAIN)
        assert (weights(run), metrics(run), (run / "best.json").read_bytes()) == expected


def figures(run: Path) -> list[tuple[Any, ...]]:
    keys = ("kind", "step", "tokens", "epoch", "labels", "correct")
    return [
        (*(line.get(key) for key in keys), pytest.approx(line["bits_per_label"], rel=1e-4)) for line in metrics(run)
    ]


@pytest.mark.parametrize("setting", ["model.direction=backward", "model.embedding.context_ngrams=[2,3]"])
def test_two_ranks_equal_one_with_twice_the_batch(folder: Commands, setting: str) -> None:
    """Losses, validations and the order of the documents."""
    options = (*WITHOUT_NOISE, "--set", setting, "--set", "training.max_steps=12")
    train = ("train", "--config", "labels.toml", "--data", "data/first")
    with started(folder.folder, *train, "--out", "runs/pair", *options, "--set", "training.batch_size=8") as job:
        assert job.wait() == 0, job.stderr
    folder.succeed(*train, "--out", "runs/alone", *options)
    pair, alone = folder.folder / "runs/pair", folder.folder / "runs/alone"
    assert figures(pair) == figures(alone)
    assert steps(pair) == steps(alone)


def test_ranks_without_rows_train_and_validate(folder: Commands) -> None:
    """Batches of one document: the second rank has none."""
    options = (*WITHOUT_NOISE, "--set", "training.max_steps=3", "--set", "training.seq_len=1")
    train = ("train", "--config", "labels.toml", "--data", "data/first")
    with started(folder.folder, *train, "--out", "runs/pair", *options, "--set", "training.batch_size=1") as job:
        assert job.wait() == 0, job.stderr
    folder.succeed(*train, "--out", "runs/alone", *options, "--set", "training.batch_size=2")
    assert figures(folder.folder / "runs/pair") == figures(folder.folder / "runs/alone")
