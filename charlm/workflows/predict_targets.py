"""Texts for texts: what `charlm predict` does with transducers.

Query ──normalise, encode──> source ──beam search──> the n best texts with their probabilities ──> TextPrediction
"""

from collections.abc import Callable, Iterator, Sequence

from charlm.checkpoint import LoadedModel
from charlm.data.source_texts import SourceConditions
from charlm.errors import CheckpointError
from charlm.evaluation.transduction.beam_search import BeamOptions
from charlm.workflows.evaluate_targets import make_ensemble
from charlm.workflows.predict_options import PredictOptions
from charlm.workflows.prediction import Query, TextPrediction, TextProbability


class TargetPredictions:
    """The most probable texts for each text, by one transducer or an ensemble."""

    def __init__(self, loaded: Sequence[LoadedModel], device: str, options: PredictOptions) -> None:
        """
        Args:
            loaded: models that fit together.

        Raises:
            OptionError: an option is for labels.
        """
        options.check_targets()
        conditions = loaded[0].conditions
        assert isinstance(conditions, SourceConditions), "Predictor has looked"
        self._conditions = conditions
        self._ensemble = make_ensemble(loaded, device, options.precision)
        self._top = options.top
        self._options = BeamOptions(max(options.beams, options.top), options.length_penalty)

    def predict(self, block: Sequence[Query], check: Callable[[], None]) -> Iterator[TextPrediction]:
        sources = [self._conditions.encode(query.text) for query in block]
        found = self._ensemble.transduce(sources, self._options, check=check)
        for query, candidates in zip(block, found, strict=True):
            if not candidates:
                raise CheckpointError(
                    "the model gives no probabilities: its numbers overflow", "use another checkpoint"
                )
            best = tuple(TextProbability(each.text, each.probability) for each in candidates[: self._top])
            yield TextPrediction(query.text, targets=best)
