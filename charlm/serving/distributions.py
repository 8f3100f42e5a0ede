"""What a client needs to draw for itself: every token of a vocabulary, and the probability of each after a prompt.

    /vocabulary    id -> name, and which ids are bytes, marks and <eod>
    /distribution  prompt ──make_tasks──> engine ──> log-probabilities of all ids, the likeliest first

Completions tell only the 20 likeliest tokens of a place. Temperature and top-p need the probability of all others too.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from charlm.sampling.constraints.tokens import first_byte_id
from charlm.serving.api_error import invalid_field
from charlm.serving.completion_json import finite_log_p
from charlm.serving.completion_request import parse_completion
from charlm.serving.completions import PreparedCompletion
from charlm.serving.json_fields import JsonFields
from charlm.serving.limits import Limits
from charlm.serving.prompts import encode_prompts
from charlm.serving.served_models import ServedModel, ServedModels
from charlm.serving.text_events import ScoredToken, TextPiece
from charlm.serving.text_stream import TextStream
from charlm.serving.writing_tasks import make_tasks
from charlm.vocab.base import NUM_BYTES

_DECIMALS = 5


def describe_vocabulary(model: ServedModel) -> dict[str, Any]:
    """The names of all ids. The text of an id is its name, except that <eod>, a byte and a mark have none."""
    vocab, first_byte = model.vocab, first_byte_id(model.vocab)
    named = {vocab.eod_id, *(() if first_byte is None else range(first_byte, first_byte + NUM_BYTES))}
    marks = [token for token in range(vocab.size) if token not in named and not vocab.decode([token])]
    return {
        "model": model.id,
        "type": vocab.type,
        "names": model.symbols,
        "eod_id": vocab.eod_id,
        "first_byte_id": first_byte,
        "mark_ids": marks,
    }


def prepare_distribution(content: Mapping[str, Any], models: ServedModels, limits: Limits) -> PreparedCompletion:
    """Check a request, and make it a completion of one token with the log-probabilities of all.

    Raises:
        ApiError: it has another field than `model`, `prompt` and `label`, or several prompts; or the
                vocabulary is too large.
    """
    fields = JsonFields(content, ("model", "prompt", "label"))
    model = models.find(fields.text("model"))
    request = parse_completion({**content, "max_tokens": 1, "temperature": 0, "seed": 0}, limits)
    prompts = encode_prompts(request.prompt, model.vocab, limits)
    if len(prompts) > 1:
        raise invalid_field("prompt", f"there are {len(prompts)} prompts", "give one")
    if model.vocab.size >= limits.logprob_entries:
        what = f"the vocabulary of {model.id} has {model.vocab.size:,} tokens, too many for one answer"
        raise invalid_field("model", what, "use another model, or logprobs of /v1/completions")
    request = replace(request, logprobs=model.vocab.size)
    return PreparedCompletion(request, model, prompts, make_tasks(request, model, prompts, limits))


async def read_token(stream: TextStream) -> ScoredToken:
    """Return the only token of a text."""
    pieces: list[TextPiece] = []
    while events := await stream.read():
        pieces += [event for event in events if isinstance(event, TextPiece)]
    assert pieces[0].token is not None, "log-probabilities were asked for"
    return pieces[0].token


def distribution_json(model: ServedModel, token: ScoredToken) -> dict[str, Any]:
    ids, log_probs = zip(*token.alternatives, strict=True)
    rounded = [round(finite_log_p(value), _DECIMALS) for value in log_probs]
    return {"model": model.id, "ids": list(ids), "logprobs": rounded}
