"""Training: truncated back-propagation through time with carried state, from nothing or from the last checkpoint.

    budget left? ──> batch(step) ──> learner.update ──> step + 1 ──> every so often: log, validate, save
                                                             └── a signal: save and stop

Everything a step depends on (weights, optimizer, carried state, batch number) is in the checkpoint, so an interrupted
run goes on as if it had not been interrupted.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch

from charlm import storage
from charlm.checkpoint import TrainingState, load_model, load_training, save_checkpoint
from charlm.data.batches import fit_batches
from charlm.data.corpus import Corpus
from charlm.data.store import count_ids
from charlm.errors import (
    CheckpointError,
    DataError,
    DivergedError,
    OutOfMemoryError,
    StoppedError,
    StorageError,
)
from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.score import Score
from charlm.nn.settings import ModelSettings
from charlm.training.learner import Learner, Update
from charlm.training.logs import Console, Figures
from charlm.training.run import Best, RunDirectory
from charlm.training.settings import TrainingSettings
from charlm.training.signals import StopSignal

_MAX_BAD_STEPS = 3
_MAX_FAILED_SAVES = 3


@dataclass(frozen=True)
class Outcome:
    """How a run stands when training returns."""

    steps: int
    tokens: int
    epochs: float
    seconds: float
    parameters: int
    best_step: int
    best_bits_per_character: float | None
    already_finished: bool = False


class Trainer:
    """One run on one device."""

    def __init__(
        self,
        model_settings: ModelSettings,
        settings: TrainingSettings,
        corpus: Corpus,
        run: RunDirectory,
        *,
        device: torch.device,
        console: Console,
        started: float,
    ) -> None:
        """
        Args:
            started: `time.monotonic()` at the start of the process, from which max_minutes counts.
        """
        self._model_settings = model_settings
        self._settings = settings
        self._corpus = corpus
        self._run = run
        self._console = console
        self._started = started
        train = corpus.open("train").in_direction(model_settings.direction)
        self._valid = corpus.open("valid").head(settings.validation_tokens).in_direction(model_settings.direction)
        reset_tokens = settings.reset_tokens or (settings.seq_len if model_settings.counts_steps else None)
        self._batches = fit_batches(train, settings.batch_size, settings.seq_len, settings.seed, reset_tokens)
        if self._batches.batch_size < settings.batch_size:
            console.note(
                f"the training text fills {self._batches.batch_size} rows of {settings.seq_len}, not"
                f" {settings.batch_size}: using a batch of {self._batches.batch_size}"
            )
        self._tokens_per_character = train.num_predictions / max(1, train.count("characters"))
        self._step = 0
        self._tokens = 0
        self._seconds_before = 0.0
        self._best: Best | None = None
        self._bad_steps = 0
        self._failed_saves = 0
        with _memory_errors("the model does not fit into memory", "lower model.body.hidden_size"):
            if run.steps():
                self._learner = self._resume(device)
            else:
                run.cut_metrics(0)
                torch.manual_seed(settings.seed)
                model = model_settings.build(corpus.vocab.size, corpus.vocab.bags())
                model.head.set_frequencies(torch.from_numpy(count_ids(train, corpus.vocab.size)))
                self._learner = Learner(model.to(device), settings, device)

    def _resume(self, device: torch.device) -> Learner:
        directory = self._run.checkpoint(self._run.steps()[-1])
        loaded = load_model(directory, device)
        training = load_training(directory)
        facts = training.facts
        if facts.get("corpus") != self._corpus.fingerprint:
            raise DataError(
                f"{self._corpus.directory} is not the corpus of {self._run.root}: its fingerprint differs",
                "restore that corpus, or train anew with another --out",
            )
        learner = Learner(loaded.model, self._settings, device)
        try:
            learner.load_tensors(training.tensors, self._batches.batch_size)
            self._step, self._tokens = int(facts["step"]), int(facts["tokens"])
            self._seconds_before = float(facts["seconds"])
            self._best = None if facts["best"] is None else Best.from_json(facts["best"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{directory} cannot be resumed: {error}", "delete that checkpoint to resume from the one before it"
            ) from error
        marked = self._run.best()
        if marked is not None and marked.validated == self._step:  # a validation that came after its checkpoint
            self._best = marked
        self._run.cut_metrics(self._step, validated=self._best is not None and self._best.validated == self._step)
        self._mark()
        return learner

    # ---- the loop

    def run(self) -> Outcome:
        """Train until a budget is spent.

        Raises:
            StoppedError: a signal came; everything was saved.
            DivergedError: three steps in a row were not finite.
            OutOfMemoryError: the batch does not fit.
            StorageError: checkpoints could not be written three times in a row.
        """
        if self._step and self._progress() >= 1 and self._is_validated:
            return self._outcome(already_finished=True)
        if self._step:
            self._console.note(f"going on from step {self._step:,} of {self._run.root}")
        if self._learner.model.body.backend_on(self._learner.device) == "plain":
            self._console.note("this cell runs step by step (plain): nothing faster knows it with these settings")
        rows, steps = self._batches.batch_size, self._batches.seq_len
        smaller = f"batch_size={rows // 2}" if rows > 1 else f"seq_len={max(1, steps // 2)}"
        what = f"a batch of {rows} rows of {steps} does not fit into memory"
        with StopSignal() as stop, self._console, _memory_errors(what, f"try --set training.{smaller}"):
            self._loop(stop)
        return self._outcome()

    def _loop(self, stop: StopSignal) -> None:
        settings = self._settings
        last_save = time.monotonic()
        window = _Window()
        self._learner.model.train()
        if self._step and self._step % settings.validation_interval == 0 and not self._is_validated:
            self._validate(stop)  # a signal put it off
            self._save(final=False)
        while (progress := self._progress()) < 1:
            update = self._learner.update(self._batches.batch(self._step), self._step, progress)
            self._step += 1
            self._tokens += update.tokens
            self._count_bad_steps(update)
            window.add(update)
            if self._step % settings.log_interval == 0 or self._step <= 3:
                self._log(window, update.gradient_norm)
                window = _Window()
            if stop.received is not None:
                self._save_and_stop(stop.received)
            if self._step % settings.validation_interval == 0:
                self._validate(stop)
                self._save(final=False)
                last_save = time.monotonic()
                window = _Window()
            elif time.monotonic() - last_save >= 60 * settings.checkpoint_minutes:
                self._save(final=False)
                last_save = time.monotonic()
        if not self._is_validated:
            self._validate(stop)
        self._save(final=True)

    def _count_bad_steps(self, update: Update) -> None:
        self._bad_steps = 0 if update.applied else self._bad_steps + 1
        if update.applied:
            return
        self._console.note(f"step {self._step:,}: the loss or its gradient is not finite; the update is skipped")
        if self._bad_steps >= _MAX_BAD_STEPS:
            steps = self._run.steps()
            good = f"the last good checkpoint is {self._run.checkpoint(steps[-1])}" if steps else "none was saved yet"
            raise DivergedError(
                f"training diverged: {_MAX_BAD_STEPS} steps in a row were not finite ({good})",
                "lower training.optimizer.lr or training.clip_norm, and train anew",
            )

    def _progress(self) -> float:
        return self._settings.progress(steps=self._step, epochs=self._epochs, minutes=self._seconds / 60)

    @property
    def _is_validated(self) -> bool:
        """Whether the weights as they are have been validated."""
        return self._best is not None and self._best.validated == self._step

    @property
    def _epochs(self) -> float:
        return self._step / self._batches.steps_per_epoch

    @property
    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    # ---- what is seen

    def _log(self, window: "_Window", norm: float) -> None:
        nats_per_token = window.nats / max(1, window.tokens)
        bits_per_character = nats_per_token * self._tokens_per_character / math.log(2)
        rate = window.tokens / self._tokens_per_character / max(1e-9, window.seconds)
        entry = {
            "kind": "train",
            "step": self._step,
            "tokens": self._tokens,
            "epoch": round(self._epochs, 4),
            "seconds": round(self._seconds, 3),
            "nats_per_token": _finite(nats_per_token),
            "bits_per_character": _finite(bits_per_character),
            "characters_per_second": round(rate, 1),
            "lr": self._learner.lr,
            "gradient_norm": _finite(norm),
        }
        self._write_log(entry)
        progress = self._progress()
        left = None if progress <= 0 else max(0.0, self._seconds * (1 / progress - 1))
        self._console.figures(Figures(self._step, progress, nats_per_token, bits_per_character, rate, left))

    def _validate(self, stop: StopSignal) -> None:
        def check(_: int) -> None:
            if stop.received is not None:
                self._save_and_stop(stop.received)

        learner = self._learner
        score = evaluate(
            learner.model, self._valid, device=learner.device, precision=learner.precision, on_progress=check
        )
        self._record(score)

    def _record(self, score: Score) -> None:
        entry = {"kind": "valid", "step": self._step, "seconds": round(self._seconds, 3), **score.to_json()}
        self._write_log(entry)
        bits = score.bits_per_character
        lowest = (
            math.inf if self._best is None or self._best.bits_per_character is None else self._best.bits_per_character
        )
        is_best = bits is not None and bits < lowest
        if self._best is None or is_best:
            self._best = Best(self._step, bits, self._step)
        else:
            self._best = dataclasses.replace(self._best, validated=self._step)
        figure = "not finite" if bits is None else f"{bits:.4f} bits per character"
        self._console.note(
            f"step {self._step:,} · {self._epochs:.2f} epochs · validation {figure}{' (best)' if is_best else ''}"
        )

    def _write_log(self, entry: dict[str, Any]) -> None:
        """A full disk costs a line here; what it means for the run is decided when a checkpoint is due."""
        try:
            self._run.log(entry)
        except StorageError as error:
            self._console.note(f"step {self._step:,}: {error.what}; its line is lost")

    # ---- what is kept

    def _save_and_stop(self, signal_number: int) -> None:
        self._save(final=True)
        raise StoppedError(
            signal_number,
            f"stopped at step {self._step:,}, saved in {self._run.root}",
            "the same command goes on from there",
        )

    def _save(self, *, final: bool) -> None:
        """Write a checkpoint. A full disk is met by trying again at the next interval, three times in all."""
        try:
            if self._step in self._run.steps():
                self._mark()  # a validation may have come after it
            else:
                self._write_checkpoint()
            self._failed_saves = 0
        except StorageError as error:
            self._failed_saves += 1
            if self._best is not None and self._best.step not in self._run.steps():
                self._best = self._run.best()  # a best that is not on disk is none
            if final or self._failed_saves >= _MAX_FAILED_SAVES:
                raise
            self._console.note(f"no checkpoint at step {self._step:,}: {error.what}; the next interval tries again")

    def _write_checkpoint(self) -> None:
        facts = {
            "step": self._step,
            "tokens": self._tokens,
            "seconds": self._seconds,
            "best": self._best and dataclasses.asdict(self._best),
            "corpus": self._corpus.fingerprint,
            "cursor": {"batch": self._step, "batch_size": self._batches.batch_size, "seq_len": self._batches.seq_len},
        }
        trained_on = {"corpus": self._corpus.name, "fingerprint": self._corpus.fingerprint}
        directory = self._run.checkpoint(self._step)
        save_checkpoint(
            directory,
            model=self._learner.model,
            settings=self._model_settings,
            vocab=self._corpus.vocab,
            trained_on={**trained_on, "step": self._step, "tokens": self._tokens},
            training=TrainingState(facts, self._learner.tensors()),
        )
        storage.verify_manifest(directory, "check the disk")
        if self._run.metrics.exists():
            storage.sync_file(self._run.metrics)
        self._mark()
        self._run.prune(self._best.step if self._best else None)

    def _mark(self) -> None:
        self._run.mark("last", {"step": self._step, "checkpoint": self._run.checkpoint(self._step).name})
        if self._best is not None:
            best = dataclasses.asdict(self._best)
            self._run.mark("best", {"checkpoint": self._run.checkpoint(self._best.step).name, **best})

    def _outcome(self, *, already_finished: bool = False) -> Outcome:
        best = self._best or Best(self._step, None, self._step)
        return Outcome(
            self._step,
            self._tokens,
            self._epochs,
            self._seconds_before if already_finished else self._seconds,
            self._learner.model.num_parameters,
            best.step,
            best.bits_per_character,
            already_finished,
        )


class _Window:
    """Sums since the last line of the log."""

    def __init__(self) -> None:
        self.nats = 0.0
        self.tokens = 0
        self._start = time.monotonic()

    def add(self, update: Update) -> None:
        self.nats += update.nats
        self.tokens += update.tokens

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


@contextlib.contextmanager
def _memory_errors(what: str, cure: str) -> Generator[None, None, None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise OutOfMemoryError(what, cure) from error


def _is_out_of_memory(error: Exception) -> bool:
    """The ways in which torch says so; its CPU allocator has no exception of its own."""
    phrases = ("not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(phrase in str(error) for phrase in phrases)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
