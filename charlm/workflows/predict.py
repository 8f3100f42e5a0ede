"""Labels or tags of texts, or texts for texts: what `charlm predict` and `model.predict` do.

    texts ──blocks──> what the model predicts of each (`prediction_kinds.py`) ──> predictions, in order

Memory holds one block of texts. The result of a text does not depend on the others.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from charlm.checkpoint import LoadedModel
from charlm.data.source_texts import SourceConditions
from charlm.errors import DataError
from charlm.workflows.evaluate_labels import decoder_of
from charlm.workflows.predict_options import PredictOptions
from charlm.workflows.predict_targets import TargetPredictions
from charlm.workflows.prediction import Query, TextPrediction
from charlm.workflows.prediction_kinds import BlockPredictor, build_predictions

_BLOCK_TEXTS = 1024
_BLOCK_CHARACTERS = 1 << 20


class Predictor:
    """Predicts labels, tags or texts with a loaded model."""

    def __init__(
        self,
        loaded: LoadedModel,
        name: str,
        device: str,
        options: PredictOptions,
        others: Sequence[LoadedModel] = (),
    ) -> None:
        """
        Args:
            name: of the run, for messages.
            others: models that make an ensemble with this one.

        Raises:
            UsageError: it is a language model; or an option does not fit the model.
        """
        self._predictor: BlockPredictor
        if isinstance(loaded.conditions, SourceConditions):
            self._predictor = TargetPredictions([loaded, *others], device, options)
        else:
            options.check_no_search()
            self._predictor = build_predictions([loaded, *others], decoder_of(loaded, name), device, options)

    def predict(self, queries: Iterable[Query], check: Callable[[], None] = lambda: None) -> Iterator[TextPrediction]:
        """Yield a prediction for each text, in order.

        Args:
            check: called again and again, where the work takes long; it may raise to stop.

        Raises:
            DataError: a text has a character that the vocabulary cannot spell.
        """
        for block in _blocks(queries):
            yield from self._predictor.predict(block, check)


def as_queries(texts: Iterable[str]) -> Iterator[Query]:
    """Yield a query for each text.

    Raises:
        DataError: a text has a lone surrogate.
    """
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"a text has a lone surrogate at character {error.start:,}", "repair the text") from error
        yield Query(text)


def _blocks(queries: Iterable[Query]) -> Iterator[Sequence[Query]]:
    """Yield the queries in blocks of bounded numbers of texts and of characters, with at least one text."""
    block: list[Query] = []
    size = 0
    for query in queries:
        if block and (len(block) == _BLOCK_TEXTS or size + len(query.text) > _BLOCK_CHARACTERS):
            yield block
            block, size = [], 0
        block.append(query)
        size += len(query.text)
    if block:
        yield block
