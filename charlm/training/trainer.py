"""Training: truncated back-propagation through time with carried state, from new weights or the last checkpoint.

    budget left? ──> batch(cursor) ──> updater.update ──> step + 1 ──> at intervals: log, validate, save
                                                              └── a signal: save and stop

Checkpoints hold everything that a step depends on (weights, optimizer, carried state, cursor), so an interrupted run
resumes as if it had not been interrupted. Each of several ranks runs this loop; after every step they agree on the
time and on signals.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import torch

from charlm.data.corpus import Corpus
from charlm.device import memory_errors
from charlm.errors import DivergedError, StoppedError
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModels
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.training.checkpoint_writer import CheckpointWriter
from charlm.training.distributed import Distributed, SingleProcess
from charlm.training.logs.console import Console
from charlm.training.logs.metrics_logger import MetricsLogger
from charlm.training.model_updater import UpdateResult
from charlm.training.norm_statistics import statistics_batches
from charlm.training.resume import resume, start_new
from charlm.training.run_directory import RunDirectory
from charlm.training.run_progress import RunProgress
from charlm.training.settings import TrainingSettings
from charlm.training.stop_signal import STOP_SIGNALS, InterruptedBySignalError, StopSignal
from charlm.training.tasks.base import Task, TrainingBatches
from charlm.training.tasks.build import build_task
from charlm.training.trainer_state import TrainingResult
from charlm.training.validator import Validator

_MAX_NONFINITE_STEPS = 3


class Trainer:
    """Trains one run, on one device of each rank."""

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
        start: Callable[[LanguageModel], None] | None = None,
        frozen: FrozenModels = NO_FROZEN_MODELS,
    ) -> None:
        """Open the corpus, and the last checkpoint if the run has one.

        Args:
            start_time: `time.monotonic()` at the start of the process, from which max_minutes counts.
            initial: a model whose weights a new run starts from, for fine-tuning.
            start: changes the weights that a new run has drawn.
            frozen: the frozen language models of a new run.
        """
        self._settings = settings
        self._run = run
        self._device = device
        self._console = console
        self._start_time = start_time
        self._ranks = ranks or SingleProcess()
        self._nonfinite_steps = 0
        task = build_task(corpus)
        task.check_settings(model_settings, settings)
        task.on_note = console.note
        self._validator = Validator(task.open_validation(settings, model_settings), self._ranks)
        self.batches: TrainingBatches = task.open_batches(settings, model_settings, self._ranks.world_size)
        self._rows = self._ranks.rows(self.batches.batch_size)
        self._statistics_batches = partial(statistics_batches, self.batches, self._rows)
        self._logger = MetricsLogger(run.metrics_path, console, task, is_main=self._ranks.is_main)
        requested, rows = settings.batch_size * self._ranks.world_size, self.batches.batch_size
        if rows < requested:
            self._logger.note(
                f"the training text fills {rows} rows of {settings.seq_len}, not {requested}: using a batch of {rows}"
            )
        self._checkpoint_writer = CheckpointWriter(run, corpus, model_settings, rows, self._ranks)
        is_new = not run.checkpoint_steps()
        for note in self.batches.notes if is_new else ():
            self._logger.note(note)
        if is_new:
            _count_ngrams(task, model_settings)
        with memory_errors("the model does not fit into memory", "lower model.body.hidden_size"):
            torch.manual_seed(settings.seed)
            if is_new:
                model = (
                    task.new_model(model_settings, frozen)
                    if initial is None
                    else task.adapt_model(initial, model_settings)
                )
                if start is not None:
                    start(model)
                self._updater, self._state = start_new(
                    run, model, settings, device, self._ranks, task.new_state(self.batches, settings)
                )
            else:
                self._updater, self._state = resume(
                    run, task, settings, self.batches, device, self._ranks, self._logger.note
                )
        self._progress = RunProgress(settings, self.batches, self._state)
        self._previous_seconds = self._state.seconds
        if not is_new:
            if not self._progress.is_finished:
                _count_ngrams(task, model_settings)
            self._checkpoint_writer.set_saved_step(self._state.step)
            self._ranks.run_on_main(
                lambda: self._checkpoint_writer.write_pointers(self._state, finished=self._progress.is_finished)
            )
        if settings.tensorboard:
            self._logger.start_tensorboard(run.root / "tensorboard", self._state.step)

    @property
    def model(self) -> LanguageModel:
        return self._updater.model

    def run(self) -> TrainingResult:
        """Train until a budget is used up, or validations stop improving.

        Raises:
            StoppedError: a signal came; everything was saved.
            DivergedError: three steps in a row were not finite.
            OutOfMemoryError: the batch does not fit.
            StorageError: checkpoints could not be written three times in a row.
        """
        state = self._state
        if self._progress.is_finished and state.is_validated:
            return self._result(already_finished=True)
        if state.step:
            self._logger.note(f"resuming {self._run.root} from step {state.step:,}")
        if self._updater.model.body.backend_name(self._device) == "plain":
            self._logger.note(
                "this cell runs step by step (plain): no faster backend supports the cell with these settings"
            )
        rows, steps = self._settings.batch_size, self.batches.seq_len
        smaller = f"batch_size={rows // 2}" if rows > 1 else f"seq_len={max(1, steps // 2)}"
        what = f"a batch of {rows} rows of {steps} does not fit into memory"
        with (
            StopSignal(has_launcher=self._ranks.world_size > 1) as stop,
            self._console,
            memory_errors(what, f"try --set training.{smaller}"),
        ):
            self._loop(stop)
        return self._result()

    def _loop(self, stop: StopSignal) -> None:
        settings, state = self._settings, self._state
        state.seconds, _ = self._agree_on_time_and_signal(stop)
        last_save = state.seconds
        self._logger.reset_window()
        self._updater.model.train()
        if state.step and state.step % settings.validation_interval == 0 and not state.is_validated:
            self._validate(stop)  # a signal interrupted this validation
            self._save(final=False)
        if state.step == 0 and self._progress.is_finished:
            ended_by = self._progress.ended_by
            self._logger.note(
                "the time was over before the first step: the weights are new; raise training.max_minutes"
                if ended_by == "max_minutes"
                else f"training.{ended_by} is 0: the weights are new"
            )
        while not self._progress.is_finished:
            update = self._step()
            state.seconds, received = self._agree_on_time_and_signal(stop)
            if state.step % settings.log_interval == 0 or state.step <= 3:
                self._logger.log_training(state, self._progress, update, self._updater.lr)
            if received is None and self._ranks.world_size == 1:
                received = stop.received  # it arrived while logging; several ranks agree on it at the next step
            if received is not None:
                self._save_and_stop(received)
            is_validation = state.step % settings.validation_interval == 0
            if is_validation:
                self._validate(stop)
            if is_validation or state.seconds - last_save >= 60 * settings.checkpoint_minutes:
                self._save(final=False)
                last_save = state.seconds
        if not state.is_validated:
            self._validate(stop)
        self._save(final=True)

    def _step(self) -> UpdateResult:
        state, batches = self._state, self.batches
        cursor = state.cursor
        update = self._updater.update(
            batches.batch(cursor, self._rows),
            self._progress.schedule_input(),
            num_scored=batches.num_scored(cursor),
            relative_length=batches.relative_length(cursor) if self._settings.seq_len_varies else 1.0,
        )
        state.step += 1
        state.tokens += update.tokens
        state.cursor = batches.next_cursor(cursor)
        self._count_nonfinite_steps(update)
        self._logger.add_update(update, self._progress)
        return update

    def _agree_on_time_and_signal(self, stop: StopSignal) -> tuple[float, int | None]:
        """Return the seconds of the run by the first rank's clock, and the signal that any rank has received."""
        seconds = self._previous_seconds + time.monotonic() - self._start_time
        flags = [float(stop.received == number) for number in STOP_SIGNALS]
        *flags, seconds = self._ranks.all_reduce_sum([*flags, seconds if self._ranks.is_main else 0.0])
        return seconds, next((number for number, flag in zip(STOP_SIGNALS, flags, strict=True) if flag), None)

    def _count_nonfinite_steps(self, update: UpdateResult) -> None:
        self._nonfinite_steps = 0 if update.applied else self._nonfinite_steps + 1
        if update.applied:
            return
        step = self._state.step
        self._logger.note(f"step {step:,}: the loss or its gradient is not finite; the update is skipped")
        if self._nonfinite_steps >= _MAX_NONFINITE_STEPS:
            steps = self._run.checkpoint_steps()
            good = f"the last good checkpoint is {self._run.checkpoint(steps[-1])}" if steps else "none was saved yet"
            raise DivergedError(
                f"training diverged: {_MAX_NONFINITE_STEPS} steps in a row were not finite ({good})",
                "lower training.optimizer.lr or training.clip_norm, and train again with --overwrite",
            )

    def _result(self, *, already_finished: bool = False) -> TrainingResult:
        state, validations = self._state, self._state.validations
        return TrainingResult(
            state.step,
            state.tokens,
            self._progress.epochs,
            self._previous_seconds if already_finished else state.seconds,
            self._updater.model.num_parameters,
            state.step if validations.best_step is None else validations.best_step,
            validations.best_bits,
            self._validator.uniform_bits,
            self._progress.ended_by,
            already_finished,
            validations.unit,
        )

    def _validate(self, stop: StopSignal) -> None:
        state = self._state

        def check(_: int) -> None:
            state.seconds, received = self._agree_on_time_and_signal(stop)
            if received is not None:
                raise InterruptedBySignalError(received)

        try:
            score, text = self._validator.validate(self._updater, self._statistics_batches, check)
        except InterruptedBySignalError as interrupted:
            self._save_and_stop(interrupted.signal_number)
        state.seconds, _ = self._agree_on_time_and_signal(stop)
        state.validations = state.validations.with_result(state.step, score.bits, score.figure(self._settings.select))
        self._logger.log_validation(state, self._progress.epochs, score, self._validator.uniform_bits)
        if text:
            self._logger.log_sample(state, text)
        self._logger.reset_window()

    def _save(self, *, final: bool) -> None:
        finished, note = self._progress.is_finished, self._logger.note
        self._checkpoint_writer.save(
            self._state, self._updater, self._statistics_batches, final=final, finished=finished, note=note
        )

    def _save_and_stop(self, signal_number: int) -> NoReturn:
        self._save(final=True)
        raise StoppedError(
            signal_number,
            f"stopped at step {self._state.step:,}, saved in {self._run.root}",
            "run the same command again to resume",
        )


def _count_ngrams(task: Task, model_settings: ModelSettings) -> None:
    """Count the n-grams that a model with these settings has, which the task keeps."""
    with memory_errors("the n-grams do not fit into memory", "lower model.ngram.max_tokens or model.ngram.order"):
        task.ngram_tables(model_settings)
