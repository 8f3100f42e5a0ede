"""`/tokenize`, `/detokenize` and `/tokenizer_info`: text <-> ids, with the fields that lm-evaluation-harness reads.

The harness asks for the id of <eod> by tokenizing its name, so a text that is exactly `<eod>` is this one id. Within
other texts these five characters are ordinary text.
"""

from collections.abc import Mapping
from typing import Any, cast

from charlm.serving.api_error import ApiError, invalid_field
from charlm.serving.json_fields import JsonFields
from charlm.serving.limits import Limits
from charlm.serving.prompts import check_ids, encode_text
from charlm.serving.served_models import ServedModel, ServedModels
from charlm.suggestions.words import format_value


def tokenize(content: Mapping[str, Any], models: ServedModels, limits: Limits) -> dict[str, Any]:
    """The ids of a text.

    Raises:
        ApiError: a field is wrong, or the text has a character that the vocabulary cannot spell.
    """
    fields = JsonFields(content, ("model", "prompt", "add_special_tokens", "return_token_strs"))
    vocab = models.find(fields.text("model")).vocab
    text = fields.text("prompt")
    if text is None:
        raise invalid_field("prompt", "prompt is missing", "give a text")
    is_eod = text == vocab.symbol(vocab.eod_id)
    tokens = [vocab.eod_id] if is_eod else encode_text(text, vocab).tolist()
    if fields.boolean("add_special_tokens"):
        tokens = [vocab.eod_id, *tokens]
    names = [vocab.symbol(token) for token in tokens] if fields.boolean("return_token_strs") else None
    return {"tokens": tokens, "count": len(tokens), "max_model_len": limits.prompt_tokens, "token_strs": names}


def detokenize(content: Mapping[str, Any], models: ServedModels, limits: Limits) -> dict[str, Any]:
    """The text of ids; <eod> has none.

    Raises:
        ApiError: a field is wrong, or an id is not in the vocabulary.
    """
    del limits  # that of the body is enough
    fields = JsonFields(content, ("model", "tokens"))
    vocab = models.find(fields.text("model")).vocab
    tokens = fields.raw("tokens")
    if not isinstance(tokens, list):
        raise invalid_field("tokens", f"tokens {format_value(tokens)} is no list", "give a list of ids")
    return {"prompt": vocab.decode(check_ids("tokens", cast("list[object]", tokens), vocab).tolist())}


def tokenizer_info(model: ServedModel, limits: Limits) -> dict[str, Any]:
    """What a client must know of a vocabulary. <eod> begins and ends every document."""
    vocab = model.vocab
    eod = vocab.symbol(vocab.eod_id)
    return {
        "model": model.id,
        "tokenizer_class": vocab.type,
        "vocab_size": vocab.size,
        "bos_token": eod,
        "eos_token": eod,
        "eos_token_id": vocab.eod_id,
        "pad_token": None,
        "chat_template": None,
        "max_model_len": limits.prompt_tokens,
    }


def refuse_chat() -> ApiError:
    """The error of `/v1/chat/completions`."""
    what = "these models continue a text, and were never trained to answer messages in a chat"
    return ApiError(404, what, "send a prompt to /v1/completions", code="chat_not_supported")
