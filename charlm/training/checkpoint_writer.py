"""What is kept of a run: checkpoints, and the marks that say which one counts.

save ──> is there one of this step? ── no ──> write, verify, mark, prune
                                    └─ yes ─> mark (a validation may have come after it)
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from charlm import storage
from charlm.checkpoint import TrainingState, save_checkpoint
from charlm.data.batches import Batch
from charlm.data.corpus import Corpus
from charlm.errors import SilentError, StorageError
from charlm.nn.settings import ModelSettings
from charlm.training.distributed import Ranks
from charlm.training.model_updater import Learner
from charlm.training.run_directory import RunDirectory
from charlm.training.trainer_state import Standing

_MAX_FAILED_SAVES = 3


class Keeper:
    """Writes checkpoints on the first rank; a disk that fails is tried again at the next interval, three times."""

    def __init__(
        self, run: RunDirectory, corpus: Corpus, model_settings: ModelSettings, batch_size: int, ranks: Ranks
    ) -> None:
        self._run = run
        self._corpus = corpus
        self._model_settings = model_settings
        self._batch_size = batch_size
        self._ranks = ranks
        self._failed = 0
        self._saved: int | None = None

    def save(
        self,
        standing: Standing,
        learner: Learner,
        text: Callable[[], Iterable[Batch]],
        *,
        final: bool,
        finished: bool,
        note: Callable[[str], None],
    ) -> None:
        """
        Args:
            text: training text for the statistics of averaged weights.
            final: whether there is no next time.
            finished: whether the run is over.

        Raises:
            StorageError, SilentError: the disk failed for the last time.
        """
        try:
            if self._saved == standing.step:
                self._ranks.first_only(lambda: self.mark(standing, finished=finished))
            else:
                tensors = learner.tensors()  # of all ranks, and before other weights take their place
                with learner.scored(text):
                    self._ranks.first_only(lambda: self._write(standing, learner, tensors, finished=finished))
                self._saved = standing.step
            self._failed = 0
        except (StorageError, SilentError) as error:
            if isinstance(error, SilentError) and error.exit_code != StorageError.exit_code:
                raise
            self._failed += 1
            if self._ranks.is_first and standing.validations.best_step not in self._run.steps():
                standing.validations = standing.validations.with_best_of(self._run.marked())  # one on disk, or none
            if final or self._failed >= _MAX_FAILED_SAVES:
                raise
            note(f"no checkpoint at step {standing.step:,}: {error.what}; the next interval tries again")

    def found(self, step: int) -> None:
        """A checkpoint of `step` is there already."""
        self._saved = step

    def mark(self, standing: Standing, *, finished: bool) -> None:
        """Write last.json and best.json."""
        name = self._run.checkpoint(standing.step).name
        self._run.mark("last", {"step": standing.step, "checkpoint": name, "finished": finished})
        best_step = standing.validations.best_step
        if best_step is not None:
            name = self._run.checkpoint(best_step).name
            self._run.mark("best", {"checkpoint": name, **standing.validations.to_json()})

    def _write(self, standing: Standing, learner: Learner, tensors: dict[str, torch.Tensor], *, finished: bool) -> None:
        if standing.step in self._run.steps():  # whole already: what failed then came after it
            self.mark(standing, finished=finished)
            return
        facts: dict[str, Any] = standing.to_json() | {
            "corpus": self._corpus.fingerprint,
            "rows": self._batch_size,
            "ranks": self._ranks.size,
            "threads": torch.get_num_threads(),
        }
        directory = self._run.checkpoint(standing.step)
        save_checkpoint(
            directory,
            model=learner.model,
            settings=self._model_settings,
            vocab=self._corpus.vocab,
            trained_on={
                "corpus": self._corpus.name,
                "fingerprint": self._corpus.fingerprint,
                "step": standing.step,
                "tokens": standing.tokens,
            },
            training=TrainingState(facts, tensors),
        )
        storage.verify_manifest(directory, "check the disk")
        if self._run.metrics.exists():
            storage.sync_file(self._run.metrics)
        self.mark(standing, finished=finished)
        self._run.prune(standing.validations.best_step)
