"""What is told of a run: lines of metrics.jsonl, the bar, notes, TensorBoard. Only the first rank tells.

update ──add──> sums since the last line ──train──> one line, the figures of the bar
score  ──valid──> one line, a note
"""

import math
import time
from collections.abc import Callable
from typing import Any

from charlm.errors import StorageError
from charlm.evaluation.score import Score
from charlm.training.logs.console import Console, Figures
from charlm.training.logs.tensorboard_writer import Board
from charlm.training.model_updater import Update
from charlm.training.run_directory import RunDirectory
from charlm.training.trainer_state import Standing


class Journal:
    """The log of one run."""

    def __init__(
        self, run: RunDirectory, console: Console, board: Board | None, tokens_per_character: float, *, is_first: bool
    ) -> None:
        self._run = run
        self._console = console
        self._board = board
        self._board_has_lost = False
        self._tokens_per_character = tokens_per_character
        self._is_first = is_first
        self.restart()

    def restart(self) -> None:
        """Begin the sums anew: what came between was no training."""
        self._nats, self._learned, self._read, self._since = 0.0, 0, 0, time.monotonic()

    def add(self, update: Update) -> None:
        """One that was skipped took its time, and says nothing of the model."""
        self._read += update.tokens
        if update.applied:
            self._nats += update.nats
            self._learned += update.tokens

    def note(self, text: str) -> None:
        if self._is_first:
            self._console.note(text)

    def train(self, standing: Standing, epochs: float, progress: float, update: Update, lr: float) -> None:
        """One line of figures since the last one; of no update at all there is no loss."""
        nats_per_token = self._nats / self._learned if self._learned else math.nan
        bits = nats_per_token * self._tokens_per_character / math.log(2)
        rate = self._read / self._tokens_per_character / max(1e-9, time.monotonic() - self._since)
        figures = {
            "nats_per_token": _finite(nats_per_token),
            "bits_per_character": _finite(bits),
            "characters_per_second": round(rate, 1),
            "lr": lr,
            "gradient_norm": _finite(update.gradient_norm),
        }
        self._write("train", standing, figures, tokens=standing.tokens, epoch=round(epochs, 4))
        left = None if progress <= 0 else max(0.0, standing.seconds * (1 / progress - 1))
        if self._is_first:
            self._console.figures(Figures(standing.step, progress, nats_per_token, bits, rate, left))
        self.restart()

    def valid(self, standing: Standing, epochs: float, score: Score, *, is_best: bool) -> None:
        self._write("valid", standing, score.to_json())
        bits = score.bits_per_character
        figure = "not finite" if bits is None else f"{bits:.4f} bits per character"
        best = " (best)" if is_best else ""
        self.note(f"step {standing.step:,} · {epochs:.2f} epochs · validation {figure}{best}")

    def sample(self, standing: Standing, text: str) -> None:
        self.note("\n".join(f"  | {line}" for line in text.splitlines()))
        self._tell_board(lambda board: board.text("sample", text, standing.step))

    def _write(self, kind: str, standing: Standing, figures: dict[str, Any], **more: Any) -> None:
        """A full disk costs a line here; what it means for the run is decided when a checkpoint is due."""
        if not self._is_first:
            return
        characters = round(standing.tokens / self._tokens_per_character)
        seen = {
            "kind": kind,
            "step": standing.step,
            "seconds": round(standing.seconds, 3),
            "characters_seen": characters,
        }
        try:
            self._run.log(seen | more | figures)
        except StorageError as error:
            self.note(f"step {standing.step:,}: {error.what}; its line is lost")
        self._tell_board(lambda board: board.figures(kind, figures, standing.step))

    def _tell_board(self, tell: Callable[[Board], None]) -> None:
        """A disk that fails costs what TensorBoard would show, never the run; that is said once."""
        if self._board is None:
            return
        try:
            tell(self._board)
        except StorageError as error:
            if not self._board_has_lost:
                self.note(f"TensorBoard is not told all: {error.what}")
            self._board_has_lost = True


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
