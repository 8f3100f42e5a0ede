"""`/predict`: labels of texts, tags of their characters, or other texts for them, as `charlm predict` finds them.

    JSON object ──prepare_prediction──> PreparedPrediction ──Predictor, block by block──> what `--format jsonl` prints

`/labels` has the names of the labels and tags.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from charlm.data.conditions import LabelConditions
from charlm.data.source_texts import SourceConditions
from charlm.errors import UsageError
from charlm.evaluation.explain.alignment import AlignmentExplanation
from charlm.evaluation.transduction.transduce import max_target_length
from charlm.nn.conditions.source import Transducer
from charlm.serving.api_error import invalid_field
from charlm.serving.json_fields import JsonFields
from charlm.serving.limits import Limits
from charlm.serving.served_models import ServedModel, ServedModels
from charlm.workflows.explain import align_target
from charlm.workflows.predict import Predictor, as_queries
from charlm.workflows.predict_options import PredictKeywords, PredictOptions
from charlm.workflows.prediction import Query, TextPrediction

_OPTIONS = ("top", "threshold", "labels", "temperature", "beams", "length_penalty")
_BLOCK_TEXTS = 16  # between two looks at whether the client still waits
_WEIGHT_DECIMALS = 4


@dataclass(frozen=True)
class PreparedPrediction:
    """A request whose fields were checked."""

    model: ServedModel
    queries: Sequence[Query]
    predictor: Predictor
    has_alignment: bool
    """Whether to tell which characters of a source each token of its best text looked at."""

    def predict(self, check: Callable[[], None]) -> dict[str, Any]:
        """Return the answer.

        Args:
            check: called again and again; it may raise to stop.

        Raises:
            DataError: a text has a character that the vocabulary cannot spell.
        """
        found: list[dict[str, Any]] = []
        for start in range(0, len(self.queries), _BLOCK_TEXTS):
            check()
            block = self.predictor.predict(self.queries[start : start + _BLOCK_TEXTS], check)
            found += [each.to_json() | self._alignment(each) for each in block]
        return {"model": self.model.id, "kind": self.model.kind, "predictions": found}

    def _alignment(self, found: TextPrediction) -> dict[str, Any]:
        if not self.has_alignment:
            return {}
        loaded = self.model.loaded
        if not found.targets or not isinstance(loaded.model, Transducer):
            return {"alignment": None}
        device = str(self.model.device)
        try:
            aligned = align_target(loaded, found.text, found.targets[0].text, top=1, device=device)
        except UsageError:  # a text is too long
            return {"alignment": None}
        return {"alignment": _alignment_json(aligned)}


def prepare_prediction(content: Mapping[str, Any], models: ServedModels, limits: Limits) -> PreparedPrediction:
    """Check a request.

    Raises:
        ApiError, UsageError, DataError: the request cannot be answered.
    """
    fields = JsonFields(content, ("model", "text", *_OPTIONS, "alignment"))
    model = models.find(fields.text("model"))
    texts = fields.texts("text", limits.prompts, limits.body_bytes)
    if not texts:
        raise invalid_field("text", "text is missing", "give a text, or a list of texts")
    given = {name: content[name] for name in _OPTIONS if content.get(name) is not None}
    options = PredictOptions.from_keywords(**cast("PredictKeywords", given))
    has_alignment = fields.boolean("alignment")
    if has_alignment and len(texts) > 1:
        raise invalid_field("alignment", f"there are {len(texts)} texts to align", "give one")
    predictor = Predictor(model.loaded, model.id, str(model.device), options)
    _check_amount(texts, model, options, limits)
    return PreparedPrediction(model, list(as_queries(texts)), predictor, has_alignment)


def describe_labels(model: ServedModel) -> dict[str, Any]:
    """The labels or tags of a model, and the columns that they belong to, if a text has a label of each of several."""
    conditions = model.loaded.conditions
    columns = conditions.columns if isinstance(conditions, LabelConditions) else ()
    return {"model": model.id, "kind": model.kind, "labels": list(model.labels), "columns": list(columns)}


def _check_amount(texts: Sequence[str], model: ServedModel, options: PredictOptions, limits: Limits) -> None:
    unit, doing = "characters", "read"
    match model.loaded.conditions:
        case SourceConditions() as conditions:
            longest = max(map(len, texts))
            if longest > limits.source_characters:
                cure = f"give at most {limits.source_characters:,}"
                raise invalid_field("text", f"a text has {longest:,} characters", cure)
            num_tokens = sum(max_target_length(len(conditions.encode(text))) for text in texts)
            amount = max(options.beams, options.top) * num_tokens
            unit, doing = "tokens", "written"
        case LabelConditions(size=size):
            amount = size * _num_read(texts)
        case None:
            amount = _num_read(texts)
    if amount > limits.prediction_characters:
        what = f"the texts need {amount:,} {unit} to be {doing}"
        raise invalid_field("text", what, f"send fewer at a time (limit: {limits.prediction_characters:,})")


def _num_read(texts: Sequence[str]) -> int:
    """The characters of texts, and the end of each."""
    return sum(map(len, texts)) + len(texts)


def _alignment_json(found: AlignmentExplanation) -> dict[str, Any]:
    """The cells of the source, and for each id of the target its probability and the weights of the cells."""
    weights = [[round(weight, _WEIGHT_DECIMALS) for weight in row] for row in found.weights_PC.tolist()]
    probabilities = [2**-bits for bits in found.bits_P.tolist()]
    ids = found.surprisals.ids_P.tolist()
    return {"cells": list(found.cells), "ids": ids, "probabilities": probabilities, "weights": weights}
