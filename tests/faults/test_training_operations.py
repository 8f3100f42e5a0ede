"""Training on a disk with one failing operation: the operation decides whether the run ends or continues.

    before the first step, or at the last save    5
    a checkpoint in between                       noted, and written at the next interval: 0
    a line of the log                             noted, and lost: 0
    the pointer to the current run                noted: 0

In each case the earlier checkpoints are whole, no partial file is left, and the same command ends with the weights of
an undisturbed run.
"""

import errno
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from charlm.checkpoint import load_model, load_resume_data
from tests.interrupted import ANY, WRITING, Attempt, Fault, Interruptions
from tests.processes import Commands
from tests.workspaces import RUN, metrics, steps, weights

SHORT = (
    *("train", "--config", "tiny", "--set", "training.log_interval=1", "--set", "training.validation_interval=2"),
    *("--set", "model.body.dropout=0.2", "--set", "training.max_steps=4"),
)
LONG = (*SHORT, "--set", "training.max_steps=9")
OLD = [2, 4]
"""Checkpoints from before the failure."""
LINES = 5 + 3
"""What LONG logs beyond SHORT: a line for each step, and one for each validation. Then comes the last save."""
NOTES = {
    "the next interval tries again": "checkpoints that came later",
    "line of metrics.jsonl is lost": "lines lost",
    "is not the default of later commands": "runs not remembered",
}


@pytest.fixture(scope="module")
def trained(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders: `here` with a run to continue, and `whole` with one that was continued undisturbed."""
    root = tmp_path_factory.mktemp("operations")
    for name in ("here", "whole"):
        commands = toured.within(root / name)
        for part in ("data", "configs"):
            shutil.copytree(toured.folder / part, commands.folder / part)
        commands.succeed(*SHORT)
    commands.succeed(*LONG)
    shutil.copytree(root / "here" / "runs", root / "here" / "before")
    return root


def must_end(operations: list[str], failed: int) -> bool:
    """Whether the run must end: the operation came before its first step, or belongs to the last checkpoint."""
    first = next(
        (place for place, name in enumerate(operations) if name == "open tiny-texts/metrics.jsonl"), failed + 1
    )
    logged = operations[:failed].count("open tiny-texts/metrics.jsonl")
    return (failed < first and ".current.json" not in operations[failed]) or logged >= LINES


def kind_of(attempt: Attempt) -> str:
    """The kind of outcome of an attempt."""
    if attempt.code == 5:
        return "ended"
    said = [kind for note, kind in NOTES.items() if note in attempt.stderr]
    assert len(said) <= 1, attempt
    return said[0] if said else "silent"


@pytest.mark.parametrize(
    ("name", "every"),
    [
        ("ENOSPC", 29),
        ("EIO", 97),
        *(pytest.param(name, 1, marks=pytest.mark.faults) for name in ("ENOSPC", "EIO", "EROFS")),
    ],
)
def test_an_operation_that_fails(interruptions: Interruptions, trained: Path, name: str, every: int) -> None:
    """Reading operations fail with EIO only."""
    number: int = getattr(errno, name)
    folder, run, whole = trained / "here", trained / "here" / RUN, trained / "whole" / RUN
    where = ANY if name == "EIO" else WRITING
    met: Counter[str] = Counter()
    for at in range(1 + every // 2, 10_000, every):
        shutil.rmtree(folder / "runs")
        shutil.copytree(folder / "before", folder / "runs")
        attempt = interruptions(folder, LONG, Fault(at, where, error=number), below=folder / "runs")
        operations = [place for place, done in enumerate(attempt.operations) if re.search(where, done)]
        if len(operations) < at:
            break
        failed, kind = operations[at - 1], kind_of(attempt)
        if kind == "ended":
            assert must_end(attempt.operations, failed), (attempt.operations[failed], attempt)
        met[kind] += 1
        assert attempt.code in (0, 5), (at, attempt)
        assert "a bug in charlm" not in attempt.stderr, (at, attempt)
        assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")], (at, attempt)
        kept = steps(run)
        assert kept[-1] >= OLD[-1], (at, attempt)
        assert len(kept) >= 2, (at, attempt)
        for step in kept:
            load_model(run / "checkpoints" / f"step-{step:09d}", torch.device("cpu"))
            load_resume_data(run / "checkpoints" / f"step-{step:09d}")
        if attempt.code == 5:
            assert attempt.error.startswith("charlm: error: "), (at, attempt)
            assert os.strerror(number) in attempt.error, (at, attempt)
            assert "runs" in attempt.error.partition(";")[0], (at, attempt.error)  # which file
            rerun = interruptions(folder, LONG, None, below=folder / "runs")
            assert rerun.code == 0, (at, rerun)
        assert weights(run) == weights(whole), (at, attempt)
        if kind != "lines lost":
            assert metrics(run) == metrics(whole), (at, attempt)
    print(f"{met.total()} operations failed with {name}: {dict(met)}")  # noqa: T201 - with -s
    assert met["ended"] > 0
    assert every > 1 or met.keys() >= {"ended", *NOTES.values()}
