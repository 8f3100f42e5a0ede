"""The fields of `POST /v1/completions`, checked: what a client asks for, before any model is looked at.

JSON object ──parse_completion──> CompletionRequest                                          anything else: 400
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charlm.serving.api_error import invalid_field
from charlm.serving.json_fields import JsonFields, is_whole_number
from charlm.serving.limits import Limits
from charlm.suggestions.words import format_value

FIELDS = (
    *("model", "prompt", "max_tokens", "temperature", "top_p", "n", "best_of", "stop", "seed", "echo", "logprobs"),
    *("stream", "stream_options", "presence_penalty", "frequency_penalty", "logit_bias", "suffix", "user"),
    *("top_k", "min_p", "regex", "ignore_eos", "return_tokens_as_token_ids", "label"),
)
_NUM_SEEDS = 2**63
_NUM_RANDOM_SEEDS = 2**53  # JavaScript's numbers hold them
_MAX_PENALTY = 2.0
_MAX_BIAS = 100.0
_ALL = -1
"""top_k of other servers for "all tokens"; so is 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionRequest:
    """What a client asks for. Fields are those of OpenAI's API, with its defaults, and six more at the end."""

    model: str | None
    prompt: Any
    """Checked by `prompts.encode_prompts`, which knows the vocabulary."""
    max_tokens: int
    temperature: float
    top_p: float | None
    n: int
    best_of: int
    """Texts that are drawn of each prompt; the n best are returned."""
    stop: tuple[str, ...]
    seed: int
    """A random one if the client gives none."""
    echo: bool
    logprobs: int | None
    stream: bool
    include_usage: bool
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float]
    top_k: int | None
    min_p: float | None
    regex: str | None
    ignore_eos: bool
    """Whether `<eod>` begins another document, instead of ending the text."""
    return_tokens_as_token_ids: bool
    """Whether log-probabilities name a token by its id, which is unique, instead of its text. The field is vLLM's."""
    label: tuple[str, ...]
    """What a model that writes for labels is given: one, or one of each column."""


def parse_completion(content: Mapping[str, Any], limits: Limits) -> CompletionRequest:
    """Check the fields of a request.

    Raises:
        ApiError: a field is not known, has another type, or is out of range.
    """
    fields = JsonFields(content, FIELDS)
    if fields.text("suffix"):
        raise invalid_field("suffix", "these models do not insert text before a suffix", "leave suffix out")
    fields.text("user")  # says who asks; nothing depends on it
    stream_options = JsonFields(fields.objects("stream_options"), ("include_usage",))
    max_tokens = fields.whole_number("max_tokens", 0, limits.max_tokens)
    temperature = fields.number("temperature", 0, 100)
    n = _default(fields.whole_number("n", 1, limits.texts), 1)
    request = CompletionRequest(
        model=fields.text("model"),
        prompt=fields.raw("prompt"),
        max_tokens=_default(max_tokens, 16),
        temperature=1.0 if temperature is None else temperature,
        top_p=fields.number("top_p", 0, 1),
        n=n,
        best_of=_default(fields.whole_number("best_of", 1, limits.texts), n),
        stop=fields.texts("stop", limits.stop_strings, limits.stop_characters),
        seed=_seed(fields),
        echo=fields.boolean("echo"),
        logprobs=fields.whole_number("logprobs", 0, limits.logprobs),
        stream=fields.boolean("stream"),
        include_usage=stream_options.boolean("include_usage"),
        presence_penalty=fields.number("presence_penalty", -_MAX_PENALTY, _MAX_PENALTY) or 0.0,
        frequency_penalty=fields.number("frequency_penalty", -_MAX_PENALTY, _MAX_PENALTY) or 0.0,
        logit_bias=_logit_bias(fields),
        top_k=_top_k(fields),
        min_p=fields.number("min_p", 0, 1),
        regex=fields.text("regex"),
        ignore_eos=fields.boolean("ignore_eos"),
        return_tokens_as_token_ids=fields.boolean("return_tokens_as_token_ids"),
        label=fields.texts("label", limits.labels, limits.label_characters),
    )
    _check_together(request, fields)
    return request


def _check_together(request: CompletionRequest, fields: JsonFields) -> None:
    if request.best_of < request.n:
        raise invalid_field("best_of", f"best_of {request.best_of} is less than n {request.n}", "raise best_of")
    if request.stream and request.best_of > request.n:
        what = "best_of is not known to be the best before all texts are complete, and stream asks for them earlier"
        raise invalid_field("best_of", what, "leave stream or best_of out")
    if not request.stream and fields.raw("stream_options") is not None:
        raise invalid_field("stream_options", "stream_options needs a stream", 'add "stream": true, or leave it out')
    if request.regex is not None and request.ignore_eos:
        raise invalid_field("ignore_eos", "regex ends a text where it matches", "leave ignore_eos out")


def _default(value: int | None, default: int) -> int:
    return default if value is None else value


def _seed(fields: JsonFields) -> int:
    """The seed; a negative one counts from 2**63, since OpenAI allows 64 bits with a sign."""
    seed = fields.whole_number("seed", -_NUM_SEEDS, _NUM_SEEDS - 1)
    return secrets.randbelow(_NUM_RANDOM_SEEDS) if seed is None else seed % _NUM_SEEDS


def _top_k(fields: JsonFields) -> int | None:
    top_k = fields.whole_number("top_k", _ALL, 10**9)
    return None if top_k in (None, _ALL, 0) else top_k


def _logit_bias(fields: JsonFields) -> dict[int, float]:
    """Id -> bias. JSON has only strings as keys."""
    biases: dict[int, float] = {}
    for key, value in fields.objects("logit_bias").items():
        if not (key.isascii() and key.isdecimal() and len(key) < 10):
            cure = 'give ids as strings, such as {"5": -100}; /tokenize returns them'
            raise invalid_field("logit_bias", f"logit_bias has the key {format_value(key)}", cure)
        if not (is_whole_number(value) or isinstance(value, float)) or not -_MAX_BIAS <= value <= _MAX_BIAS:
            what = f"logit_bias has the value {format_value(value)} for token {key}"
            raise invalid_field("logit_bias", what, "give a number from -100 to 100")
        biases[int(key)] = float(value)
    return biases
