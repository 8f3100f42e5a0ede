"""kill -9 at random moments: the same command always resumes, and ends with the bytes of an undisturbed run."""

import random
import shutil
import signal
import time

import pytest

from tests.processes import Commands
from tests.workspaces import RUN, furnish, metrics, snapshot, steps, texts, weights, write_texts

STEPS = 10
TRAIN = (
    *("train", "--config", "tiny", "--out", str(RUN), "--set", f"training.max_steps={STEPS}"),
    *("--set", "training.log_interval=1", "--set", "training.validation_interval=3"),
    *("--set", "training.checkpoint_minutes=1e-9"),  # a checkpoint at every step: most kills hit one
)
PREPARE = ("prepare", "--source", "text", "--input", "many")


def kill_at_random(commands: Commands, command: tuple[str, ...], chance: random.Random, longest: float) -> bool:
    """Whether the process was killed before it was done."""
    with commands.start(*command) as process:
        time.sleep(chance.uniform(0, longest))
        try:
            process.send(signal.SIGKILL)
        except ProcessLookupError:
            assert process.wait().code == 0
            return False
        ended = process.wait()
        assert ended.code in (0, -signal.SIGKILL), ended
        return ended.code != 0


def timed(commands: Commands, *command: str) -> float:
    start = time.monotonic()
    commands.succeed(*command)
    return time.monotonic() - start


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.faults)])
def test_training(workspace: Commands, kills: int) -> None:
    """Each run is killed again and again until it finishes; then the next run starts."""
    run, uninterrupted = workspace.folder / RUN, workspace.folder / "runs" / "uninterrupted"
    longest = timed(workspace, *TRAIN, "--out", str(uninterrupted))
    chance = random.Random(kills)
    done = 0
    while done < kills:
        shutil.rmtree(run)
        saved: list[int] = []
        while done < kills and kill_at_random(workspace, TRAIN, chance, longest):
            done += 1
            before, saved = saved, steps(run)  # `steps` checks that each is complete
            assert max(saved, default=0) >= max(before, default=0)
        assert workspace.json(*TRAIN)["steps"] == STEPS
        assert weights(run) == weights(uninterrupted)
        assert metrics(run) == metrics(uninterrupted)
        for name in ("best.json", "last.json"):
            assert (run / name).read_bytes() == (uninterrupted / name).read_bytes()


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.faults)])
def test_preparing(commands: Commands, kills: int) -> None:
    furnish(commands)
    write_texts(commands.folder / "many", texts(num_files=30))
    longest = timed(commands, *PREPARE)
    data = commands.folder / "data"
    expected = snapshot(data)
    chance = random.Random(kills)
    done = 0
    while done < kills:
        shutil.rmtree(data)
        done += kill_at_random(commands, PREPARE, chance, longest)
        commands.succeed(*PREPARE)
        assert snapshot(data) == expected


@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.faults)])
def test_overwriting_a_corpus(commands: Commands, kills: int) -> None:
    """There is the old corpus or the new one, or neither for an instant, but never a mixture."""
    furnish(commands)
    write_texts(commands.folder / "many", texts(num_files=30))
    others = (*PREPARE, "--vocab", "byte", "--out", "data/many", "--overwrite")
    data = commands.folder / "data"
    longest = timed(commands, *others)
    new = snapshot(data / "many")
    shutil.rmtree(data)
    commands.succeed(*PREPARE, "--workers", "1")
    old = snapshot(data / "many")
    chance = random.Random(kills)
    done = 0
    while done < kills:
        done += kill_at_random(commands, others, chance, longest)
        if (data / "many").exists():
            assert snapshot(data / "many") in (old, new)
        commands.succeed(*others)
        assert snapshot(data / "many") == new
        assert sorted(path.name for path in data.iterdir()) == ["current.json", "many"]
        commands.succeed(*PREPARE, "--workers", "1", "--overwrite")
        assert snapshot(data / "many") == old


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.faults)])
@pytest.mark.parametrize("vocab", ["ngram", "sentencepiece"])
def test_reencoding(commands: Commands, vocab: str, kills: int) -> None:
    """A corpus with another vocabulary is complete or absent, and its source is unchanged."""
    furnish(commands)
    write_texts(commands.folder / "many", texts(num_files=30))
    commands.succeed(*PREPARE, "--workers", "1")
    anew = ("prepare", "--data", "many", "--vocab", vocab)
    data = commands.folder / "data"
    longest = timed(commands, *anew)
    expected = snapshot(data)
    chance = random.Random(kills)
    done = 0
    while done < kills:
        shutil.rmtree(data / f"many-{vocab}")
        done += kill_at_random(commands, anew, chance, longest)
        commands.succeed(*anew)
        assert snapshot(data) == expected
