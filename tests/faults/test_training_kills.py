"""Training that is killed or stopped at any moment: the same command resumes, and no saved step is lost.

`test_kills.test_training` kills at random moments too; here each file operation is one, and the network has noise.
"""

import json
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.test_kills import kill_at_random, timed
from tests.faults.test_signals import CODES, is_held_by, shell_code
from tests.interrupted import WRITING, Fault, Interruptions
from tests.processes import Commands, Running, until
from tests.workspaces import RUN, metrics, steps, texts, weights, write_texts

STEPS = 5
SETTINGS = (
    *("training.log_interval=1", "training.validation_interval=3", "training.checkpoint_minutes=1e-9"),
    *("model.body.num_layers=2", "model.body.norm=layer", "model.body.dropout=0.2", "model.body.weight_drop=0.2"),
)
OFTEN = ("train", "--config", "tiny", *(part for setting in SETTINGS for part in ("--set", setting)))
"""A checkpoint at every step, so that most kills hit a save; from the fourth on, each also removes an old one."""
TRAIN = (*OFTEN, "--set", f"training.max_steps={STEPS}")
LONGER = (*OFTEN, "--set", "training.max_steps=20")
NGRAMS = (
    *("train", "--config", "tiny", "--data", "many", "--set", 'corpus.source.input=["many"]', "--out", str(RUN)),
    *("--set", "training.log_interval=1", "--set", "training.max_steps=2"),
    *("--set", "model.ngram.min_count=1", "--set", "model.ngram.block_tokens=500"),
)
"""Its only validation is the last one, which fits weights of the mixture."""


@pytest.fixture(scope="module")
def trainings(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A folder without runs, and a folder `whole` in which both commands have run undisturbed."""
    for name in ("here", "whole", "longer"):
        folder = tmp_path_factory.getbasetemp() / "kills" / name
        for part in ("data", "configs"):
            shutil.copytree(toured.folder / part, folder / part)
    commands = toured.within(tmp_path_factory.getbasetemp() / "kills" / "here")
    commands.within(commands.folder.with_name("whole")).succeed(*TRAIN)
    commands.within(commands.folder.with_name("longer")).succeed(*LONGER)
    return commands


@pytest.fixture
def commands(trainings: Commands) -> Commands:
    shutil.rmtree(trainings.folder / "runs", ignore_errors=True)
    return trainings


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def assert_as_undisturbed(folder: Path, whole: str) -> None:
    """The weights, the log and the set of files are those of an undisturbed run."""
    runs, expected = folder / "runs", folder.with_name(whole) / "runs"
    assert names(runs) == names(expected)
    run, uninterrupted = folder / RUN, folder.with_name(whole) / RUN
    assert weights(run) == weights(uninterrupted)
    assert metrics(run) == metrics(uninterrupted)
    for name in ("best.json", "last.json"):
        assert (run / name).read_bytes() == (uninterrupted / name).read_bytes()


def last_saved(run: Path) -> int:
    """The step of the newest complete checkpoint, after checking all; 0 if there is none."""
    return max(steps(run), default=0)


def last_logged(run: Path) -> int:
    """The last step with a whole line in metrics.jsonl."""
    path = run / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return max((json.loads(line)["step"] for line in lines), default=0)


# ---- SIGKILL


@pytest.mark.parametrize("every", [83, pytest.param(1, marks=pytest.mark.faults)])
def test_a_kill_at_every_file_operation(interruptions: Interruptions, commands: Commands, every: int) -> None:
    """The kill comes before the operation, or in the middle of a write. The rerun resumes from the last complete
    checkpoint."""
    folder, run = commands.folder, commands.folder / RUN
    killed: Counter[str] = Counter()
    for at in range(1 + every // 2, 10_000, every):
        shutil.rmtree(folder / "runs", ignore_errors=True)
        attempt = interruptions(folder, TRAIN, Fault(at, WRITING), below=folder / "runs")
        if attempt.code == 0:
            break
        moment = f"{at}: {attempt.operations[-1]}"
        assert attempt.code == -signal.SIGKILL, (moment, attempt.stderr)
        killed[attempt.operations[-1].split()[0]] += 1
        saved = last_saved(run)
        assert saved >= last_logged(run) - 1, moment  # a step is saved right after it is logged
        rerun = interruptions(folder, TRAIN, None, below=folder / "runs")
        assert rerun.code == 0, (moment, rerun.stderr)
        assert saved in (0, STEPS) or f"from step {saved}\n" in rerun.stderr, moment
        assert_as_undisturbed(folder, "whole")
    print(f"{killed.total()} kills: {dict(killed)}")  # noqa: T201 - the figure, with -s
    assert every > 1 or killed.keys() >= {"open", "write", "fsync", "replace", "unlink"}
    assert killed.total() > 200 // every


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.faults)])
def test_a_kill_while_the_only_checkpoint_is_replaced(
    interruptions: Interruptions, commands: Commands, every: int
) -> None:
    """A signal came before the last validation. The rerun fits weights, and writes the checkpoint again with them. A
    kill in this rerun never costs the checkpoint."""
    folder, whole = commands.folder, commands.folder.with_name("ngrams")
    if not whole.exists():  # the validation text needs a document that ends near its middle
        write_texts(folder / "many", texts(num_files=120, words=80))
        commands.succeed("prepare", "--source", "text", "--input", "many", "--out", "data/many")
        for part in ("data", "configs"):
            shutil.copytree(folder / part, whole / part)
        commands.within(whole).succeed(*NGRAMS)
    stopped = interruptions(folder, NGRAMS, Fault(2, r"write .*metrics", signal=signal.SIGINT), below=folder / "runs")
    assert (shell_code(stopped.code), last_saved(folder / RUN)) == (CODES[signal.SIGINT], 2), stopped.stderr
    shutil.copytree(folder / "runs", folder / "stopped")
    replaced: set[bool] = set()
    for at in range(1 + every // 2, 10_000, every):
        attempt = interruptions(folder, NGRAMS, Fault(at, WRITING), below=folder / "runs")
        if attempt.code == 0:
            break
        moment = f"{at}: {attempt.operations[-1]}"
        assert attempt.code == -signal.SIGKILL, (moment, attempt.stderr)
        is_whole = steps(folder / RUN) == [2] and weights(folder / RUN) == weights(whole / RUN)
        rerun = interruptions(folder, NGRAMS, None, below=folder / "runs")
        assert rerun.code == 0, (moment, rerun.stderr)
        assert is_whole or "from step 2\n" in rerun.stderr, (moment, rerun.stderr)
        replaced.add(is_whole)
        assert_as_undisturbed(folder, "ngrams")
        shutil.rmtree(folder / "runs")
        shutil.copytree(folder / "stopped", folder / "runs")
    shutil.rmtree(folder / "stopped")
    assert replaced == {False, True} if every == 1 else False in replaced


@pytest.mark.parametrize("kills", [pytest.param(150, marks=pytest.mark.faults)])
def test_kills_at_random_moments(commands: Commands, kills: int) -> None:
    """Each run is killed again and again until it finishes; then the next run starts."""
    run = commands.folder / RUN
    longest = timed(commands, *LONGER)
    chance = random.Random(kills)
    done = runs = 0
    while done < kills:
        shutil.rmtree(run)
        saved = 0
        while done < kills and kill_at_random(commands, LONGER, chance, longest):
            done += 1
            before, saved = saved, last_saved(run)
            assert saved >= max(before, last_logged(run) - 1)
        commands.succeed(*LONGER)
        runs += 1
        assert_as_undisturbed(commands.folder, "longer")
    print(f"{done} kills of {runs} runs")  # noqa: T201 - the figure, with -s


# ---- SIGTERM, SIGINT


def begun(commands: Commands, *command: str) -> Running:
    process = commands.start(*command)
    until(lambda: is_held_by(commands.folder / RUN, process))
    return process


@pytest.mark.parametrize("signals", [4, pytest.param(50, marks=pytest.mark.faults)])
def test_signals_at_random_moments(commands: Commands, signals: int) -> None:
    """Exit code 130 or 143 within 10 s; the last logged step is saved, even if no checkpoint was due."""
    command = (*LONGER, "--set", "training.checkpoint_minutes=5")
    run = commands.folder / RUN
    longest = timed(commands, *command)
    chance = random.Random(signals)
    done = runs = 0
    slowest = 0.0
    stops: list[int] = []
    while done < signals:
        shutil.rmtree(run)
        is_finished = False
        while done < signals and not is_finished:
            number = chance.choice([*CODES])
            with begun(commands, *command) as process:
                time.sleep(chance.uniform(0, longest / 2))
                start = time.monotonic()
                try:
                    process.send(number)
                except ProcessLookupError:
                    assert process.wait().code == 0
                    is_finished = True
                    continue
                ended = process.wait(timeout=10)
                slowest = max(slowest, time.monotonic() - start)
            is_finished = ended.code == 0  # the signal came after the end
            assert is_finished or shell_code(ended.code) == CODES[number], ended
            assert last_saved(run) == last_logged(run), ended
            done += 1
            stops.append(last_saved(run))
        commands.succeed(*command)
        runs += 1
        assert weights(run) == weights(commands.folder.with_name("longer") / RUN)
    print(f"{done} signals to {runs} runs at steps {stops}, the slowest end after {slowest:.2f} s")  # noqa: T201
    assert any(0 < step < 20 for step in stops)
