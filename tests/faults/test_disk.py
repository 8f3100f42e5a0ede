"""A disk that is full, read-only or unusable: exit code 5, no partial file, and the same command resumes later."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Commands
from tests.workspaces import CONFIG, DATA, RUN, furnish, snapshot, steps, weights

TRAIN = ("train", "--config", "tiny", "--out", str(RUN))
OFTEN = (*TRAIN, "--set", "training.checkpoint_minutes=1e-9")
NO_PARENT = Path("/proc/charlm")
"""A path below which not even root can make a folder."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Fill a disk."""
    path = folder / "ballast"
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "limit", [0, 10_000, *(pytest.param(limit, marks=pytest.mark.faults) for limit in (100, 2_000, 20_000))]
)
def test_prepare_whose_writes_fail(commands: Commands, limit: int) -> None:
    furnish(commands)
    line = commands.fail(5, "prepare", "--config", "tiny", file_size=limit)
    assert "cannot write data/.texts.partial/" in line
    assert "File too large; raise the limit" in line
    assert not (commands.folder / "data" / "texts").exists()
    assert not any(name.endswith(".tmp") for name in names(commands.folder))
    commands.succeed("prepare", "--config", "tiny")
    commands.succeed("prepare", "--workers", "1", "--config", "tiny", "--out", "data/at-once")
    assert snapshot(commands.folder / "data" / "texts") == snapshot(commands.folder / "data" / "at-once")


@pytest.mark.parametrize("limit", [0, 100, 1_000, 3_000, 20_000, 30_000])
def test_training_whose_writes_fail(workspace: Commands, limit: int) -> None:
    """After any failed write, the rerun ends with the weights of an undisturbed run."""
    run = workspace.folder / RUN
    expected = weights(run)
    shutil.rmtree(run)
    ended = workspace(*OFTEN, file_size=limit)
    assert ended.code == 5, ended
    assert "File too large; raise the limit" in ended.error
    assert ended.stdout == ""
    assert not any(name.endswith(".tmp") for name in names(run))
    assert steps(run) == []
    assert workspace.json(*OFTEN)["steps"] == 20
    assert weights(run) == expected


def test_a_checkpoint_that_cannot_be_written_is_tried_again_three_times(workspace: Commands) -> None:
    """Older checkpoints are kept."""
    before = steps(workspace.folder / RUN)
    ended = workspace(*OFTEN, "--set", "training.max_steps=40", file_size=20_000)
    assert ended.code == 2  # checkpoint_minutes is a changed setting
    longer = (*TRAIN, "--set", "training.max_steps=60")
    ended = workspace(*longer, file_size=20_000)
    assert ended.code == 5
    assert ended.stderr.count("the next interval tries again") == 2
    assert "no checkpoint at step 30: cannot write" in ended.stderr
    assert "step-000000050" in ended.error
    assert steps(workspace.folder / RUN) == before
    assert workspace.json(*longer)["steps"] == 60
    workspace.succeed(*longer, "--out", "runs/at-once")
    assert weights(workspace.folder / RUN) == weights(workspace.folder / "runs" / "at-once")


def test_a_full_disk_while_preparing(commands: Commands, small_disk: Path) -> None:
    furnish(commands)
    ballast = fill(small_disk)
    command = ("prepare", "--config", "tiny", "--out", str(small_disk / "corpus"))
    line = commands.fail(5, *command)
    assert "No space left on device; free some space and run the same command again" in line
    assert not (small_disk / "corpus").exists()
    ballast.unlink()
    commands.succeed(*command)


def test_a_full_disk_while_training(workspace: Commands, small_disk: Path) -> None:
    run = small_disk / "run"
    command = ("train", "--config", "tiny", "--out", str(run))
    workspace.succeed(*command)
    saved = steps(run)
    ballast = fill(small_disk)
    longer = (*command, "--set", "training.max_steps=60")
    ended = workspace(*longer)
    assert ended.code == 5
    assert "No space left on device; free some space" in ended.error
    assert steps(run) == saved
    workspace.succeed("sample", str(run), "--length", "3")
    ballast.unlink()
    assert workspace.json(*longer)["steps"] == 60


@pytest.mark.parametrize("command", ["prepare", "train"])
def test_a_folder_that_cannot_be_made(workspace: Commands, command: str) -> None:
    """The error comes at once, before any work and any download."""
    start = time.monotonic()
    line = workspace.fail(5, command, "--config", "tiny", "--out", str(NO_PARENT / "x"))
    assert time.monotonic() - start < 5
    assert "cannot " in line
    assert str(NO_PARENT) in line


@pytest.mark.parametrize("command", ["prepare", "train"])
def test_a_file_where_a_folder_is_needed(workspace: Commands, command: str) -> None:
    line = workspace.fail(5, command, "--config", "tiny", "--out", "configs/tiny.toml/below")
    assert "Not a directory" in line
    assert (workspace.folder / "configs" / "tiny.toml").read_text(encoding="utf-8") == CONFIG


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("command", ["prepare", "train"])
def test_a_folder_without_permission(workspace: Commands, command: str) -> None:
    (workspace.folder / "mine").mkdir(mode=0o555)
    line = workspace.fail(5, command, "--config", "tiny", "--out", "mine/x")
    assert "Permission denied; choose a directory where you may write" in line


def test_a_working_folder_that_cannot_be_written(workspace: Commands) -> None:
    """Results in other folders are written; only the current run and corpus cannot be remembered, which is noted."""
    here = workspace.within(Path("/proc"))
    inputs, data, run = (str(workspace.folder / name) for name in ("texts", "data/new", "runs/new"))
    prepared = here.succeed("prepare", "--workers", "1", "--source", "text", "--input", inputs, "--out", data)
    assert f"{data} is not the default of later commands" in prepared.stderr
    trained = here.succeed(
        *("train", "--config", str(workspace.folder / "configs" / "tiny.toml"), "--data", data, "--out", run)
    )
    assert f"{run} is not the default of later commands" in trained.stderr
    assert here.json("eval", run, "--data", data)["nats"] == workspace.json("eval", "new", "--data", "new")["nats"]


@pytest.mark.parametrize("command", [("sample", "--length", "5"), ("prepare", "--config", "tiny", "--json")])
def test_output_that_cannot_be_written(toured: Commands, command: tuple[str, ...]) -> None:
    line = f"exec {sys.executable} -m charlm {' '.join(command)} > /dev/full"
    ended = subprocess.run(["sh", "-c", line], cwd=toured.folder, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 5
    assert "cannot write the output: No space left on device" in ended.stderr


def test_inputs_that_cannot_be_read(commands: Commands) -> None:
    """The first page of /proc/self/mem cannot be read."""
    line = commands.fail(5, "prepare", "--source", "text", "--input", "/proc/self/mem")
    assert "cannot read /proc/self/mem: Input/output error" in line
    assert not (commands.folder / DATA).exists()
