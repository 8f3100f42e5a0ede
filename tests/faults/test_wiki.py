"""Preparing a multistream dump with several processes: killed at random, and on a disk that fails at any operation."""

import contextlib
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
from tests.processes import Commands, assert_one_error, until
from tests.workspaces import snapshot

NAME = "xxwiki-20261101-pages-articles-multistream.xml.bz2"
"""The stem is the name of the corpus: data/xxwiki."""


@pytest.fixture(scope="module")
def dump() -> bytes:
    """Make a dump of two tasks, one for each of two processes: 2.5 MB, since random text is hard to compress."""
    return small_dump("xxwiki", 2_200, num_random_bytes=700)


def prepare_with(workers: int) -> tuple[str, ...]:
    return ("prepare", "--source", "wikipedia", "--input", NAME, "--workers", str(workers))


def processes_in(folder: Path) -> list[int]:
    """The processes of a prepare in a folder."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("kills", [1, pytest.param(100, marks=pytest.mark.faults)])
def test_kills(commands: Commands, dump: bytes, kills: int) -> None:
    """Killed with one number of workers and resumed with another until it ends: the bytes are the same."""
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
    until(lambda: not processes_in(commands.folder), 10)  # workers end with the killed process
    print(f"{done} kills, {reruns} corpora, all equal")  # noqa: T201 - the figure, with -s


@pytest.mark.parametrize(
    ("number", "workers", "step"),
    [
        (errno.EIO, 1, 47),
        (errno.ENOSPC, 2, 197),
        *(pytest.param(number, 1, 1, marks=pytest.mark.faults) for number in (errno.ENOSPC, errno.EIO, errno.EROFS)),
        pytest.param(errno.ENOSPC, 2, 1, marks=pytest.mark.faults),
    ],
)
def test_operations_that_fail(commands: Commands, number: int, workers: int, step: int) -> None:
    """Exit code 5, or 0 if only cleaning up failed; no partial corpus; the next attempt gives the same bytes."""
    folder = commands.folder
    (folder / NAME).write_bytes(small_dump("xxwiki", 120))
    commands.succeed(*prepare_with(1))
    expected = snapshot(folder / "data")
    failures = operations = 0
    shutil.rmtree(folder / "data")
    with subprocess.Popen(
        [sys.executable, tests.failing_disk.__file__, str(number), str(step), *prepare_with(workers)],
        cwd=folder,
        env={
            **os.environ,
            "CHARLM_DISK": json.dumps({"folder": str(folder / "data"), "counter": str(folder / "counter")}),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as attempts:
        assert attempts.stdin is not None
        assert attempts.stdout is not None
        for line in attempts.stdout:
            ended = json.loads(line)
            operations = ended["fail_at"]
            assert ended["code"] in (0, 5), ended
            if ended["code"] == 5:
                failures += 1
                assert_one_error(ended["stderr"])
                assert os.strerror(number) in ended["stderr"]
                commands.succeed(*prepare_with(workers))
            found = snapshot(folder / "data")
            if "is not the default of later commands" in ended["stderr"]:
                found["current.json"] = expected["current.json"]  # the corpus is complete, and the failure was noted
            assert found == expected, ended
            shutil.rmtree(folder / "data")
            attempts.stdin.write("\n")
            attempts.stdin.flush()
    assert attempts.returncode == 0
    print(f"{failures} failures ended it, of {operations} operations, every {step}")  # noqa: T201
    assert failures > 100 // step
