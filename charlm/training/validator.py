"""One validation: the exact score of the start of the validation split, and a sample of text.

averaged weights ──> evaluate, a shard on each rank ──sum──> Score
                └──> text from the first rank, always from the same seed, so that samples can be compared
"""

from collections.abc import Callable, Iterable
from typing import Literal

from charlm.data.batches import Batch
from charlm.data.corpus import Corpus
from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.score import Score
from charlm.evaluation.uniform_guessing import uniform_bits
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import prime_generator
from charlm.sampling.plan import SamplingPlan
from charlm.training.distributed import Distributed
from charlm.training.model_updater import ModelUpdater
from charlm.training.settings import TrainingSettings

_SAMPLE_TEMPERATURE = 0.7


class Validator:
    """Scores the model of a run on validation text, and lets it write a sample."""

    def __init__(
        self, corpus: Corpus, settings: TrainingSettings, direction: Literal["forward", "backward"], ranks: Distributed
    ) -> None:
        self._stream = corpus.open("valid").head(settings.validation_tokens).in_direction(direction)
        self._vocab = corpus.vocab
        self._sample_length, self._seed = settings.sample_length, settings.seed
        self._direction: Literal["forward", "backward"] = direction
        self._ranks = ranks

    @property
    def uniform_bits(self) -> float | None:
        """The bits per character that uniform guessing would need."""
        stream = self._stream
        return uniform_bits(self._vocab.size, stream.num_predictions, stream.count("characters"))

    def validate(
        self,
        updater: ModelUpdater,
        statistics_batches: Callable[[], Iterable[Batch]],
        on_progress: Callable[[int], None],
    ) -> tuple[Score, str]:
        """Return the score over all ranks, and the sample, which is empty on all ranks except the first.

        Args:
            statistics_batches: training text from which the batch-norm statistics of averaged weights are estimated.
            on_progress: called with the number of tokens that each chunk scored; it may raise to stop.
        """
        with updater.averaged_weights(statistics_batches):
            self._ranks.broadcast(list(updater.model.buffers()))
            shard_score = evaluate(
                updater.model,
                self._stream,
                device=updater.device,
                precision=updater.precision,
                shard=(self._ranks.rank, self._ranks.world_size),
                on_progress=on_progress,
            )
            nats, tokens = self._ranks.all_reduce_sum([shard_score.nats, float(shard_score.tokens)])
            score = Score(nats, int(tokens), shard_score.characters, shard_score.words, shard_score.bytes)
            return score, self._sample(updater)

    def _sample(self, updater: ModelUpdater) -> str:
        if self._sample_length == 0 or not self._ranks.is_main:
            return ""
        plan = SamplingPlan(self._sample_length, (Temperature(_SAMPLE_TEMPERATURE),), self._seed)
        generator = prime_generator(updater.model, self._vocab, "", plan, updater.device, self._direction)
        text = "".join(generator.stream_generate())
        updater.model.train()
        return text
