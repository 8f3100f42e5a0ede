"""The score of a run that predicts labels or tags, with intervals and calibration; and which of two runs is better.

RUN ──load──> model ──┐
SPLIT ──> examples ───┴──predict_examples──> probabilities ──> score, counts of each document, calibration error
VALIDATION examples ──> the temperature with which probabilities can be believed

A conditional language model is scored as a classifier, by Bayes' rule.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from charlm.checkpoint import LoadedModel
from charlm.data.conditions import DocumentLabels, LabelConditions
from charlm.data.corpus import Corpus, documents_digest
from charlm.device import Precision, choose_device
from charlm.errors import DataError, UsageError
from charlm.evaluation.bayes import as_predictions, label_log_probabilities
from charlm.evaluation.document_counts import DocumentCounter, DocumentCounts
from charlm.evaluation.evaluate_labels import (
    DocumentPrediction,
    LabelDecoder,
    average_predictions,
    predict_examples,
    score_predictions,
)
from charlm.evaluation.label_calibration import TemperatureFit, confidence_at, expected_calibration_error
from charlm.evaluation.label_intervals import (
    FigureDifference,
    compare_accuracy,
    compare_segments,
    compare_words,
)
from charlm.evaluation.label_score import LabelScore
from charlm.evaluation.restored_words import restored_words
from charlm.nn.model import LanguageModel
from charlm.training.tasks.build import build_decoder
from charlm.workflows.ensembles import load_members
from charlm.workflows.load_run import open_corpus_for

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class LabelEvalRequest:
    """What to score, and how."""

    split: str = "test"
    data: str | None = None
    precision: Precision = "fp32"
    device: str = "auto"


@dataclass(frozen=True)
class LabelEvalResult:
    """The score of a run on the examples of a split."""

    run: str
    corpus: Corpus
    split: str
    names: tuple[str, ...]
    per_document: bool
    """Whether each document has one label."""
    score: LabelScore
    documents: DocumentCounts
    calibration_error: float | None
    temperature: float
    """The temperature fitted on validation examples."""
    calibrated_error: float | None
    """The calibration error at that temperature."""
    parameters: int
    checkpoint: Path
    trained_on: dict[str, Any]


def score_label_run(
    run: str | None, checkpoint: str | None, request: LabelEvalRequest, on_progress: OnProgress
) -> LabelEvalResult:
    """Score every label or tag of a split.

    Raises:
        UsageError: there is no such run, corpus or split; or the run predicts no labels.
        DataError: the corpus is not the one of the run.
    """
    return score_label_ensemble([run], checkpoint, request, on_progress)


def score_label_ensemble(
    runs: Sequence[str | None], checkpoint: str | None, request: LabelEvalRequest, on_progress: OnProgress
) -> LabelEvalResult:
    """Score several runs as one model, which averages their probabilities.

    Raises:
        UsageError, DataError: as `score_label_run`; or the runs do not fit together.
    """
    members, name = load_members(runs, checkpoint, request.device)
    loaded = members[0]
    corpus = open_corpus_for(loaded, request.data)
    decoder = decoder_of(loaded, name)
    check_same_labels(loaded, corpus)
    if loaded.conditions is None:
        open_split = partial(_open_examples, members, corpus, decoder, request)
    else:
        open_split = partial(_open_conditioned, members, corpus, decoder, request)
    split = open_split(request.split)
    fit = TemperatureFit()
    for prediction in open_split("valid").predict(lambda _: None):
        fit.add(prediction.log_p_NL, prediction.targets)
    words = None if loaded.conditions is not None else restored_words(corpus, corpus.open_examples(request.split))
    found = _Collected(DocumentCounter(decoder, split.num_documents, words), fit.temperature)
    predictions = split.predict(lambda tokens: on_progress(tokens, split.num_tokens))
    score = score_predictions(found.collect(predictions), decoder)
    return LabelEvalResult(
        name,
        corpus,
        request.split,
        decoder.names,
        loaded.task.per_document,
        score,
        found.counts,
        found.error(0),
        fit.temperature,
        found.error(1),
        sum(each.model.num_parameters for each in members),
        loaded.directory,
        loaded.metadata["trained_on"],
    )


class _Split(NamedTuple):
    """A split whose labels a model can predict."""

    num_documents: int
    num_tokens: int
    """The tokens that are read, of all passes."""
    predict: Callable[[Callable[[int], None]], Iterator[DocumentPrediction]]
    """Yields the predictions; calls its argument with the number of tokens that each batch read."""


def _open_examples(
    members: Sequence[LoadedModel], corpus: Corpus, decoder: LabelDecoder, request: LabelEvalRequest, split: str
) -> _Split:
    examples = corpus.open_examples(split)
    device = choose_device(request.device)

    def predict(on_progress: Callable[[int], None]) -> Iterator[DocumentPrediction]:
        predictions = [
            predict_examples(
                each.model, examples, decoder, device=device, precision=request.precision, on_progress=on_progress
            )
            for each in members
        ]
        return average_predictions(predictions, decoder)

    return _Split(examples.num_documents, len(members) * len(examples.stream.tokens), predict)


def _open_conditioned(
    members: Sequence[LoadedModel], corpus: Corpus, decoder: LabelDecoder, request: LabelEvalRequest, split: str
) -> _Split:
    loaded = members[0]
    direction = loaded.settings.text_direction
    stream, conditions, known = corpus.open(split), corpus.open_conditions(split), loaded.conditions
    assert isinstance(conditions, DocumentLabels), "check_same_labels compares the labels"
    assert isinstance(known, LabelConditions), "decoder_of has looked"

    def predict_by(model: LanguageModel, on_progress: Callable[[int], None]) -> Iterator[DocumentPrediction]:
        log_p_DL = label_log_probabilities(
            model,
            stream.in_direction(direction),
            known,
            device=choose_device(request.device),
            precision=request.precision,
            on_progress=on_progress,
        )
        return as_predictions(log_p_DL if direction == "forward" else log_p_DL[::-1], conditions.labels_D)

    def predict(on_progress: Callable[[int], None]) -> Iterator[DocumentPrediction]:
        return average_predictions([predict_by(each.model, on_progress) for each in members], decoder)

    return _Split(len(stream.documents), len(members) * stream.num_predictions * known.size, predict)


def decoder_of(loaded: LoadedModel, name: str) -> LabelDecoder:
    """Return what chooses the labels or tags of a model.

    Args:
        name: of the run, for messages.

    Raises:
        UsageError: it is a language model.
    """
    if isinstance(loaded.conditions, LabelConditions):
        if loaded.conditions.columns:
            raise UsageError(
                f"{name} is given several labels for each text, and only a single one can be recognised",
                "name a run with one label for each text",
            )
        return LabelDecoder(loaded.conditions.labels.names)
    if loaded.labels is None:
        raise UsageError(
            f"{name} is a language model, and predicts no labels or tags",
            "train one on a corpus of `charlm prepare --task classify` or tag",
        )
    return build_decoder(loaded.task, loaded.labels.names)


def check_same_labels(loaded: LoadedModel, corpus: Corpus) -> None:
    """
    Raises:
        DataError: the corpus has other labels or tags than the model.
    """
    has_other_labels = corpus.labels != loaded.labels or corpus.conditions != loaded.conditions
    if has_other_labels or corpus.task != loaded.task:
        raise DataError(
            f"{corpus.directory} has other labels or tags than the model",
            "name a corpus with --data that has those of the model",
        )


class _Collected:
    """What is kept of each document's prediction."""

    def __init__(self, counter: DocumentCounter, temperature: float) -> None:
        self._counter = counter
        self._temperatures = (1.0, temperature)
        self._confidences: tuple[list[Any], list[Any]] = ([], [])
        self._is_correct: list[Any] = []

    def collect(self, predictions: Iterator[DocumentPrediction]) -> Iterator[DocumentPrediction]:
        """Pass the predictions on, and keep what is needed of each."""
        for prediction in predictions:
            self._counter.add(prediction)
            for confidences, temperature in zip(self._confidences, self._temperatures, strict=True):
                confidences.append(confidence_at(prediction.log_p_NL, prediction.chosen, temperature))
            self._is_correct.append(prediction.chosen == prediction.targets)
            yield prediction

    @property
    def counts(self) -> DocumentCounts:
        return self._counter.counts

    def error(self, index: int) -> float | None:
        """Return the calibration error without (0) and with (1) the fitted temperature."""
        if not self._is_correct:
            return None
        return expected_calibration_error(np.concatenate(self._confidences[index]), np.concatenate(self._is_correct))


def compare_label_runs(
    runs: tuple[str, str], checkpoint: str | None, request: LabelEvalRequest, on_progress: OnProgress
) -> tuple[list[LabelEvalResult], dict[str, FigureDifference | None]]:
    """Score two runs; return both scores, and their differences on the same documents by figure.

    Raises:
        DataError: their examples are different.
    """
    results = [score_label_run(run, checkpoint, request, on_progress) for run in runs]
    check_same_examples(results)
    first, second = (each.documents for each in results)
    differences = {"accuracy": compare_accuracy(first, second)}
    if first.gold_segments.any():
        differences["segments"] = compare_segments(first, second)
    if first.words.any():
        differences["words"] = compare_words(first, second)
    return results, differences


def check_same_examples(results: Sequence[LabelEvalResult]) -> None:
    """
    Raises:
        DataError: the results belong to different examples.
    """
    first = results[0]
    for other in results[1:]:
        digests = {documents_digest(each.corpus.metadata["files"]) for each in (first, other)}
        if len(digests) > 1 or first.names != other.names:
            raise DataError(
                f"{first.run} and {other.run} were scored on different examples",
                "compare runs of one corpus, or name it with --data",
            )
