"""Saving: the checkpoints of a run, and the pointers last.json and best.json.

save ──> does a checkpoint of this step exist? ── no ──> write, verify, update the pointers, remove old checkpoints
                                               └─ yes ─> update the pointers (a validation may have followed it)
A validation that fitted mixture weights after the checkpoint was written has the checkpoint written again.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from charlm import storage
from charlm.checkpoint import ResumeData, save_checkpoint
from charlm.data.batches import Batch
from charlm.data.corpus import Corpus
from charlm.errors import SilentError, StorageError
from charlm.nn.settings import ModelSettings
from charlm.training.distributed import Distributed
from charlm.training.model_updater import ModelUpdater
from charlm.training.resume import describe_computation
from charlm.training.run_directory import RunDirectory
from charlm.training.trainer_state import TrainerState

_MAX_FAILED_SAVES = 3


class CheckpointWriter:
    """Writes checkpoints on the first rank; a failed save is tried again at the next interval, three times in all."""

    def __init__(
        self, run: RunDirectory, corpus: Corpus, model_settings: ModelSettings, batch_size: int, ranks: Distributed
    ) -> None:
        self._run = run
        self._corpus = corpus
        self._model_settings = model_settings
        self._batch_size = batch_size
        self._ranks = ranks
        self._num_failures = 0
        self._saved_step: int | None = None
        self._saved_fitted_weights = False

    def save(
        self,
        state: TrainerState,
        updater: ModelUpdater,
        statistics_batches: Callable[[], Iterable[Batch]],
        *,
        final: bool,
        finished: bool,
        note: Callable[[str], None],
    ) -> None:
        """Save a checkpoint of this step.

        Args:
            statistics_batches: training text from which the batch-norm statistics of averaged weights are estimated.
            final: whether this is the last save of the process, so that a failure cannot be repaired later.
            finished: whether the run is over.

        Raises:
            StorageError, SilentError: the final save failed, or the third one in a row.
        """
        try:
            self._save(state, updater, statistics_batches, finished=finished)
            self._num_failures = 0
        except (StorageError, SilentError) as error:
            if isinstance(error, SilentError) and error.exit_code != StorageError.exit_code:
                raise
            self._num_failures += 1
            if self._ranks.is_main and state.validations.best_step not in self._run.checkpoint_steps():
                # best.json must name a checkpoint on disk
                state.validations = state.validations.with_best_from(self._run.read_best(state.validations.unit))
            if final or self._num_failures >= _MAX_FAILED_SAVES:
                raise
            note(f"no checkpoint at step {state.step:,}: {error.what}; the next interval tries again")

    def _save(
        self,
        state: TrainerState,
        updater: ModelUpdater,
        statistics_batches: Callable[[], Iterable[Batch]],
        *,
        finished: bool,
    ) -> None:
        """Write a checkpoint of this step, or only the pointers if it exists already."""
        is_saved = self._saved_step == state.step
        replaces = is_saved and updater.has_fitted_weights and not self._saved_fitted_weights
        if is_saved and not replaces:
            self._ranks.run_on_main(lambda: self.write_pointers(state, finished=finished))
            return
        tensors = updater.tensors()  # gathered while the model still holds the raw weights
        with updater.scored_weights(statistics_batches):
            self._ranks.run_on_main(lambda: self._write(state, updater, tensors, finished=finished, replaces=replaces))
        self._saved_step = state.step
        self._saved_fitted_weights = updater.has_fitted_weights

    def set_saved_step(self, step: int) -> None:
        """Record that a checkpoint of `step` exists."""
        self._saved_step = step

    def write_pointers(self, state: TrainerState, *, finished: bool) -> None:
        """Write last.json and best.json."""
        name = self._run.checkpoint(state.step).name
        self._run.write_pointer("last", {"step": state.step, "checkpoint": name, "finished": finished})
        best_step = state.validations.best_step
        if best_step is not None:
            name = self._run.checkpoint(best_step).name
            self._run.write_pointer("best", {"checkpoint": name, **state.validations.to_json()})

    def _write(
        self,
        state: TrainerState,
        updater: ModelUpdater,
        tensors: dict[str, torch.Tensor],
        *,
        finished: bool,
        replaces: bool,
    ) -> None:
        if (
            state.step in self._run.checkpoint_steps() and not replaces
        ):  # the earlier attempt failed after the checkpoint was complete
            self.write_pointers(state, finished=finished)
            return
        metadata: dict[str, Any] = state.to_json() | {
            "corpus": self._corpus.fingerprint,
            **describe_computation(self._batch_size, self._ranks, updater),
        }
        save_checkpoint(
            self._run.checkpoint(state.step),
            model=updater.model,
            settings=self._model_settings,
            vocab=self._corpus.vocab,
            task=self._corpus.task,
            labels=self._corpus.labels,
            conditions=self._corpus.conditions,
            trained_on={
                "corpus": self._corpus.name,
                "fingerprint": self._corpus.fingerprint,
                "step": state.step,
                "tokens": state.tokens,
            },
            training=ResumeData(metadata, tensors),
        )
        if self._run.metrics_path.exists():
            storage.sync_file(self._run.metrics_path)
        self.write_pointers(state, finished=finished)
        self._run.remove_old_checkpoints(state.validations.best_step)
