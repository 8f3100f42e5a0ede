"""Preparing a multistream dump with several processes: killed at random, and on a disk that fails at any operation."""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tests.failing_disk
from tests.faults.test_kills import kill_at_random, timed
from tests.mirror import small_dump
from tests.processes import Commands, assert_one_error
from tests.workspaces import snapshot

NAME = "xxwiki-20261101-pages-articles-multistream.xml.bz2"
"""Its stem is the corpus's name: data/xxwiki."""


@pytest.fixture(scope="module")
def dump() -> bytes:
    """Two tasks, so that two processes have something to do."""
    return small_dump("xxwiki", 20_000)


def prepare_with(workers: int) -> tuple[str, ...]:
    return ("prepare", "--source", "wikipedia", "--input", NAME, "--workers", str(workers))


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.faults)])
def test_kills(commands: Commands, dump: bytes, kills: int) -> None:
    """Killed with one number of workers, gone on with another, as often as it takes: the bytes are the same."""
    (commands.folder / NAME).write_bytes(dump)
    longest = timed(commands, *prepare_with(1))
    data = commands.folder / "data"
    expected = snapshot(data)
    chance = random.Random(kills)
    done = reruns = 0
    while done < kills:
        shutil.rmtree(data)
        while done < kills and kill_at_random(commands, prepare_with(chance.choice((1, 2, 3))), chance, longest):
            done += 1
        commands.succeed(*prepare_with(chance.choice((1, 2, 3))))
        reruns += 1
        assert snapshot(data) == expected
    print(f"{done} kills, {reruns} corpora, all equal")  # noqa: T201 - the figure, with -s


def on_a_failing_disk(folder: Path, fail_at: int, number: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    counter = folder / "counter"
    counter.unlink(missing_ok=True)
    disk = {"folder": str(folder / "data"), "counter": str(counter), "fail_at": fail_at, "errno": number}
    return subprocess.run(
        [sys.executable, tests.failing_disk.__file__, *arguments],
        cwd=folder,
        env={**os.environ, "CHARLM_DISK": json.dumps(disk), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("every", [25, pytest.param(1, marks=pytest.mark.faults)])
def test_every_operation_fails_once(commands: Commands, dump: bytes, every: int, number: int, workers: int) -> None:
    """Exit code 5, or 0 where only tidying up failed; no half corpus; the next attempt goes on to the same bytes."""
    if every > 1 and (number, workers) not in ((errno.ENOSPC, 2), (errno.EIO, 1)):
        pytest.skip("all of them with --faults")
    (commands.folder / NAME).write_bytes(dump)
    commands.succeed(*prepare_with(1))
    data = commands.folder / "data"
    expected = snapshot(data)
    failures = 0
    fail_at = 1 - every
    counted = 0
    while counted >= fail_at:
        fail_at += every
        shutil.rmtree(data)
        ended = on_a_failing_disk(commands.folder, fail_at, number, *prepare_with(workers))
        counted = (commands.folder / "counter").stat().st_size
        assert ended.returncode in (0, 5), ended
        if ended.returncode == 5:
            failures += 1
            assert_one_error(ended.stderr.splitlines(keepends=True)[-1])
            assert os.strerror(number) in ended.stderr
            commands.succeed(*prepare_with(workers))
        assert snapshot(data) == expected
    print(f"{failures} of {fail_at} operations ended it")  # noqa: T201
    assert failures > 100 // every
