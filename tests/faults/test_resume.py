"""A run that is stopped and resumed in a new process equals the uninterrupted one to the bit.

whole  ────────────────────────────────────────> step 22
first  ─────────> SIGTERM while step 3 (or 19) is logged; saved
second            another process ─────────────> step 22         equal: weights, optimizer, RNG, state, facts, log
"""

import hashlib
import json
import signal
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.interrupted import Fault, Interruptions
from tests.nn.cells import BACKENDS
from tests.processes import Commands
from tests.workspaces import metrics, steps, weights

STEPS = 22
CONFIG = f"""\
[model]
embedding = {{size = 8}}
body = {{hidden_size = 16, num_layers = 2}}

[training]
batch_size = 4
seq_len = 8
max_steps = {STEPS}
validation_interval = 10
log_interval = 1
schedule = {{type = "cosine", warmup_steps = 3}}
optimizer = {{lr = 0.02, weight_decay = 0.01}}
"""
NOISES: dict[str, dict[str, object]] = {
    "bare": {},
    "dropout and norm": {"norm": "layer", "dropout": 0.2, "output_dropout": 0.2, "weight_drop": 0.1},
}
PLAIN = "this cell runs step by step (plain)"
SPLITS = (3, 19)
"""Before the first validation and epoch end, and after."""


@pytest.fixture(scope="module")
def folder(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 600 characters: 17 steps an epoch."""
    commands = toured.within(tmp_path_factory.mktemp("resumed"))
    (commands.folder / "resumed.toml").write_text(CONFIG, encoding="utf-8")
    (commands.folder / "small.txt").write_text("abcde fgh, " * 54, encoding="utf-8")
    commands.succeed("prepare", "--workers", "1", "--source", "text", "--input", "small.txt")
    return commands.folder


def state(run: Path) -> dict[str, Any]:
    """Everything of the newest checkpoint that the next step depends on, without times."""
    directory = run / "checkpoints" / f"step-{steps(run)[-1]:09d}"
    names = ("model.safetensors", "training.safetensors", "model.json", "vocab.json")
    hashes: dict[str, Any] = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in names}
    facts = json.loads((directory / "training.json").read_text(encoding="utf-8"))
    marks = {name: (run / name).read_bytes() for name in ("best.json", "last.json")}
    return hashes | marks | {key: value for key, value in facts.items() if key != "seconds"}


def cases() -> Iterator[Any]:
    """Every combination; without --faults one for each cell and backend, with noises and splits in turn."""
    models = [
        (cell, backend)
        for cell, backends in BACKENDS.items()
        for backend in (("auto", "plain") if len(backends) > 1 else ("plain",))
    ]
    for index, (cell, backend) in enumerate(models):
        chosen = [*NOISES][(index + index // 2) % 2], SPLITS[(index + index // 4) % 2]
        for noise, split in product(NOISES, SPLITS):
            marks = [] if (noise, split) == chosen else [pytest.mark.faults]
            yield pytest.param(cell, backend, noise, split, marks=marks)


@pytest.mark.parametrize(("cell", "backend", "noise", "split"), list(cases()))
def test_a_resumed_run_equals_the_uninterrupted_one(
    interruptions: Interruptions, folder: Path, cell: str, noise: str, backend: str, split: int
) -> None:
    settings = {"cell.type": cell, "backend": backend, **NOISES[noise]}
    if cell == "mingru":  # it has no recurrent matrix
        settings.pop("weight_drop", None)
    changes = [part for key, value in settings.items() for part in ("--set", f"model.body.{key}={value}")]
    command = ("train", "--config", "resumed.toml", "--data", "small", *changes)
    name = f"{cell}-{noise.replace(' ', '-')}-{backend}"
    whole, pieces = (folder / "runs" / f"{name}-{end}" for end in ("whole", f"split-{split}"))

    def train(run: Path, fault: Fault | None = None) -> tuple[int, str]:
        attempt = interruptions(folder, (*command, "--out", str(run)), fault, below=run)
        assert (PLAIN in attempt.stderr) == (backend == "plain")
        return attempt.code, attempt.stderr

    if not whole.exists():  # both splits use it
        assert train(whole)[0] == 0
    code, said = train(pieces, Fault(split + split // 10, r"^write metrics", signal=signal.SIGTERM))  # validations too
    assert (code, f"stopped at step {split}, saved" in said) == (143, True), said
    assert steps(pieces)[-1] == split
    assert weights(pieces) != weights(whole)
    code, said = train(pieces)
    assert (code, f"from step {split}\n" in said) == (0, True), said
    assert state(pieces) == state(whole)
    assert metrics(pieces) == metrics(whole)
