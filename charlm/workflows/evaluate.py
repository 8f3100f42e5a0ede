"""The score of a run on a corpus or on any text, with its interval; and which of two runs is better.

RUN ──load──> model ─────────────────┐
TEXT or SPLIT ──> stream of tokens ──┴──score_tokens──> nats of every token ──> score, interval, difference
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.checkpoint import LoadedModel
from charlm.data.conditions import DocumentConditions, DocumentLabels, LabelConditions
from charlm.data.corpus import Corpus
from charlm.data.labels import UNKNOWN_LABEL
from charlm.data.store import TokenStream, encode_parts, stream_of
from charlm.device import Precision, choose_device
from charlm.errors import DataError, UsageError
from charlm.evaluation.evaluate import score_with_parts
from charlm.evaluation.interval import BitsDifference, bootstrap_interval, compare_on_units
from charlm.evaluation.resampling_units import BootstrapUnits, find_bootstrap_units
from charlm.evaluation.score import Score
from charlm.evaluation.score_documents import score_documents
from charlm.evaluation.uniform_guessing import CURE, UNKNOWN_TEXT, describe_worse_than_uniform, uniform_bits
from charlm.text.document import Document
from charlm.text.split import Part
from charlm.vocab.base import Vocab
from charlm.workflows.ensembles import average_nats, load_members
from charlm.workflows.given import Given, give
from charlm.workflows.load_run import load_language_model, open_corpus_for, refuse_conditions
from charlm.workflows.mix_ngrams import mixed_nats
from charlm.workflows.seen_text import describe_seen_text
from charlm.workflows.tune import adapted_nats, check_tuned
from charlm.workspace import BUNDLED, DATA

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class EvalRequest:
    """What to score, and how."""

    split: str = "test"
    data: str | None = None
    text: str | None = None
    """A text instead of a split of a corpus."""
    labels: tuple[str, ...] = ()
    """What a conditional model is given for the whole text; empty: the labels of each document of the corpus."""
    streams: int | None = None
    precision: Precision = "fp32"
    device: str = "auto"
    methods: tuple[str, ...] = ()
    """Further scores, beside the static one: "dynamic", "cache", "temperature", "mix", "recall"."""


@dataclass(frozen=True)
class EvalResult:
    """The negative log-likelihood of each token of a text. `nats_P` is in text order, from token `first_token` on."""

    run: str
    vocab: Vocab
    stream: TokenStream
    corpus: Corpus | None
    nats_P: npt.NDArray[np.float32]
    first_token: int
    score: Score
    parameters: int
    checkpoint: Path
    trained_on: dict[str, Any]
    adapted_scores: dict[str, dict[str, Any]]
    """Method -> its score, its settings, and a warning if the text is not new to it."""
    warning: str | None = None
    """What the plain score is worth, if the text is not new to the model."""
    parts: Mapping[str, Score] = field(default_factory=dict[str, Score])
    """The scores of the parts of a mixture: of the network and of the n-grams, each alone."""

    @property
    def text_hash(self) -> str:
        """The SHA-256 of the text, independent of its tokens."""
        found = hashlib.sha256()
        for start, end in zip(self.stream.documents["start"], self.stream.ends, strict=True):
            found.update(self.vocab.decode(self.stream.tokens[start:end]).encode("utf-8"))
            found.update(b"\xff")
        return found.hexdigest()

    @property
    def units(self) -> BootstrapUnits:
        return find_bootstrap_units(self.stream, self.vocab)

    def unit_nats(self, units: BootstrapUnits) -> npt.NDArray[np.float64]:
        return units.sum_nats(self.nats_P, self.first_token)


def score_run(run: str | None, checkpoint: str | None, request: EvalRequest, on_progress: OnProgress) -> EvalResult:
    """Score every token of a split or text.

    Raises:
        UsageError: there is no such run, corpus or split; or the bundled model is to be scored without a text.
        DataError: the corpus is not the one of the run, or the text cannot be spelled.
    """
    loaded, name = load_language_model(run, checkpoint, request.device)
    return _score_loaded(loaded, name, request, on_progress)


def score_ensemble(
    runs: Sequence[str | None], checkpoint: str | None, request: EvalRequest, on_progress: OnProgress
) -> EvalResult:
    """Score several runs as one model, which gives each token the mean of their probabilities.

    Raises:
        UsageError, DataError: as `score_run`; or a further score is asked for, or the runs do not fit together.
    """
    if request.methods:
        raise UsageError(
            "further scores, such as --dynamic or --mix, are of one model, and not of an ensemble", "leave them out"
        )
    members, name = load_members(runs, checkpoint, request.device)
    results = [_score_loaded(each, name, request, on_progress) for each in members]
    check_same_text(results)
    nats_P = average_nats([each.nats_P for each in results])
    return replace(
        results[0],
        nats_P=nats_P,
        score=Score.from_nats(nats_P, results[0].stream),
        parameters=sum(each.parameters for each in results),
        parts={},
    )


def _score_loaded(loaded: LoadedModel, name: str, request: EvalRequest, on_progress: OnProgress) -> EvalResult:
    if name == BUNDLED and request.text is None and request.data is None and not (DATA / BUNDLED).is_dir():
        raise UsageError(
            "the corpus of the bundled model is not part of charlm",
            "score it on a text: `charlm eval bundled --text FILE`",
        )
    corpus = None if request.text is not None else open_corpus_for(loaded, request.data)
    if request.methods:
        refuse_conditions(loaded, name, "a further score, such as --dynamic or --mix,")
    if request.streams is not None:
        refuse_conditions(loaded, name, "--streams")
    if corpus is None or corpus.conditions is None or request.labels:
        loaded = give(loaded, Given(request.labels), name)
    stream = corpus.open(request.split) if corpus is not None else stream_from_text(request.text or "", loaded.vocab)
    _check_methods(request, loaded, corpus)

    def report_progress(scored: int) -> None:
        on_progress(scored, stream.num_predictions)

    directed = stream.in_direction(loaded.settings.text_direction)
    parts: dict[str, Score] = {}
    if corpus is not None and loaded.task.has_conditions:
        nats = score_documents(
            loaded.model,
            directed,
            _conditions_of(loaded, corpus, request.split),
            device=choose_device(request.device),
            precision=request.precision,
            on_progress=report_progress,
        )
    else:
        nats, parts = score_with_parts(
            loaded.model,
            directed,
            num_lanes=request.streams,
            device=choose_device(request.device),
            precision=request.precision,
            on_progress=report_progress,
        )
    adapted_scores: dict[str, dict[str, Any]] = {}
    for method in request.methods:
        adapted, settings = _score_adapted(method, request, loaded, corpus, directed, nats, report_progress)
        warning = describe_seen_text(method, request.split, corpus, loaded.metadata["trained_on"])
        about = {"settings": settings, "warning": warning}
        adapted_scores[method] = {**Score.from_nats(adapted, stream).to_json(), **about}
    ngram = loaded.settings.ngram
    refits = ngram is not None and ngram.refit_epochs > 0
    is_reversed = loaded.settings.text_direction == "backward"  # its last token is context, the first is predicted last
    return EvalResult(
        name,
        loaded.vocab,
        stream,
        corpus,
        nats[::-1] if is_reversed else nats,
        0 if is_reversed else 1,
        Score.from_nats(nats, stream),
        loaded.model.num_parameters,
        loaded.directory,
        loaded.metadata["trained_on"],
        adapted_scores,
        describe_seen_text(None, request.split, corpus, loaded.metadata["trained_on"], refits=refits),
        parts,
    )


def _conditions_of(loaded: LoadedModel, corpus: Corpus, split: str) -> DocumentConditions | None:
    """Return what the model is given for each document, in the order in which it reads them; None if it was given
    something already.

    The labels of another corpus are found by their names; one that the model does not know says nothing.
    """
    known, conditions = loaded.conditions, corpus.open_conditions(split)
    if not isinstance(known, LabelConditions) or not isinstance(corpus.conditions, LabelConditions):
        return None
    assert isinstance(conditions, DocumentLabels), "the corpus has labels"
    ids_L = np.array([*map(known.labels.get_id, corpus.conditions.labels.names), UNKNOWN_LABEL])
    return DocumentLabels(ids_L[conditions.labels_D]).in_direction(loaded.settings.text_direction)


def _check_methods(request: EvalRequest, loaded: LoadedModel, corpus: Corpus | None) -> None:
    """Check, before the work, that the methods have what they need.

    Raises:
        UsageError: a method needs a corpus or a tuned run, and there is none.
    """
    if {"mix", "recall"} & set(request.methods) and corpus is None:
        raise UsageError("--mix and --mix-online need the training text of a corpus", "leave --text out")
    if {"dynamic", "cache", "temperature"} & set(request.methods):
        check_tuned(loaded)


def _score_adapted(
    method: str,
    request: EvalRequest,
    loaded: LoadedModel,
    corpus: Corpus | None,
    stream: TokenStream,
    nats_P: npt.NDArray[np.float32],
    on_progress: Callable[[int], None],
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """The nats of a stream, as the model reads it, by one method, and the method's settings.

    Args:
        nats_P: of the static model.
    """
    device = choose_device(request.device)
    if method in ("mix", "recall"):
        assert corpus is not None, "_check_methods has seen to it"
        read_recent = method == "recall"
        return mixed_nats(
            loaded, corpus, stream, nats_P, device, request.precision, on_progress, uses_recent=read_recent
        )
    return adapted_nats(loaded, stream, method, device, on_progress)


def stream_from_text(text: str, vocab: Vocab) -> TokenStream:
    """Encode a text as `<eod> text <eod>`.

    Raises:
        DataError: the text is empty, or cannot be spelled.
    """
    if not text:
        raise DataError("the text is empty", "give a text, or a file that is not empty")
    encoded = encode_parts([Part(Document("text", "", text), 0, is_last_part=True)], vocab)
    return stream_of(encoded, vocab)


def evaluate_run(
    run: str | None, checkpoint: str | None, request: EvalRequest, on_progress: OnProgress
) -> dict[str, Any]:
    """Score a run: the score in every unit, with the 95 % interval of the bits per character."""
    return summarize_result(score_run(run, checkpoint, request, on_progress), request)


def summarize_result(found: EvalResult, request: EvalRequest) -> dict[str, Any]:
    """The JSON that `charlm eval` prints of one run."""
    units = found.units
    bounds = bootstrap_interval(found.unit_nats(units), units.characters)
    parts = {name: score.bits_per_character for name, score in found.parts.items()}
    return {
        "run": found.run,
        "split": request.split if request.text is None else "text",
        **found.score.to_json(),
        **({"parts": parts} if parts else {}),
        "interval": None if bounds is None else list(bounds),
        "resampled": units.size_label,
        "uniform_bits_per_character": uniform_bits(found.vocab.size, found.score.tokens, found.score.characters),
    } | found.adapted_scores


def warn_of_worse_than_uniform(result: Mapping[str, Any]) -> str | None:
    """Return a sentence about a result of `summarize_result` that is worse than uniform guessing, or None."""
    bits, uniform = result["bits_per_character"], result["uniform_bits_per_character"]
    cure = UNKNOWN_TEXT if result["split"] == "text" else CURE
    return describe_worse_than_uniform(str(result["run"]), bits, uniform, cure)


def compare_runs(
    runs: tuple[str, str], checkpoint: str | None, request: EvalRequest, on_progress: OnProgress
) -> tuple[list[EvalResult], BitsDifference | None]:
    """Score two runs; return both results, and their difference on the same documents.

    Raises:
        DataError: their texts are different.
    """
    first, second = (score_run(run, checkpoint, request, on_progress) for run in runs)
    check_same_text([first, second])
    units = first.units
    found = compare_on_units(first.unit_nats(units), second.unit_nats(second.units), units.characters)
    return [first, second], found


def check_same_text(results: Sequence[EvalResult]) -> None:
    """
    Raises:
        DataError: the results belong to different texts.
    """
    first = results[0]
    for other in results[1:]:
        if not np.array_equal(first.units.characters, other.units.characters) or first.text_hash != other.text_hash:
            raise DataError(
                f"{first.run} and {other.run} were scored on different texts",
                "prepare one corpus from the other with `charlm prepare --data DIR --vocab KIND`, or give --text",
            )
