"""Training: truncated back-propagation through time with carried state, from nothing or from the last checkpoint.

    budget left? ──> batch(cursor) ──> learner.update ──> step + 1 ──> every so often: log, validate, save
                                                              └── a signal: save and stop

Everything a step depends on (weights, optimizer, carried state, cursor) is in the checkpoint, so an interrupted run
goes on as if it had not been interrupted. Where several ranks train, each runs this loop, and they agree on the time
and on signals before every step.
"""

import contextlib
import signal
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NoReturn

import torch

from charlm.data.batches import Batch, Cursor
from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream
from charlm.device import is_out_of_memory
from charlm.errors import DivergedError, OutOfMemoryError, StoppedError
from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.score import Score
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.sampling.decode import SamplingPlan
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import prime_generator
from charlm.training.checkpoint_writer import CheckpointWriter
from charlm.training.distributed import Distributed, SingleProcess
from charlm.training.logs.console import Console
from charlm.training.logs.metrics_logger import MetricsLogger
from charlm.training.logs.tensorboard_writer import TensorBoardWriter
from charlm.training.model_updater import UpdateResult
from charlm.training.optim.schedules import ScheduleInput
from charlm.training.resume import RunSetup, open_batches, resume, start_new
from charlm.training.run_directory import RunDirectory
from charlm.training.settings import TrainingSettings
from charlm.training.stop_signal import StopSignal
from charlm.training.validation_history import should_stop_early

_MAX_NONFINITE_STEPS = 3
_SAMPLE_TEMPERATURE = 0.7
_NUM_STATISTICS_BATCHES = 30


@dataclass(frozen=True)
class TrainingResult:
    """How a run stands when training returns."""

    steps: int
    tokens: int
    epochs: float
    seconds: float
    parameters: int
    best_step: int
    best_bits_per_character: float | None
    ended_by: str
    """The setting of `training` that ended the run."""
    already_finished: bool = False


class Trainer:
    """One run on one device of each rank."""

    def __init__(
        self,
        model_settings: ModelSettings,
        settings: TrainingSettings,
        corpus: Corpus,
        run: RunDirectory,
        *,
        device: torch.device,
        console: Console,
        start_time: float,
        ranks: Distributed | None = None,
        initial: LanguageModel | None = None,
    ) -> None:
        """
        Args:
            start_time: `time.monotonic()` at the start of the process, from which max_minutes counts.
            initial: a model whose weights a new run starts from, for fine-tuning.
        """
        self._settings = settings
        self._corpus = corpus
        self._run = run
        self._device = device
        self._start_time = start_time
        self._model_settings = model_settings
        self._ranks = ranks or SingleProcess()
        train = corpus.open("train").in_direction(model_settings.direction)
        self._valid: TokenStream = (
            corpus.open("valid").head(settings.validation_tokens).in_direction(model_settings.direction)
        )
        self._batches = open_batches(train, settings, model_settings, self._ranks.world_size)
        note = console.note if self._ranks.is_main else _ignore_note
        if self._batches.batch_size < settings.batch_size * self._ranks.world_size:
            note(
                f"the training text fills {self._batches.batch_size} rows of {settings.seq_len}, not"
                f" {settings.batch_size * self._ranks.world_size}: using a batch of {self._batches.batch_size}"
            )
        setup = RunSetup(model_settings, settings, corpus, run, self._batches, device, self._ranks)
        with _convert_memory_errors("the model does not fit into memory", "lower model.body.hidden_size"):
            is_resumed = bool(run.checkpoint_steps())
            self._updater, self._state = resume(setup, note) if is_resumed else start_new(setup, initial)
        self._previous_seconds = self._state.seconds
        self._nonfinite_steps = 0
        self._console = console
        self._checkpoint_writer = CheckpointWriter(run, corpus, model_settings, self._batches.batch_size, self._ranks)
        if is_resumed:
            self._checkpoint_writer.set_saved_step(self._state.step)
            self._ranks.run_on_main(
                lambda: self._checkpoint_writer.write_pointers(self._state, finished=self._is_finished)
            )
        uses_tensorboard = settings.tensorboard and self._ranks.is_main
        tensorboard_writer = TensorBoardWriter(run.root / "tensorboard", self._state.step) if uses_tensorboard else None
        tokens_per_character = train.num_predictions / max(1, train.count("characters"))
        self._metrics_logger = MetricsLogger(
            run, console, tensorboard_writer, tokens_per_character, is_main=self._ranks.is_main
        )

    # ---- the loop

    def run(self) -> TrainingResult:
        """Train until a budget is spent.

        Raises:
            StoppedError: a signal came; everything was saved.
            DivergedError: three steps in a row were not finite.
            OutOfMemoryError: the batch does not fit.
            StorageError: checkpoints could not be written three times in a row.
        """
        state = self._state
        if state.step and self._is_finished and state.is_validated:
            return self._outcome(already_finished=True)
        if state.step:
            self._metrics_logger.note(f"going on from step {state.step:,} of {self._run.root}")
        if self._updater.model.body.backend_name(self._updater.device) == "plain":
            self._metrics_logger.note(
                "this cell runs step by step (plain): nothing faster knows it with these settings"
            )
        rows, steps = self._settings.batch_size, self._batches.seq_len
        smaller = f"batch_size={rows // 2}" if rows > 1 else f"seq_len={max(1, steps // 2)}"
        what = f"a batch of {rows} rows of {steps} does not fit into memory"
        with (
            StopSignal(has_launcher=self._ranks.world_size > 1) as stop,
            self._console,
            _convert_memory_errors(what, f"try --set training.{smaller}"),
        ):
            self._loop(stop)
        return self._outcome()

    def _loop(self, stop: StopSignal) -> None:
        settings, state, batches = self._settings, self._state, self._batches
        rows = self._ranks.rows(batches.batch_size)
        self._synchronize(stop)
        last_save = state.seconds
        self._metrics_logger.reset_window()
        self._updater.model.train()
        if state.step and state.step % settings.validation_interval == 0 and not state.is_validated:
            self._validate(stop)  # a signal put it off
            self._save(final=False)
        while not self._is_finished:
            cursor = state.cursor
            update = self._updater.update(
                batches.batch(cursor, rows),
                self._schedule_input(),
                num_scored=batches.num_scored(cursor),
                relative_length=batches.relative_length(cursor) if settings.seq_len_varies else 1.0,
            )
            state.step += 1
            state.tokens += update.tokens
            state.cursor = batches.next_cursor(cursor)
            self._count_nonfinite_steps(update)
            self._metrics_logger.add_update(update)
            received = self._synchronize(stop)
            if state.step % settings.log_interval == 0 or state.step <= 3:
                self._metrics_logger.log_training(state, self._epochs, self._progress, update, self._updater.lr)
            received = received or self._check_late_signal(stop)
            if received is not None:
                self._save_and_stop(received)
            if state.step % settings.validation_interval == 0:
                self._validate(stop)
                self._save(final=False)
                last_save = state.seconds
            elif state.seconds - last_save >= 60 * settings.checkpoint_minutes:
                self._save(final=False)
                last_save = state.seconds
        if not state.is_validated:
            self._validate(stop)
        self._save(final=True)

    def _synchronize(self, stop: StopSignal) -> int | None:
        """Set the clock to the first rank's, and give the signal that any rank has received."""
        seconds = self._previous_seconds + time.monotonic() - self._start_time
        signal_flags = [float(stop.received == number) for number in (signal.SIGTERM, signal.SIGINT)]
        terminated, interrupted, seconds = self._ranks.all_reduce_sum(
            [*signal_flags, seconds if self._ranks.is_main else 0.0]
        )
        self._state.seconds = seconds
        if terminated or interrupted:
            return signal.SIGTERM if terminated else signal.SIGINT
        return None

    def _check_late_signal(self, stop: StopSignal) -> int | None:
        """A signal that came since; where others must agree it waits for the next step."""
        return stop.received if self._ranks.world_size == 1 else None

    def _count_nonfinite_steps(self, update: UpdateResult) -> None:
        self._nonfinite_steps = 0 if update.applied else self._nonfinite_steps + 1
        if update.applied:
            return
        step = self._state.step
        self._metrics_logger.note(f"step {step:,}: the loss or its gradient is not finite; the update is skipped")
        if self._nonfinite_steps >= _MAX_NONFINITE_STEPS:
            steps = self._run.checkpoint_steps()
            good = f"the last good checkpoint is {self._run.checkpoint(steps[-1])}" if steps else "none was saved yet"
            raise DivergedError(
                f"training diverged: {_MAX_NONFINITE_STEPS} steps in a row were not finite ({good})",
                "lower training.optimizer.lr or training.clip_norm, and train anew",
            )

    # ---- where the run stands

    @property
    def _progress(self) -> float:
        state = self._state
        return self._settings.progress(
            steps=state.step, tokens=state.tokens, epochs=self._epochs, minutes=state.seconds / 60
        )

    @property
    def _is_finished(self) -> bool:
        patience = self._settings.patience
        history = self._state.validations.history
        return self._progress >= 1 or (patience is not None and should_stop_early(history, patience))

    @property
    def _ended_by(self) -> str:
        state = self._state
        budget_fractions = self._settings.budget_fractions(
            steps=state.step, tokens=state.tokens, epochs=self._epochs, minutes=state.seconds / 60
        )
        name = max(budget_fractions, key=budget_fractions.__getitem__)
        return name if budget_fractions[name] >= 1 else "patience"

    @property
    def _epochs(self) -> float:
        return self._batches.epochs_read(self._state.cursor)

    def _schedule_input(self) -> ScheduleInput:
        state = self._state
        return ScheduleInput(state.step, state.tokens, state.seconds / 60, self._progress, state.validations.history)

    def _outcome(self, *, already_finished: bool = False) -> TrainingResult:
        state = self._state
        validations = state.validations
        return TrainingResult(
            state.step,
            state.tokens,
            self._epochs,
            self._previous_seconds if already_finished else state.seconds,
            self._updater.model.num_parameters,
            state.step if validations.best_step is None else validations.best_step,
            validations.best_bits,
            self._ended_by,
            already_finished,
        )

    # ---- what is seen and kept

    def _validate(self, stop: StopSignal) -> None:
        def check(_: int) -> None:
            received = self._synchronize(stop)
            if received is not None:
                raise _InterruptedError(received)

        updater, state = self._updater, self._state
        try:
            with updater.averaged_weights(self._statistics_batches):
                self._ranks.broadcast(list(updater.model.buffers()))
                shard_score = evaluate(
                    updater.model,
                    self._valid,
                    device=updater.device,
                    precision=updater.precision,
                    shard=(self._ranks.rank, self._ranks.world_size),
                    on_progress=check,
                )
                nats, tokens = self._ranks.all_reduce_sum([shard_score.nats, float(shard_score.tokens)])
                score = Score(nats, int(tokens), shard_score.characters, shard_score.words, shard_score.bytes)
                text = self._sample()
        except _InterruptedError as interrupted:
            self._save_and_stop(interrupted.signal_number)
        self._synchronize(stop)
        bits = score.bits_per_character
        state.validations = state.validations.with_result(state.step, bits)
        is_best = bits is not None and state.validations.best_step == state.step
        self._metrics_logger.log_validation(state, self._epochs, score, is_best=is_best)
        if text:
            self._metrics_logger.log_sample(state, text)
        self._metrics_logger.reset_window()

    def _sample(self) -> str:
        """What the model writes now; always from the same seed, so that samples can be compared."""
        settings = self._settings
        if settings.sample_length == 0 or not self._ranks.is_main:
            return ""
        sampling = SamplingPlan(settings.sample_length, (Temperature(_SAMPLE_TEMPERATURE),), settings.seed)
        model, direction = self._updater.model, self._model_settings.direction
        pieces = prime_generator(model, self._corpus.vocab, "", sampling, self._device, direction).stream_generate()
        text = "".join(pieces)
        self._updater.model.train()
        return text

    def _statistics_batches(self) -> Iterator[Batch]:
        """Training text for the statistics of averaged weights: always the same."""
        rows = self._ranks.rows(self._batches.batch_size)
        cursor = Cursor()
        for _ in range(min(_NUM_STATISTICS_BATCHES, self._batches.steps_per_epoch)):
            yield self._batches.batch(cursor, rows)
            cursor = self._batches.next_cursor(cursor)

    def _save(self, *, final: bool) -> None:
        is_finished = self._is_finished
        note = self._metrics_logger.note
        self._checkpoint_writer.save(
            self._state, self._updater, self._statistics_batches, final=final, finished=is_finished, note=note
        )

    def _save_and_stop(self, signal_number: int) -> NoReturn:
        self._save(final=True)
        raise StoppedError(
            signal_number,
            f"stopped at step {self._state.step:,}, saved in {self._run.root}",
            "the same command goes on from there",
        )


class _InterruptedError(Exception):
    """A signal came while a validation ran."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def _ignore_note(text: str) -> None:
    del text


@contextlib.contextmanager
def _convert_memory_errors(what: str, cure: str) -> Generator[None, None, None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(what, cure) from error
