"""Why a run's model predicts what it predicts in a text.

RUN ──load──> model of tokens ──surprisals of <eod> text <eod>──┐
              model of labels ──effects of its characters───────┼──> Drawing
              model of tags ────uncertainty of its tags─────────┤
              transducer ───────attention to its characters─────┘
"""

from collections.abc import Callable
from dataclasses import dataclass

from charlm.checkpoint import LoadedModel
from charlm.data.source_texts import SourceConditions, normalize_source
from charlm.data.store import encode_parts, stream_of
from charlm.device import choose_device
from charlm.errors import DataError, OptionError, UsageError
from charlm.evaluation.explain.alignment import AlignmentExplanation, explain_alignment
from charlm.evaluation.explain.draw_alignment import AlignmentDrawing
from charlm.evaluation.explain.draw_effects import EffectDrawing
from charlm.evaluation.explain.draw_surprisals import SurprisalDrawing
from charlm.evaluation.explain.draw_tags import TagDrawing
from charlm.evaluation.explain.drawing import Drawing
from charlm.evaluation.explain.effects import find_effects
from charlm.evaluation.explain.explanation import explain
from charlm.evaluation.explain.tags import explain_tags
from charlm.evaluation.transduction.beam_search import DEFAULT_BEAM
from charlm.nn.conditions.source import Transducer
from charlm.text.document import Document
from charlm.text.split import Part
from charlm.workflows.evaluate import stream_from_text
from charlm.workflows.evaluate_labels import decoder_of
from charlm.workflows.evaluate_targets import make_ensemble
from charlm.workflows.given import Given, give
from charlm.workflows.load_run import load_any_run
from charlm.workflows.predict_options import PredictOptions, find_label
from charlm.workflows.prediction import Query
from charlm.workflows.prediction_kinds import build_tag_predictions

OnProgress = Callable[[int, int], None]

MAX_CHARACTERS = 1_000_000
"""Longer texts are too large for a browser."""
MAX_LABEL_CHARACTERS = 100_000
"""Of a text with a label, which is read up to a thousand times."""


MAX_SOURCE_CHARACTERS = 500
"""Of a text for which another is written: their alignment has a cell for each pair of characters."""


_MAX_ALIGNMENT = 1 << 28  # probabilities of all tokens at all pairs of places


@dataclass(frozen=True, kw_only=True)
class ExplainRequest:
    """What to explain, and how.

    Attributes:
        top: the number of alternatives for each token or tag, or of labels.
        labels: the label to explain; empty: the predicted one. Of a model that writes for labels: these.
        target: the text to explain, of a model that writes a text for `text`; None: the one that it writes.
    """

    text: str
    top: int = 5
    labels: tuple[str, ...] = ()
    target: str | None = None
    device: str = "auto"


def explain_run(
    run: str, checkpoint: str | None, request: ExplainRequest, on_progress: OnProgress
) -> tuple[Drawing, str]:
    """Return what is to be shown, and the name of the run.

    Args:
        on_progress: called with the tokens predicted since the last call, and their total.

    Raises:
        UsageError: there is no such run or label, or the text is too long.
        DataError: the text is empty, or cannot be spelled.
    """
    _check_length(request.text, MAX_CHARACTERS, "give a part of it, or score it with `charlm eval --text`")
    loaded, name = load_any_run(run, checkpoint, request.device)
    if not request.text:
        raise DataError("the text is empty", "give a text, or a file that is not empty")
    if isinstance(loaded.conditions, SourceConditions):
        return _explain_target(loaded, loaded.conditions, request, name), name
    if request.target is not None:
        raise OptionError("{target} has no effect: {name} writes no text for another", "leave {target} out", name=name)
    if loaded.conditions is not None:
        return _explain_tokens(give(loaded, Given(request.labels), name), request, on_progress), name
    if loaded.labels is not None and loaded.task.per_document:
        return _explain_label(loaded, name, request, on_progress), name
    if request.labels:
        raise OptionError(
            "{label} chooses a label of documents, and {name} predicts {noun}",
            "leave {label} out, or name a run that predicts labels",
            name=name,
            noun=loaded.task.noun,
        )
    if loaded.labels is None:
        return _explain_tokens(loaded, request, on_progress), name
    return _explain_tags(loaded, name, request), name


def _explain_tokens(loaded: LoadedModel, request: ExplainRequest, on_progress: OnProgress) -> Drawing:
    stream = stream_from_text(request.text, loaded.vocab)
    found = explain(
        loaded.model,
        loaded.vocab,
        request.text,
        stream,
        direction=loaded.settings.text_direction,
        top=request.top,
        device=choose_device(request.device),
        on_progress=lambda scored: on_progress(scored, stream.num_predictions),
    )
    return SurprisalDrawing(found)


def _explain_target(loaded: LoadedModel, conditions: SourceConditions, request: ExplainRequest, name: str) -> Drawing:
    if request.labels:
        raise OptionError("{label} has no effect: {name} is given no label", "leave {label} out", name=name)
    _check_length(request.text, MAX_SOURCE_CHARACTERS, "give a part of it")
    if not isinstance(loaded.model, Transducer):
        raise UsageError(f"{name} does not look at its source (model.condition.type=none)", "name another run")
    target = request.target
    if target is None:
        ensemble = make_ensemble([loaded], request.device, "fp32")
        found = ensemble.transduce([conditions.encode(request.text)], DEFAULT_BEAM)[0]
        target = found[0].text if found else ""
    return AlignmentDrawing(align_target(loaded, request.text, target, top=request.top, device=request.device))


def align_target(loaded: LoadedModel, text: str, target: str, *, top: int, device: str) -> AlignmentExplanation:
    """Explain where each token of a target comes from.

    Args:
        loaded: a `Transducer` with its `SourceConditions`.
        text: the source.
        top: the number of alternatives for each token.

    Raises:
        UsageError: a text is too long.
        DataError: a text cannot be spelled, or the numbers of the model overflow.
    """
    model, conditions = loaded.model, loaded.conditions
    assert isinstance(model, Transducer), "it looks at its source"
    assert isinstance(conditions, SourceConditions), "a transducer has them"
    source = normalize_source(text, conditions.normalize)
    for each in (text, target):
        _check_length(each, MAX_SOURCE_CHARACTERS, "give a part of it")
    numbers = (len(source) + 2) * (len(target) + 1) * loaded.vocab.size
    if numbers > _MAX_ALIGNMENT:
        raise UsageError(
            f"the alignment of {len(source):,} with {len(target):,} characters needs {numbers:,} numbers",
            "give a part of the text",
        )
    stream = stream_of(encode_parts([Part(Document("target", "", target))], loaded.vocab), loaded.vocab)
    return explain_alignment(
        model,
        loaded.vocab,
        conditions,
        source,
        target,
        stream,
        direction=loaded.settings.text_direction,
        top=top,
        device=choose_device(device),
    )


def _explain_label(loaded: LoadedModel, name: str, request: ExplainRequest, on_progress: OnProgress) -> Drawing:
    _check_length(request.text, MAX_LABEL_CHARACTERS, "give a part of it")
    if len(request.labels) > 1:
        raise OptionError("{label} is given more than once, and one label is explained", "give it once")
    names = decoder_of(loaded, name).names
    found = find_effects(
        loaded.model,
        loaded.vocab,
        names,
        request.text,
        find_label(request.labels[0], names) if request.labels else None,
        top=request.top,
        device=choose_device(request.device),
        on_progress=on_progress,
    )
    return EffectDrawing(found)


def _explain_tags(loaded: LoadedModel, name: str, request: ExplainRequest) -> Drawing:
    decoder = decoder_of(loaded, name)
    predictions = build_tag_predictions([loaded], decoder, request.device, PredictOptions())
    query = Query(request.text)
    log_p_NL = predictions.log_probabilities([query])[0]
    chosen = decoder.decode(log_p_NL)
    return TagDrawing(
        explain_tags(request.text, decoder.names, predictions.spans(query), chosen, log_p_NL, top=request.top)
    )


def _check_length(text: str, limit: int, cure: str) -> None:
    """
    Raises:
        UsageError: the text is too long.
    """
    if len(text) > limit:
        raise UsageError(f"the text has {len(text):,} characters; at most {limit:,} can be explained", cure)
