"""Logging of a run: lines of metrics.jsonl, the progress bar, notes and TensorBoard. Only the first rank logs.

update ──add_update──> sums since the last line ──log_training──> a line, the figures of the bar
score  ──log_validation──> a line, a note
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlm.errors import StorageError
from charlm.evaluation.uniform_guessing import is_worse_than_uniform
from charlm.training.logs import metrics_file
from charlm.training.logs.console import Console, ProgressMetrics
from charlm.training.logs.duration_note import DurationNote
from charlm.training.logs.tensorboard_writer import TensorBoardWriter
from charlm.training.model_updater import UpdateResult
from charlm.training.run_progress import RunProgress
from charlm.training.tasks.base import Task, ValidationScore
from charlm.training.trainer_state import TrainerState


@dataclass
class _Window:
    """Sums over the updates since the last line; a skipped update counts for the speed, and not for the loss."""

    nats: float = 0.0
    applied_tokens: int = 0
    tokens: int = 0
    start: float = field(default_factory=time.monotonic)

    def add(self, update: UpdateResult) -> None:
        self.tokens += update.tokens
        if update.applied:
            self.nats += update.nats
            self.applied_tokens += update.tokens

    @property
    def nats_per_token(self) -> float:
        """The mean loss; NaN if no update was applied."""
        return self.nats / self.applied_tokens if self.applied_tokens else math.nan

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(1e-9, time.monotonic() - self.start)


class MetricsLogger:
    """The log of one run."""

    def __init__(self, path: Path, console: Console, task: Task, *, is_main: bool) -> None:
        """
        Args:
            path: the path of metrics.jsonl.
            task: what is predicted, whose unit the bits are given for.
        """
        self._path = path
        self._console = console
        self._tensorboard_writer: TensorBoardWriter | None = None
        self._tensorboard_failed = False
        self._unit = task.unit
        self._tokens_per_unit = task.targets_per_unit
        self._tokens_per_character = task.targets_per_character
        self._is_main = is_main
        self._duration_note = DurationNote()
        self.reset_window()

    def start_tensorboard(self, directory: Path, step: int) -> None:
        """Write to TensorBoard too, from `step` on."""
        if self._is_main:
            self._tensorboard_writer = TensorBoardWriter(directory, step)

    def reset_window(self) -> None:
        """Restart the sums and their clock, so that they leave out a validation."""
        self._window = _Window()

    def add_update(self, update: UpdateResult, progress: RunProgress) -> None:
        """Add an update to the sums, and note how long the run will take once that is known."""
        self._window.add(update)
        duration = self._duration_note.update(update.tokens / self._tokens_per_character, progress.fraction)
        if duration is not None and not progress.has_time_limit:
            self.note(duration)

    def note(self, text: str) -> None:
        if self._is_main:
            self._console.note(text)

    def log_training(self, state: TrainerState, progress: RunProgress, update: UpdateResult, lr: float) -> None:
        """Log the figures since the last line."""
        nats_per_token = self._window.nats_per_token
        bits = nats_per_token * self._tokens_per_unit / math.log(2)
        characters_per_second = self._window.tokens_per_second / self._tokens_per_character
        metrics = {
            "nats_per_token": _none_if_not_finite(nats_per_token),
            f"bits_per_{self._unit}": _none_if_not_finite(bits),
            "characters_per_second": round(characters_per_second, 1),
            "lr": lr,
            "gradient_norm": _none_if_not_finite(update.gradient_norm),
        }
        self._write("train", state, metrics, tokens=state.tokens, epoch=round(progress.epochs, 4))
        if self._is_main:
            fraction = progress.fraction
            time_left = _seconds_left(state.seconds, fraction)
            self._console.show_progress(
                ProgressMetrics(
                    state.step, fraction, nats_per_token, bits, characters_per_second, time_left, self._unit
                )
            )
        self.reset_window()

    def log_validation(
        self, state: TrainerState, epochs: float, score: ValidationScore, uniform_bits: float | None
    ) -> None:
        """Log a score; its note says whether it is the best one, or worse than the bits of uniform guessing."""
        self._write("valid", state, score.to_json())
        bits = score.bits
        figure = "not finite" if bits is None else f"{bits:.4f} bits per {self._unit}"
        is_best = state.validations.best_figure is not None and state.validations.best_step == state.step
        remark = " (best)" if is_best else ""
        if is_worse_than_uniform(bits, uniform_bits):
            remark = f" (worse than uniform guessing, {uniform_bits:.4f})"
        details = f", {score.details}" if score.details else ""
        self.note(f"step {state.step:,} · {epochs:.2f} epochs · validation {figure}{details}{remark}")

    def log_sample(self, state: TrainerState, text: str) -> None:
        self.note("\n".join(f"  | {line}" for line in text.splitlines()))
        self._write_tensorboard(lambda tensorboard_writer: tensorboard_writer.add_text("sample", text, state.step))

    def _write(self, kind: str, state: TrainerState, metrics: dict[str, Any], **extra: Any) -> None:
        """Write a line; a full disk loses the line, and may end the run only when a checkpoint is due."""
        if not self._is_main:
            return
        characters = round(state.tokens / self._tokens_per_character)
        record = {
            "kind": kind,
            "step": state.step,
            "seconds": round(state.seconds, 3),
            "characters_seen": characters,
        }
        try:
            metrics_file.append(self._path, record | extra | metrics)
        except StorageError as error:
            self.note(f"step {state.step:,}: {error.what}; this line of metrics.jsonl is lost")
        self._write_tensorboard(lambda tensorboard_writer: tensorboard_writer.add_scalars(kind, metrics, state.step))

    def _write_tensorboard(self, write: Callable[[TensorBoardWriter], None]) -> None:
        """Write to TensorBoard; an error of the disk loses the event, never the run, and is noted once."""
        if self._tensorboard_writer is None:
            return
        try:
            write(self._tensorboard_writer)
        except StorageError as error:
            if not self._tensorboard_failed:
                self.note(f"TensorBoard data is incomplete: {error.what}")
            self._tensorboard_failed = True


def _seconds_left(seconds: float, progress: float) -> float | None:
    """Return the time left at the average speed so far; None before any progress."""
    return None if progress <= 0 else max(0.0, seconds * (1 / progress - 1))


def _none_if_not_finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
