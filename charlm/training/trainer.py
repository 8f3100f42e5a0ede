"""Training: truncated back-propagation through time with carried state, from nothing or from the last checkpoint.

    batch(step) ──> forward ──> nats ──> backward ──> clip ──> optimizer ──> step + 1
                       └── carried state, detached            every so often: log, validate, save

Everything a step depends on (weights, optimizer, carried state, batch number) is in the checkpoint, and masks are drawn
from (seed, step), so an interrupted run goes on as if it had not been interrupted.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from charlm import storage
from charlm.checkpoint import TrainingState, load_model, load_training, save_checkpoint
from charlm.data.batches import Batch, Batches
from charlm.data.corpus import Corpus
from charlm.data.store import TokenStream
from charlm.device import autocast, resolve_precision
from charlm.errors import CheckpointError, DataError, DivergedError, OutOfMemoryError, StoppedError, StorageError
from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.score import Score
from charlm.nn.head import IGNORED
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.nn.state import State, detach, reset_rows
from charlm.training.logs import Console, Figures
from charlm.training.run import RunDirectory
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


class _StopValidationError(Exception):
    """A signal came during a validation; its result is not needed."""


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
        self._device = device
        self._console = console
        self._started = started
        self._precision: Literal["fp32", "bf16"] = resolve_precision(settings.precision, device)
        self._train = corpus.open("train")
        self._valid = corpus.open("valid").head(settings.validation_tokens)
        self._batches = fit_batches(self._train, settings)
        if self._batches.batch_size < settings.batch_size:
            console.note(
                f"the training text fills {self._batches.batch_size} rows of {settings.seq_len}, not"
                f" {settings.batch_size}: using a batch of {self._batches.batch_size}"
            )
        self._tokens_per_character = self._train.num_predictions / max(1, self._train.count("characters"))
        self._step = 0
        self._tokens = 0
        self._seconds_before = 0.0
        self._best: dict[str, Any] | None = None
        self._bad_steps = 0
        self._failed_saves = 0
        self._carried: State | None = None
        self._model, self._optimizer = self._build()

    def _build(self) -> tuple[LanguageModel, torch.optim.Optimizer]:
        steps = self._run.steps()
        if steps:
            return self._resume(self._run.checkpoint(steps[-1]))
        torch.manual_seed(self._settings.seed)
        model = self._model_settings.build(self._corpus.vocab.size)
        model.head.set_frequencies(count_ids(self._train, self._corpus.vocab.size))
        model.to(self._device)
        return model, self._settings.optimizer.build(model)

    def _resume(self, directory: Path) -> tuple[LanguageModel, torch.optim.Optimizer]:
        loaded = load_model(directory, self._device)
        training = load_training(directory)
        facts, tensors = training.facts, training.tensors
        if facts.get("corpus") != self._corpus.fingerprint:
            raise DataError(
                f"{self._corpus.directory} is not the corpus of {self._run.root}: its fingerprint differs",
                "restore that corpus, or train anew with another --out",
            )
        optimizer = self._settings.optimizer.build(loaded.model)
        try:
            _load_optimizer(optimizer, loaded.model, tensors)
            torch.set_rng_state(tensors["rng"])
            self._step, self._tokens = int(facts["step"]), int(facts["tokens"])
            self._seconds_before, self._best = float(facts["seconds"]), facts["best"]
            carried = [tensors[f"state.{index}"].to(self._device) for index in range(int(facts["num_state"]))]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{directory} cannot be resumed: {error}", "delete that checkpoint to resume from the one before it"
            ) from error
        self._carried = tuple(carried) if carried else None
        self._run.cut_metrics(self._step)
        self._mark()
        return loaded.model, optimizer

    # ---- the loop

    def run(self) -> Outcome:
        """Train until a budget is spent.

        Raises:
            StoppedError: a signal came; everything was saved.
            DivergedError: three steps in a row were not finite.
            OutOfMemoryError: the batch does not fit.
            StorageError: checkpoints could not be written three times in a row.
        """
        if self._step and self._progress() >= 1:
            return self._outcome(already_finished=True)
        if self._step:
            self._console.note(f"going on from step {self._step:,} of {self._run.root}")
        with StopSignal() as stop, self._console:
            try:
                self._loop(stop)
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                rows = self._batches.batch_size
                raise OutOfMemoryError(
                    f"a batch of {rows} does not fit into memory", f"try --set training.batch_size={max(1, rows // 2)}"
                ) from error
            return self._outcome()

    def _loop(self, stop: StopSignal) -> None:
        settings = self._settings
        last_save = time.monotonic()
        window = _Window()
        self._model.train()
        while self._progress() < 1:
            nats, tokens, norm = self._train_step()
            window.add(nats, tokens)
            self._step += 1
            self._tokens += tokens
            if self._step % settings.log_interval == 0 or self._step <= 3:
                self._log(window, norm)
                window = _Window()
            if stop.received is not None:
                self._save(final=True)
                self._raise_stopped(stop.received)
            if self._step % settings.validation_interval == 0:
                self._validate_and_save(stop, final=False)
                last_save = time.monotonic()
            elif time.monotonic() - last_save >= 60 * settings.checkpoint_minutes:
                self._save(final=False)
                last_save = time.monotonic()
        if self._best is None or self._best["validated"] < self._step or self._step not in self._run.steps():
            self._validate_and_save(stop, final=True)

    def _train_step(self) -> tuple[float, int, float]:
        """One update; (nats, scored tokens, gradient norm). An update that is not finite is not made."""
        model, settings = self._model, self._settings
        inputs_BT, targets_BT, reset_B = self._to_device(self._batches.batch(self._step))
        fresh = model.initial_state(len(inputs_BT))
        state = fresh if self._carried is None else reset_rows(self._carried, fresh, reset_B)
        model.masks.seed(settings.seed, self._step)
        with autocast(self._precision, self._device):
            features_BTH, after = model(inputs_BT, state)
            nats = model.head.nll(features_BTH, targets_BT).sum()
        tokens = int((targets_BT != IGNORED).sum())
        (nats / max(1, tokens)).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm or math.inf).item()
        scale = settings.schedule.scale(self._step, self._progress())
        for group in self._optimizer.param_groups:
            group["lr"] = settings.optimizer.lr * scale
        if math.isfinite(norm) and math.isfinite(nats.item()):
            self._optimizer.step()
            self._carried = detach(after)
            self._bad_steps = 0
        else:
            self._skip_bad_step()
        self._optimizer.zero_grad(set_to_none=True)
        return nats.item(), tokens, norm

    def _to_device(self, batch: Batch) -> Batch:
        return Batch(*(tensor.to(self._device) for tensor in batch))

    def _skip_bad_step(self) -> None:
        self._bad_steps += 1
        self._carried = None
        self._console.note(f"step {self._step:,}: the loss or its gradient is not finite; the update is skipped")
        if self._bad_steps >= _MAX_BAD_STEPS:
            steps = self._run.steps()
            good = (
                f"the last good checkpoint is {self._run.checkpoint(steps[-1])}" if steps else "nothing was saved yet"
            )
            raise DivergedError(
                f"training diverged: {_MAX_BAD_STEPS} steps in a row were not finite ({good})",
                "lower training.optimizer.lr or training.clip_norm, and train anew",
            )

    def _progress(self) -> float:
        return self._settings.progress(steps=self._step, epochs=self._epochs, minutes=self._seconds / 60)

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
            "lr": self._optimizer.param_groups[0]["lr"],
            "gradient_norm": _finite(norm),
        }
        self._run.log(entry)
        progress = self._progress()
        spent = time.monotonic() - self._started
        left = None if progress <= 0 else max(0.0, (spent + self._seconds_before) * (1 / progress - 1))
        self._console.figures(Figures(self._step, progress, nats_per_token, bits_per_character, rate, left))

    def _validate_and_save(self, stop: StopSignal, *, final: bool) -> None:
        def check(_: int) -> None:
            if stop.received is not None:
                raise _StopValidationError

        try:
            score = evaluate(
                self._model, self._valid, device=self._device, precision=self._precision, on_progress=check
            )
        except _StopValidationError:
            assert stop.received is not None
            self._save(final=True)
            self._raise_stopped(stop.received)
            return
        self._record(score)
        self._save(final=final)

    def _record(self, score: Score) -> None:
        self._run.log({"kind": "valid", "step": self._step, "seconds": round(self._seconds, 3), **score.to_json()})
        bits = score.bits_per_character
        is_best = bits is not None and (self._best is None or bits < (self._best["bits_per_character"] or math.inf))
        if self._best is None or is_best:
            self._best = {"step": self._step, "bits_per_character": bits}
        self._best["validated"] = self._step
        figure = "not finite" if bits is None else f"{bits:.4f} bits per character"
        self._console.note(
            f"step {self._step:,} · {self._epochs:.2f} epochs · validation {figure}{' (best)' if is_best else ''}"
        )

    # ---- what is kept

    def _save(self, *, final: bool) -> None:
        """Write a checkpoint. A full disk is met by trying again at the next interval, three times in all."""
        try:
            self._write_checkpoint()
            self._failed_saves = 0
        except StorageError as error:
            self._failed_saves += 1
            if self._best is not None and self._best["step"] == self._step:
                self._best = None  # a best that is not on disk is none
            if final or self._failed_saves >= _MAX_FAILED_SAVES:
                raise
            self._console.note(f"no checkpoint at step {self._step:,}: {error.what}; the next interval tries again")

    def _write_checkpoint(self) -> None:
        directory = self._run.checkpoint(self._step)
        if self._step in self._run.steps():
            return
        state = self._carried or ()
        facts = {
            "step": self._step,
            "tokens": self._tokens,
            "seconds": self._seconds,
            "best": self._best,
            "corpus": self._corpus.fingerprint,
            "batch_size": self._batches.batch_size,
            "num_state": len(state),
        }
        tensors = {f"state.{index}": tensor for index, tensor in enumerate(state)} | {"rng": torch.get_rng_state()}
        save_checkpoint(
            directory,
            model=self._model,
            settings=self._model_settings,
            vocab=self._corpus.vocab,
            trained_on={
                "corpus": self._corpus.name,
                "fingerprint": self._corpus.fingerprint,
                "step": self._step,
                "tokens": self._tokens,
            },
            training=TrainingState(facts, tensors | _dump_optimizer(self._optimizer, self._model)),
        )
        storage.verify_manifest(directory, "check the disk")
        if self._run.metrics.exists():
            storage.sync_file(self._run.metrics)
        self._mark()
        self._run.prune(self._best["step"] if self._best else None)

    def _mark(self) -> None:
        self._run.mark("last", {"step": self._step, "checkpoint": self._run.checkpoint(self._step).name})
        if self._best is not None:
            best = {"checkpoint": self._run.checkpoint(self._best["step"]).name, **self._best}
            self._run.mark("best", best)

    def _raise_stopped(self, number: int) -> None:
        raise StoppedError(
            number, f"stopped at step {self._step:,}, saved in {self._run.root}", "the same command goes on from there"
        )

    def _outcome(self, *, already_finished: bool = False) -> Outcome:
        best = self._best or {"step": self._step, "bits_per_character": None}
        return Outcome(
            self._step,
            self._tokens,
            self._epochs,
            self._seconds_before if already_finished else self._seconds,
            self._model.num_parameters,
            best["step"],
            best["bits_per_character"],
            already_finished,
        )


def fit_batches(stream: TokenStream, settings: TrainingSettings) -> Batches:
    """The batches of the training split; fewer rows where the text does not fill one chunk of each.

    Raises:
        DataError: there is nothing to predict.
    """
    if stream.num_predictions < 2:
        raise DataError(f"the training split has {len(stream.tokens)} tokens", "prepare a longer text; 3 are the least")
    rows = max(1, min(settings.batch_size, stream.num_predictions // settings.seq_len))
    return Batches(stream, rows, settings.seq_len, settings.seed)


def count_ids(stream: TokenStream, vocab_size: int) -> Tensor:
    """How often each id is a target, in bounded memory."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for start in range(1, len(stream.tokens), 1 << 24):
        counts += np.bincount(stream.tokens[start : start + (1 << 24)], minlength=vocab_size)
    return torch.from_numpy(counts)


class _Window:
    """Sums since the last line of the log."""

    def __init__(self) -> None:
        self.nats = 0.0
        self.tokens = 0
        self._start = time.monotonic()

    def add(self, nats: float, tokens: int) -> None:
        self.nats += nats
        self.tokens += tokens

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


def _dump_optimizer(optimizer: torch.optim.Optimizer, model: LanguageModel) -> dict[str, Tensor]:
    return {
        f"optimizer.{name}.{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, model: LanguageModel, tensors: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        prefix = f"optimizer.{name}."
        for key, value in tensors.items():
            if key.startswith(prefix):
                on_device = value if key.endswith(".step") else value.to(parameter.device)
                optimizer.state[parameter][key.removeprefix(prefix)] = on_device


def _is_out_of_memory(error: Exception) -> bool:
    """The ways in which torch says so; its CPU allocator has no exception of its own."""
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "not enough memory" in text
        or "can't allocate" in text
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
