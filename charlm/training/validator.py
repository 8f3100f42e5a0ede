"""One validation: the score of validation text by the weights that are saved, and a sample of text.

weights, averaged and fitted ──> the task's score, of a shard on each rank ──sum──> the score of all
                            └──> text from the first rank, always from the same seed, so that samples can be compared
"""

from collections.abc import Callable, Iterable

from charlm.data.batches import Batch
from charlm.training.distributed import Distributed
from charlm.training.model_updater import ModelUpdater
from charlm.training.tasks.base import ScoringOptions, Validation, ValidationScore


class Validator:
    """Scores the model of a run on validation text, and lets it write a sample."""

    def __init__(self, validation: Validation, ranks: Distributed) -> None:
        self._validation = validation
        self._ranks = ranks

    @property
    def uniform_bits(self) -> float | None:
        """The bits that uniform guessing would need."""
        return self._validation.uniform_bits

    def validate(
        self,
        updater: ModelUpdater,
        statistics_batches: Callable[[], Iterable[Batch]],
        on_progress: Callable[[int], None],
    ) -> tuple[ValidationScore, str]:
        """Return the score over all ranks, and the sample, which is empty on all ranks except the first.

        Args:
            statistics_batches: training text from which the batch-norm statistics of averaged weights are estimated.
            on_progress: called with the number of tokens that each batch scored; it may raise to stop.
        """
        ranks = self._ranks
        options = ScoringOptions(updater.device, updater.precision, (ranks.rank, ranks.world_size), on_progress)
        if self._validation.fits_weights:
            updater.fit_scored_weights(lambda: self._validation.fit(updater.model, options), statistics_batches)
        with updater.scored_weights(statistics_batches):
            ranks.broadcast(list(updater.model.buffers()))
            shard_score = self._validation.score(updater.model, options)
            score = shard_score.with_sums(ranks.all_reduce_sum(shard_score.sums()))
            text = self._validation.sample(updater.model, updater.device) if ranks.is_main else ""
            updater.model.train()
            return score, text
