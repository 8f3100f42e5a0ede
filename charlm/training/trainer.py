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
from charlm.sampling.decode import Sampling
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import read_prompt
from charlm.training.checkpoint_writer import Keeper
from charlm.training.distributed import Alone, Ranks
from charlm.training.logs.console import Console
from charlm.training.logs.metrics_logger import Journal
from charlm.training.logs.tensorboard_writer import Board
from charlm.training.model_updater import Update
from charlm.training.optim.schedules import Moment
from charlm.training.resume import Start, begin, open_batches, resume
from charlm.training.run_directory import RunDirectory
from charlm.training.settings import TrainingSettings
from charlm.training.stop_signal import StopSignal
from charlm.training.validation_history import is_exhausted

_MAX_BAD_STEPS = 3
_SAMPLE_TEMPERATURE = 0.7
_STATISTICS_BATCHES = 30


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
        started: float,
        ranks: Ranks | None = None,
        initial: LanguageModel | None = None,
    ) -> None:
        """
        Args:
            started: `time.monotonic()` at the start of the process, from which max_minutes counts.
            initial: a model whose weights a new run starts from, for fine-tuning.
        """
        self._settings = settings
        self._corpus = corpus
        self._run = run
        self._device = device
        self._started = started
        self._model_settings = model_settings
        self._ranks = ranks or Alone()
        train = corpus.open("train").in_direction(model_settings.direction)
        self._valid: TokenStream = (
            corpus.open("valid").head(settings.validation_tokens).in_direction(model_settings.direction)
        )
        self._batches = open_batches(train, settings, model_settings, self._ranks.size)
        note = console.note if self._ranks.is_first else _say_nothing
        if self._batches.batch_size < settings.batch_size * self._ranks.size:
            note(
                f"the training text fills {self._batches.batch_size} rows of {settings.seq_len}, not"
                f" {settings.batch_size * self._ranks.size}: using a batch of {self._batches.batch_size}"
            )
        start = Start(model_settings, settings, corpus, run, self._batches, device, self._ranks)
        with _memory_errors("the model does not fit into memory", "lower model.body.hidden_size"):
            is_resumed = bool(run.steps())
            self._learner, self._standing = resume(start, note) if is_resumed else begin(start, initial)
        self._seconds_before = self._standing.seconds
        self._bad_steps = 0
        self._console = console
        self._keeper = Keeper(run, corpus, model_settings, self._batches.batch_size, self._ranks)
        if is_resumed:
            self._keeper.found(self._standing.step)
            self._ranks.first_only(lambda: self._keeper.mark(self._standing, finished=self._is_over))
        has_board = settings.tensorboard and self._ranks.is_first
        board = Board(run.root / "tensorboard", self._standing.step) if has_board else None
        tokens_per_character = train.num_predictions / max(1, train.count("characters"))
        self._journal = Journal(run, console, board, tokens_per_character, is_first=self._ranks.is_first)

    # ---- the loop

    def run(self) -> Outcome:
        """Train until a budget is spent.

        Raises:
            StoppedError: a signal came; everything was saved.
            DivergedError: three steps in a row were not finite.
            OutOfMemoryError: the batch does not fit.
            StorageError: checkpoints could not be written three times in a row.
        """
        standing = self._standing
        if standing.step and self._is_over and standing.is_validated:
            return self._outcome(already_finished=True)
        if standing.step:
            self._journal.note(f"going on from step {standing.step:,} of {self._run.root}")
        if self._learner.model.body.backend_on(self._learner.device) == "plain":
            self._journal.note("this cell runs step by step (plain): nothing faster knows it with these settings")
        rows, steps = self._settings.batch_size, self._batches.seq_len
        smaller = f"batch_size={rows // 2}" if rows > 1 else f"seq_len={max(1, steps // 2)}"
        what = f"a batch of {rows} rows of {steps} does not fit into memory"
        with (
            StopSignal(is_launched=self._ranks.size > 1) as stop,
            self._console,
            _memory_errors(what, f"try --set training.{smaller}"),
        ):
            self._loop(stop)
        return self._outcome()

    def _loop(self, stop: StopSignal) -> None:
        settings, standing, batches = self._settings, self._standing, self._batches
        rows = self._ranks.rows(batches.batch_size)
        self._agree(stop)
        last_save = standing.seconds
        self._journal.restart()
        self._learner.model.train()
        if standing.step and standing.step % settings.validation_interval == 0 and not standing.is_validated:
            self._validate(stop)  # a signal put it off
            self._save(final=False)
        while not self._is_over:
            cursor = standing.cursor
            update = self._learner.update(
                batches.batch(cursor, rows),
                self._moment(),
                num_scored=batches.num_scored(cursor),
                length_share=batches.length_share(cursor) if settings.seq_len_varies else 1.0,
            )
            standing.step += 1
            standing.tokens += update.tokens
            standing.cursor = batches.after(cursor)
            self._count_bad_steps(update)
            self._journal.add(update)
            received = self._agree(stop)
            if standing.step % settings.log_interval == 0 or standing.step <= 3:
                self._journal.train(standing, self._epochs, self._progress, update, self._learner.lr)
            received = received or self._late(stop)
            if received is not None:
                self._save_and_stop(received)
            if standing.step % settings.validation_interval == 0:
                self._validate(stop)
                self._save(final=False)
                last_save = standing.seconds
            elif standing.seconds - last_save >= 60 * settings.checkpoint_minutes:
                self._save(final=False)
                last_save = standing.seconds
        if not standing.is_validated:
            self._validate(stop)
        self._save(final=True)

    def _agree(self, stop: StopSignal) -> int | None:
        """Set the clock to the first rank's, and give the signal that any rank has received."""
        seconds = self._seconds_before + time.monotonic() - self._started
        told = [float(stop.received == number) for number in (signal.SIGTERM, signal.SIGINT)]
        terminated, interrupted, seconds = self._ranks.total([*told, seconds if self._ranks.is_first else 0.0])
        self._standing.seconds = seconds
        if terminated or interrupted:
            return signal.SIGTERM if terminated else signal.SIGINT
        return None

    def _late(self, stop: StopSignal) -> int | None:
        """A signal that came since; where others must agree it waits for the next step."""
        return stop.received if self._ranks.size == 1 else None

    def _count_bad_steps(self, update: Update) -> None:
        self._bad_steps = 0 if update.applied else self._bad_steps + 1
        if update.applied:
            return
        step = self._standing.step
        self._journal.note(f"step {step:,}: the loss or its gradient is not finite; the update is skipped")
        if self._bad_steps >= _MAX_BAD_STEPS:
            steps = self._run.steps()
            good = f"the last good checkpoint is {self._run.checkpoint(steps[-1])}" if steps else "none was saved yet"
            raise DivergedError(
                f"training diverged: {_MAX_BAD_STEPS} steps in a row were not finite ({good})",
                "lower training.optimizer.lr or training.clip_norm, and train anew",
            )

    # ---- where the run stands

    @property
    def _progress(self) -> float:
        standing = self._standing
        return self._settings.progress(
            steps=standing.step, tokens=standing.tokens, epochs=self._epochs, minutes=standing.seconds / 60
        )

    @property
    def _is_over(self) -> bool:
        patience = self._settings.patience
        history = self._standing.validations.history
        return self._progress >= 1 or (patience is not None and is_exhausted(history, patience))

    @property
    def _ended_by(self) -> str:
        standing = self._standing
        spent = self._settings.spent(
            steps=standing.step, tokens=standing.tokens, epochs=self._epochs, minutes=standing.seconds / 60
        )
        name = max(spent, key=spent.__getitem__)
        return name if spent[name] >= 1 else "patience"

    @property
    def _epochs(self) -> float:
        return self._batches.epochs(self._standing.cursor)

    def _moment(self) -> Moment:
        standing = self._standing
        return Moment(
            standing.step, standing.tokens, standing.seconds / 60, self._progress, standing.validations.history
        )

    def _outcome(self, *, already_finished: bool = False) -> Outcome:
        standing = self._standing
        validations = standing.validations
        return Outcome(
            standing.step,
            standing.tokens,
            self._epochs,
            self._seconds_before if already_finished else standing.seconds,
            self._learner.model.num_parameters,
            standing.step if validations.best_step is None else validations.best_step,
            validations.best_bits,
            self._ended_by,
            already_finished,
        )

    # ---- what is seen and kept

    def _validate(self, stop: StopSignal) -> None:
        def check(_: int) -> None:
            received = self._agree(stop)
            if received is not None:
                raise _InterruptedError(received)

        learner, standing = self._learner, self._standing
        try:
            with learner.scored(self._text):
                self._ranks.share(list(learner.model.buffers()))
                part = evaluate(
                    learner.model,
                    self._valid,
                    device=learner.device,
                    precision=learner.precision,
                    part=(self._ranks.rank, self._ranks.size),
                    on_progress=check,
                )
                nats, tokens = self._ranks.total([part.nats, float(part.tokens)])
                score = Score(nats, int(tokens), part.characters, part.words, part.bytes)
                text = self._sample()
        except _InterruptedError as interrupted:
            self._save_and_stop(interrupted.signal_number)
        self._agree(stop)
        bits = score.bits_per_character
        standing.validations = standing.validations.then(standing.step, bits)
        is_best = bits is not None and standing.validations.best_step == standing.step
        self._journal.valid(standing, self._epochs, score, is_best=is_best)
        if text:
            self._journal.sample(standing, text)
        self._journal.restart()

    def _sample(self) -> str:
        """What the model writes now; always from the same seed, so that samples can be compared."""
        settings = self._settings
        if settings.sample_length == 0 or not self._ranks.is_first:
            return ""
        sampling = Sampling(settings.sample_length, (Temperature(_SAMPLE_TEMPERATURE),), settings.seed)
        model, direction = self._learner.model, self._model_settings.direction
        pieces = read_prompt(model, self._corpus.vocab, "", sampling, self._device, direction).one()
        text = "".join(pieces)
        self._learner.model.train()
        return text

    def _text(self) -> Iterator[Batch]:
        """Training text for the statistics of averaged weights: always the same."""
        rows = self._ranks.rows(self._batches.batch_size)
        cursor = Cursor()
        for _ in range(min(_STATISTICS_BATCHES, self._batches.steps_per_epoch)):
            yield self._batches.batch(cursor, rows)
            cursor = self._batches.after(cursor)

    def _save(self, *, final: bool) -> None:
        is_over = self._is_over
        note = self._journal.note
        self._keeper.save(self._standing, self._learner, self._text, final=final, finished=is_over, note=note)

    def _save_and_stop(self, signal_number: int) -> NoReturn:
        self._save(final=True)
        raise StoppedError(
            signal_number,
            f"stopped at step {self._standing.step:,}, saved in {self._run.root}",
            "the same command goes on from there",
        )


class _InterruptedError(Exception):
    """A signal came while a validation ran."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def _say_nothing(text: str) -> None:
    del text


@contextlib.contextmanager
def _memory_errors(what: str, cure: str) -> Generator[None, None, None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(what, cure) from error
