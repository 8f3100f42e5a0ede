"""The score of transducers, single ones or an ensemble, with intervals; and which of two is better.

RUN ... ──load──> models ──────┐
SPLIT ──> sources, right texts ┴──beam search──> texts ──> error rates      ──score_documents──> bits per character

An ensemble averages the probabilities that its models give to each next token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.checkpoint import LoadedModel
from charlm.data.corpus import Corpus, documents_digest
from charlm.data.source_texts import SourceConditions
from charlm.data.store import TokenStream
from charlm.device import Precision, choose_device
from charlm.errors import DataError, UsageError
from charlm.evaluation.interval import bootstrap_interval, ratio_interval, share_interval
from charlm.evaluation.label_intervals import FigureDifference
from charlm.evaluation.resampling_units import find_bootstrap_units
from charlm.evaluation.score import Score
from charlm.evaluation.score_documents import score_documents
from charlm.evaluation.transduction.answers import Question, collect_questions
from charlm.evaluation.transduction.beam_search import DEFAULT_BEAM, BeamOptions
from charlm.evaluation.transduction.score import AnswerCounts, TransductionScore
from charlm.evaluation.transduction.transduce import TransducerEnsemble
from charlm.nn.model import ConditionalModel
from charlm.workflows.ensembles import average_nats, load_members
from charlm.workflows.evaluate import OnProgress
from charlm.workflows.load_run import open_corpus_for

_MAX_MISTAKES = 10


@dataclass(frozen=True)
class TargetEvalRequest:
    """What to score, and how."""

    split: str = "test"
    data: str | None = None
    precision: Precision = "fp32"
    device: str = "auto"
    options: BeamOptions = DEFAULT_BEAM


@dataclass(frozen=True)
class TargetEvalResult:
    """The score of the texts that a transducer or an ensemble writes for the sources of a split."""

    run: str
    corpus: Corpus
    split: str
    questions: list[Question]
    texts: list[str]
    """What was written for each question."""
    score: TransductionScore
    counts: AnswerCounts
    targets: TokenStream
    nats_P: npt.NDArray[np.float32]
    """Of the right texts, in their order, from token `first_token` on."""
    first_token: int
    parameters: int
    checkpoint: Path
    trained_on: dict[str, Any]

    @property
    def has_weights(self) -> bool:
        """Whether the targets of the split count differently."""
        return len(np.unique(self.corpus.open_weights(self.split))) > 1


def score_transducers(
    runs: Sequence[str | None], checkpoint: str | None, request: TargetEvalRequest, on_progress: OnProgress
) -> TargetEvalResult:
    """Score one run, or several as an ensemble.

    Raises:
        UsageError: there is no such run, corpus or split; or a run writes no texts for others.
        DataError: the corpus is not the one of the run, or the runs do not fit together.
    """
    loaded, name = load_members(runs, checkpoint, request.device)
    corpus = open_corpus_for(loaded[0], request.data)
    _check_sources(loaded[0], name, corpus)
    targets, sources = corpus.open(request.split), corpus.open_sources(request.split)
    questions = collect_questions(targets, sources, corpus.open_weights(request.split), corpus.vocab)
    ensemble = make_ensemble(loaded, request.device, request.precision)
    total = len(questions) + len(loaded) * targets.num_predictions
    found = ensemble.transduce(
        [each.source for each in questions], request.options, partial(_report, on_progress, total)
    )
    texts = [candidates[0].text if candidates else "" for candidates in found]
    direction = ensemble.direction
    nats_MP = [
        score_documents(
            each.model,
            targets.in_direction(direction),
            sources.in_direction(direction),
            device=ensemble.device,
            precision=request.precision,
            on_progress=partial(_report, on_progress, total),
        )
        for each in loaded
    ]
    nats_P = average_nats(nats_MP)
    counts = AnswerCounts.of_texts(texts, questions, blank_separates=corpus.vocab.type == "symbols")
    return TargetEvalResult(
        name,
        corpus,
        request.split,
        questions,
        texts,
        TransductionScore.from_counts(Score.from_nats(nats_P, targets), counts),
        counts,
        targets,
        nats_P if direction == "forward" else nats_P[::-1],
        1 if direction == "forward" else 0,
        sum(each.model.num_parameters for each in loaded),
        loaded[0].directory,
        loaded[0].metadata["trained_on"],
    )


def _report(on_progress: OnProgress, total: int, done: int) -> None:
    on_progress(done, total)


def make_ensemble(loaded: Sequence[LoadedModel], device: str, precision: Precision) -> TransducerEnsemble:
    """Return the ensemble of models that fit together."""
    models: list[ConditionalModel] = []
    for each in loaded:
        assert isinstance(each.model, ConditionalModel), "build_model makes one for a task with conditions"
        models.append(each.model)
    first = loaded[0]
    return TransducerEnsemble(models, first.vocab, first.settings.text_direction, choose_device(device), precision)


def _check_sources(loaded: LoadedModel, name: str, corpus: Corpus) -> None:
    """
    Raises:
        UsageError: the run writes no texts for others.
        DataError: the corpus has other sources than the model reads.
    """
    known, found = loaded.conditions, corpus.conditions
    if not isinstance(known, SourceConditions):
        raise UsageError(
            f"{name} is given no texts, and writes none for them",
            "name a run of a corpus of `charlm prepare --task transduce`",
        )
    if not isinstance(found, SourceConditions) or corpus.task != loaded.task or not found.vocab.is_same(known.vocab):
        raise DataError(
            f"{corpus.directory} has other sources than the model reads",
            "name a corpus with --data that has those of the model",
        )


def compare_transducers(first: TargetEvalResult, second: TargetEvalResult) -> FigureDifference | None:
    """Return the exact match of the first minus that of the second on the same sources; None with fewer than 5.

    Raises:
        DataError: they were scored on different examples.
    """
    check_same_sources(first, second)
    return compare_counts(first.counts, second.counts)


def check_same_sources(first: TargetEvalResult, second: TargetEvalResult) -> None:
    """
    Raises:
        DataError: two results belong to different examples.
    """
    digests = {documents_digest(each.corpus.metadata["files"]) for each in (first, second)}
    if len(digests) > 1 or len(first.questions) != len(second.questions):
        raise DataError(
            f"{first.run} and {second.run} were scored on different examples",
            "compare runs of one corpus, or name it with --data",
        )


def compare_counts(first: AnswerCounts, second: AnswerCounts) -> FigureDifference | None:
    """Return the exact match of the first minus that of the second on the same sources; None with fewer than 5."""
    wins_U = first.is_correct_U - second.is_correct_U
    interval = ratio_interval(wins_U.astype(np.float64), np.ones_like(wins_U))
    return None if interval is None else FigureDifference(float(wins_U.mean()), *interval)


def summarize_targets(found: TargetEvalResult) -> dict[str, Any]:
    """The JSON that `charlm eval` prints of one run or ensemble."""
    counts = found.counts
    units = find_bootstrap_units(found.targets, found.corpus.vocab)
    bits = bootstrap_interval(units.sum_nats(found.nats_P, found.first_token), units.characters)
    intervals = {
        "exact_match": share_interval(counts.is_correct_U.astype(np.float64), np.ones_like(counts.is_correct_U)),
        "symbol_error_rate": ratio_interval(counts.symbol_edits_U.astype(np.float64), counts.symbols_U),
        "word_error_rate": ratio_interval(counts.word_edits_U.astype(np.float64), counts.words_U),
        "bits_per_character": bits,
    }
    return {
        "run": found.run,
        "split": found.split,
        **found.score.to_json(),
        "intervals": {name: None if interval is None else list(interval) for name, interval in intervals.items()},
        "mistakes": list_mistakes(found),
    }


def list_mistakes(found: TargetEvalResult) -> list[dict[str, Any]]:
    """Return the first wrong texts, with their sources and the right ones."""
    conditions = found.corpus.conditions
    assert isinstance(conditions, SourceConditions), "the corpus has sources"
    wrong = (
        (question, text)
        for question, text in zip(found.questions, found.texts, strict=True)
        if text not in question.answers
    )
    return [
        {"source": conditions.vocab.decode(question.source.tolist()), "written": text, "right": list(question.answers)}
        for question, text in islice(wrong, _MAX_MISTAKES)
    ]
