"""A long run: its memory does not grow, and the loop takes little more time than its steps.

CHARLM_SOAK_MINUTES   how long the long version trains (30)
"""

import itertools
import os
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from charlm import storage
from charlm.data.corpus import Corpus
from charlm.device import retain_freed_memory
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.settings import ModelSettings
from charlm.training.distributed import SingleProcess
from charlm.training.logs.console import Console, ProgressMetrics
from charlm.training.model_updater import ModelUpdater
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.run_directory import RunDirectory
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.build import build_task
from charlm.training.trainer import Trainer
from tests.corpora import build_corpus

CPU = torch.device("cpu")
MODEL = ModelSettings(embedding=TokenEmbeddingSettings(size=64), body=RecurrentSettings(hidden_size=256, dropout=0.1))
TEXT = {"a.txt": "It was a bright cold day, and the clocks were striking thirteen. " * 4_000}
SMALL = 5 / 60


def anonymous_memory() -> float:
    """MiB of this process's anonymous memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


class Watch(Console):
    """Notes memory and time at every log line."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.seen: list[tuple[float, float]] = []

    def show_progress(self, metrics: ProgressMetrics) -> None:
        super().show_progress(metrics)
        self.seen.append((time.monotonic(), anonymous_memory()))


def settings(minutes: float, **changes: Any) -> TrainingSettings:
    chosen: dict[str, Any] = {"batch_size": 16, "seq_len": 64, "log_interval": 5, "validation_interval": 400}
    return TrainingSettings(max_minutes=minutes, checkpoint_minutes=min(1.0, minutes / 3), **chosen | changes)


@pytest.mark.parametrize(
    ("minutes", "limit"),
    [
        (SMALL, 150),  # too short to find a leak: it tests the measurement
        pytest.param(float(os.environ.get("CHARLM_SOAK_MINUTES", "30")), 20, marks=pytest.mark.faults),
    ],
)
def test_memory_does_not_grow(tmp_path: Path, minutes: float, limit: float) -> None:
    """Memory grows by at most this many MiB after the first tenth, with validations, checkpoints and the log."""
    retain_freed_memory(CPU)
    corpus = build_corpus(tmp_path / "corpus", TEXT)
    run = RunDirectory(tmp_path / "run")
    storage.make_directory(run.root)
    watch = Watch()
    start_time = time.monotonic()
    outcome = Trainer(MODEL, settings(minutes), corpus, run, device=CPU, console=watch, start_time=start_time).run()
    warm = [memory for when, memory in watch.seen if when - start_time >= 6 * minutes]
    grown = max(warm[-3:]) - warm[0]
    print(f"{outcome.steps:,} steps in {minutes:.1f} min: {warm[0]:.1f} -> {max(warm[-3:]):.1f} MiB")  # noqa: T201
    assert len(run.checkpoint_steps()) >= 2
    assert grown <= limit


@pytest.mark.faults
def test_the_loop_adds_little_time(tmp_path: Path) -> None:
    """Data, log, bar and a checkpoint a minute add at most 3 % to the bare step; both alternate every half minute."""
    corpus = build_corpus(tmp_path / "corpus", TEXT)
    chosen = settings(1.0, log_interval=50, validation_interval=10**9)
    shares: list[float] = []
    for turn in range(4):
        bare = bare_step(corpus, chosen)
        run = RunDirectory(tmp_path / f"run{turn}")
        storage.make_directory(run.root)
        watch = Watch()
        trainer = Trainer(MODEL, chosen, corpus, run, device=CPU, console=watch, start_time=time.monotonic())
        trainer.run()
        after = bare_step(corpus, chosen)
        whole = (watch.seen[-1][0] - watch.seen[5][0]) / (50 * (len(watch.seen) - 6))
        shares.append(2 * whole / (bare + after) - 1)
    print(f"the loop over the bare step: {[f'{share:+.1%}' for share in shares]}")  # noqa: T201
    assert statistics.median(shares) <= 0.03


def bare_step(corpus: Corpus, chosen: TrainingSettings) -> float:
    """Seconds of `updater.update` on one batch that is already loaded."""
    batches = build_task(corpus).open_batches(chosen, MODEL, 1)
    batch = batches.batch(batches.start)
    updater = ModelUpdater(build_model(MODEL, corpus.vocab.size).train(), chosen, CPU, SingleProcess())
    times: list[float] = []
    for step in itertools.count():
        start = time.perf_counter()
        updater.update(batch, ScheduleInput(step, 0, 0.0, 0.0), num_scored=16 * 64)
        times.append(time.perf_counter() - start)
        if sum(times) > 15:
            return statistics.mean(times[20:])
    raise AssertionError
