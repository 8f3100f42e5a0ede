"""Several processes that train one model, started by torchrun and connected by gloo."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Commands, Ended, until
from tests.workspaces import RUN, metrics, steps, tour_labels, tour_targets, weights

PAIR = Path("runs/pair")
TRAIN = ("train", "--config", "tiny", "--set", "training.log_interval=1", "--set", "training.precision=fp32")
LONG = ("--set", "training.max_steps=100000", "--set", "training.validation_interval=100000")


class Job:
    """Two ranks, in a new session."""

    def __init__(self, folder: Path, *command: str) -> None:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        self.process = subprocess.Popen(
            [*launcher, "-m", "charlm", *command],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.stdout = self.stderr = ""

    def rank(self, number: int) -> int:
        """The process identifier of one rank."""
        return next(pid for pid, environment in self.workers().items() if f"RANK={number}".encode() in environment)

    def workers(self) -> dict[int, list[bytes]]:
        """Process identifier and environment of each rank that runs."""
        found: dict[int, list[bytes]] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                parent = re.findall(r"^PPid:\s+(\d+)", (entry / "status").read_text(), re.MULTILINE)
                if parent == [str(self.process.pid)]:
                    found[int(entry.name)] = (entry / "environ").read_bytes().split(b"\0")
        return found

    def wait(self, timeout: float = 120) -> int:
        self.stdout, self.stderr = self.process.communicate(timeout=timeout)
        return self.process.returncode

    @property
    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("charlm: error")]


@contextmanager
def started(folder: Path, *command: str) -> Generator[Job]:
    job = Job(folder, *command)
    try:
        yield job
    finally:
        if job.process.poll() is None:
            for process in (*job.workers(), job.process.pid):  # each in its own session
                os.kill(process, signal.SIGKILL)
            job.process.communicate()


def rank_environments() -> list[dict[str, str]]:
    """Return what torchrun gives to each of two ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    of_all = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{**of_all, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]


def run_ranks(commands: Commands, *command: str) -> list[Ended]:
    """Run two ranks without torchrun, whose three processes take seconds to import torch."""
    with ExitStack() as stack:
        ranks = [
            stack.enter_context(replace(commands, environment={**commands.environment, **own}).start(*command))
            for own in rank_environments()
        ]
        ended = [rank.wait() for rank in ranks]
    assert [each.code for each in ended] == [0, 0], ended
    return ended


def pair(commands: Commands, *command: str) -> Job:
    with started(commands.folder, *TRAIN, "--out", str(PAIR), *command) as job:
        assert job.wait() == 0, job.stderr
    return job


def losses(run: Path) -> list[tuple[str, int, float]]:
    return [(line["kind"], line["step"], line["bits_per_character"]) for line in metrics(run)]


def close(mine: list[tuple[str, int, float]], other: list[tuple[str, int, float]]) -> bool:
    same = [line[:2] for line in mine] == [line[:2] for line in other]
    return same and all(a[2] == pytest.approx(b[2], rel=1e-5) for a, b in zip(mine, other, strict=True))


def test_two_ranks_equal_one_with_twice_the_batch(workspace: Commands) -> None:
    """Losses and validations are equal to rounding; there is one checkpoint, one log, one result."""
    job = pair(workspace)
    workspace.succeed(*TRAIN, "--out", "runs/alone", "--set", "training.batch_size=8")
    alone = workspace.folder / "runs/alone"
    assert close(losses(workspace.folder / PAIR), losses(alone))
    assert steps(workspace.folder / PAIR) == steps(alone) == [10, 20]
    assert job.stdout.count("best validation") == 1
    assert job.stderr.count("2 processes") == 1
    again = run_ranks(workspace, *TRAIN, "--out", str(PAIR))
    assert ["is finished" in rank.stdout for rank in again] == [True, False]


def test_two_ranks_with_ngrams_equal_one_with_twice_the_batch(workspace: Commands) -> None:
    ngrams = (
        "--set",
        "model.ngram.order=5",
        "--set",
        "training.max_steps=6",
        "--set",
        "training.validation_interval=3",
    )
    run_ranks(workspace, *TRAIN, "--out", str(PAIR), *ngrams)
    workspace.succeed(*TRAIN, "--out", "runs/alone", *ngrams, "--set", "training.batch_size=8")
    assert close(losses(workspace.folder / PAIR), losses(workspace.folder / "runs/alone"))


def interrupted_and_resumed(commands: Commands, number: signal.Signals, rank: int, settings: tuple[str, ...]) -> None:
    """A signal to one rank stops and saves both; the resumed job ends with the weights of an uninterrupted one."""
    run = commands.folder / PAIR
    shutil.rmtree(run, ignore_errors=True)
    with started(commands.folder, *TRAIN, "--out", str(PAIR), *settings, *LONG) as job:
        until(lambda: (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").read_bytes().count(b"\n") >= 3)
        begun = time.monotonic()
        os.kill(job.rank(rank), number)
        job.wait(timeout=30)
        assert time.monotonic() - begun < 10
    (stopped,) = steps(run)
    assert metrics(run)[-1]["step"] == stopped, "the step that was going on is the last one, and saved"
    assert [f"stopped at step {stopped:,}, saved in {PAIR}" in line for line in job.errors] == [True]
    goal = ("--set", f"training.max_steps={stopped + 7}", "--set", "training.validation_interval=100000")
    run_ranks(commands, *TRAIN, "--out", str(PAIR), *settings, *goal)
    shutil.rmtree(commands.folder / "runs/whole", ignore_errors=True)
    run_ranks(commands, *TRAIN, "--out", "runs/whole", *settings, *goal)
    assert weights(run) == weights(commands.folder / "runs/whole")


def test_a_signal_to_one_rank_stops_both_and_nothing_is_lost(workspace: Commands) -> None:
    interrupted_and_resumed(workspace, signal.SIGTERM, 1, ("--set", "training.schedule.type=constant"))


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "settings",
    [
        ("model.body.dropout=0.3", "model.body.output_dropout=0.2"),
        ("model.body.cell.type=gru", "model.body.norm=layer", "training.averaging.type=ema"),
        ("training.micro_batches=2", "model.embedding.context_ngrams=[2,3]", "training.seq_len_varies=true"),
    ],
    ids=["dropout", "averaged", "sparse"],
)
def test_six_of_six_resume_to_the_bit(workspace: Commands, number: signal.Signals, settings: tuple[str, ...]) -> None:
    options = [word for setting in settings for word in ("--set", setting)]
    interrupted_and_resumed(workspace, number, int(number == signal.SIGINT), tuple(options))


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.faults), 1])
def test_a_killed_rank_ends_the_job_with_one_line(workspace: Commands, rank: int) -> None:
    run = workspace.folder / PAIR
    with started(workspace.folder, *TRAIN, "--out", str(PAIR), *LONG) as job:
        until((run / "metrics.jsonl").exists)
        os.kill(job.rank(rank), signal.SIGKILL)
        assert job.wait(timeout=30) != 0
    assert len(job.errors) == 1
    assert "another process of this job has ended" in job.errors[0]
    assert "Traceback" not in job.stderr.split("torch/distributed")[0]


BESIDE: dict[str, tuple[str, ...]] = {
    "labels": ("--data", "numbers"),
    "tags": ("--data", "words", "--set", "model.direction=both"),
    "texts with a given label": ("--data", "given"),
    "texts for texts": ("--data", "pairs", "--set", "model.condition.type=source"),
    "a second run": ("--init-from", "tiny-texts"),
    "micro-batches": ("--set", "training.micro_batches=2"),
    "batch normalisation": ("--set", "model.body.norm=batch", "--set", "model.body.dropout=0.2"),
    "an average": ("--set", "training.averaging.type=ema"),
    "lengths that vary": ("--set", "training.seq_len_varies=true"),
    "n-grams": ("--set", "model.embedding.context_ngrams=[2,3]"),
    "validations": ("--set", "training.validation_interval=1"),
    "patience": ("--set", "training.validation_interval=1", "--set", "training.patience=1000"),
    "TensorBoard": ("--set", "training.tensorboard=true", "--set", "training.validation_interval=1"),
}
"""What a job does -> its options."""
STEPS = 120
SMALL = [
    *("--set", f"training.max_steps={STEPS}", "--set", "training.validation_interval=9"),
    *("--set", "training.precision=fp32", "--set", "training.log_interval=1", "--set", "training.batch_size=4"),
    *("--set", "training.seq_len=32", "--set", "model.body.hidden_size=16", "--set", "model.embedding.size=8"),
    *("--set", "training.schedule.type=constant"),
]


def add_examples(commands: Commands) -> None:
    """Add the corpora `numbers`, `words`, `given` and `pairs`."""
    tour_labels(commands)
    tour_targets(commands)
    tree = "".join(
        f"1\tword{number}\t_\tNOUN\t_\t_\t_\t_\t_\t_\n2\t{number}\t_\tNUM\t_\t_\t_\t_\t_\t_\n\n" for number in range(60)
    )
    (commands.folder / "bank.conllu").write_text(tree, encoding="utf-8")
    commands.succeed(*"prepare --task tag --input bank.conllu --workers 1 --out data/words".split())


@pytest.mark.faults
@pytest.mark.parametrize("name", BESIDE)
def test_a_job_goes_on_after_a_rank_was_killed_twice(workspace: Commands, name: str) -> None:
    """Each failure gives one error line and leaves no process; the job ends with the weights of an undisturbed one."""
    add_examples(workspace)
    run = workspace.folder / PAIR
    train = ("train", "--data", "texts", *SMALL, *BESIDE[name])  # of a repeated option, the last one counts
    for attempt, rank in enumerate((1, 0), start=1):
        num_lines = 25 * attempt
        with started(workspace.folder, *train, "--out", str(PAIR)) as job:
            until(lambda: num_logged(run) >= num_lines or job.process.poll() is not None)  # noqa: B023 - called at once
            ranks = job.workers()
            os.kill(job.rank(rank), signal.SIGKILL)
            assert job.wait(timeout=60) != 0
        assert [line for line in job.errors if "another process of this job has ended" not in line] == []
        assert len(job.errors) == 1, job.stderr
        assert "Traceback" not in job.stderr.split("torch/distributed")[0], job.stderr
        assert not [pid for pid in ranks if Path(f"/proc/{pid}/cmdline").exists()]
    for out in (str(PAIR), "runs/whole"):
        with started(workspace.folder, *train, "--out", out) as job:
            assert job.wait() == 0, job.stderr
    assert steps(run)[-1] == steps(workspace.folder / "runs/whole")[-1] == STEPS
    assert weights(run) == weights(workspace.folder / "runs/whole")
    assert not [path for path in run.rglob("*") if ".partial" in path.name or ".tmp" in path.name]


def num_logged(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("--set", "training.batch_size=0"), "training.batch_size"),
        (("--set", "training.seed=9", "--out", str(RUN)), "was trained with other settings"),
    ],
    ids=["all", "first"],
)
def test_an_error_is_printed_once(workspace: Commands, settings: tuple[str, ...], words: str) -> None:
    with started(workspace.folder, "train", "--config", "tiny", *settings) as job:
        assert job.wait() != 0
    assert len(job.errors) == 1, job.stderr
    assert words in job.errors[0]


@pytest.mark.faults
def test_a_run_resumes_with_another_number_of_ranks_and_notes_it(workspace: Commands) -> None:
    """Four rows of one process become two rows of each of two: the same text, and without dropout the same losses."""
    halves: dict[str, Any] = {"alone": ("--set", "training.batch_size=4"), "pair": ("--set", "training.batch_size=2")}
    workspace.succeed(*TRAIN, "--out", str(PAIR), *halves["alone"], "--set", "training.max_steps=10")
    job = pair(workspace, *halves["pair"])
    assert "processes 1 -> 2" in job.stderr
    assert "not bit-exact" in job.stderr
    workspace.succeed(*TRAIN, "--out", "runs/alone", *halves["alone"])
    assert close(losses(workspace.folder / PAIR), losses(workspace.folder / "runs/alone"))


LEAVES = """
import gc, os, sys, torch, torch._dynamo
from pathlib import Path
from charlm.training.distributed import init_distributed

def threads():
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return sorted(name for name in names if "gloo" in name)

other = os.fork()  # the second rank, with all that is imported already
os.environ["RANK"] = "0" if other else "1"
ranks = init_distributed(torch.device("cpu"))
module = ranks.wrap_module(torch.nn.Linear(3, 3), [])
try:
    with ranks.connected():
        module(torch.ones(2, 3)).sum().backward()
        assert threads(), "the names of gloo's threads have changed"
        if sys.argv[1] == "raises":
            raise KeyError
except KeyError:
    pass
assert not threads(), threads()
assert not other or os.waitpid(other, 0)[1] == 0
"""


@pytest.mark.parametrize("way", ["returns", "raises"])
def test_no_thread_outlives_the_group_though_the_module_does(tmp_path: Path, way: str) -> None:
    """A gloo thread that is alive when the interpreter ends sometimes aborts the process or waits for ever."""
    script = tmp_path / "leaves.py"
    script.write_text(LEAVES)
    environment = os.environ | rank_environments()[0]
    done = subprocess.run(
        [sys.executable, str(script), way], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
