"""Training of labels and of transducers that is killed, or spread over two ranks: the weights are those of an
undisturbed run."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.examples import doubled, write_pairs, write_problem
from tests.faults.test_kills import kill_at_random, timed
from tests.faults.test_ranks import run_ranks
from tests.processes import Commands
from tests.workspaces import metrics, steps, weights

MODELS = {
    "labels": """
direction = "both"
embedding = {size = 8}
body = {hidden_size = 8, cell = {type = "gru"}, dropout = 0.2, num_layers = 2}
""",
    "targets": """
embedding = {size = 8}
body = {hidden_size = 8, dropout = 0.2}
condition.type = "source"
condition.attention = {type = "monotonic", size = 8, dropout = 0.1}
condition.encoder = {embedding = {size = 8}, body = {hidden_size = 8, cell = {type = "gru"}, dropout = 0.2}}
""",
}
TRAINING = """
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
TRAIN = {kind: ("train", "--config", f"{kind}.toml", "--data", f"data/{kind}") for kind in MODELS}
WITHOUT_NOISE = {
    "labels": ("--set", "model.body.dropout=0"),
    "targets": tuple(
        word
        for part in ("body", "condition.encoder.body", "condition.attention")
        for word in ("--set", f"model.{part}.dropout=0")
    ),
}
every_kind = pytest.mark.parametrize("kind", MODELS)


@pytest.fixture
def folder(commands: Commands) -> Commands:
    write_problem(commands.folder / "data" / "labels", "first")
    pairs = {split: doubled(number, number) for split, number in (("train", 150), ("valid", 40), ("test", 9))}
    write_pairs(commands.folder / "data" / "targets", pairs)
    for kind, model in MODELS.items():
        content = f"[model]{model}\n[training]{TRAINING}"
        (commands.folder / f"{kind}.toml").write_text(content, encoding="utf-8")
    return commands


@every_kind
@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=pytest.mark.faults)])
def test_kills_at_random_moments(folder: Commands, kind: str, kills: int) -> None:
    """Each run is killed again and again until it finishes; then the next run starts."""
    run = folder.folder / "runs/it"
    train = (*TRAIN[kind], "--out", "runs/it")
    longest = timed(folder, *train)
    expected = weights(run), metrics(run), (run / "best.json").read_bytes()
    chance = random.Random(kills)
    done = 0
    while done < kills:
        shutil.rmtree(run)
        saved = 0
        while done < kills and kill_at_random(folder, train, chance, longest):
            done += 1
            before, saved = saved, max(steps(run), default=0)
            assert saved >= before
        folder.succeed(*train)
        assert (weights(run), metrics(run), (run / "best.json").read_bytes()) == expected


def figures(run: Path) -> list[tuple[Any, ...]]:
    keys = ("kind", "step", "tokens", "epoch", "labels", "sources", "symbols", "correct", "symbol_edits")
    return [
        (
            *(line.get(key) for key in keys),
            pytest.approx(line.get("bits_per_label", line.get("bits_per_character")), rel=1e-4),
        )
        for line in metrics(run)
    ]


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("labels", "model.direction=backward"),
        ("labels", "model.embedding.context_ngrams=[2,3]"),
        ("targets", "model.direction=backward"),
        ("targets", "training.micro_batches=2"),
    ],
)
def test_two_ranks_equal_one_with_twice_the_batch(folder: Commands, kind: str, setting: str) -> None:
    """Losses, validations and the order of the documents."""
    options = (*WITHOUT_NOISE[kind], "--set", setting, "--set", "training.max_steps=12")
    pair, alone = trained_in_both_ways(folder, kind, 8, *options)
    assert figures(pair) == figures(alone)
    assert steps(pair) == steps(alone)


@every_kind
def test_ranks_without_rows_train_and_validate(folder: Commands, kind: str) -> None:
    """Batches of one document: the second rank has none."""
    options = (*WITHOUT_NOISE[kind], "--set", "training.max_steps=3", "--set", "training.seq_len=1")
    pair, alone = trained_in_both_ways(folder, kind, 1, *options)
    assert figures(pair) == figures(alone)


def trained_in_both_ways(folder: Commands, kind: str, batch_size: int, *options: str) -> tuple[Path, Path]:
    """Train with two ranks, and with one and twice the batch."""
    of_each, of_all = (("--set", f"training.batch_size={size}") for size in (batch_size, 2 * batch_size))
    run_ranks(folder, *TRAIN[kind], "--out", "runs/pair", *options, *of_each)
    folder.succeed(*TRAIN[kind], "--out", "runs/alone", *options, *of_all)
    return folder.folder / "runs/pair", folder.folder / "runs/alone"
