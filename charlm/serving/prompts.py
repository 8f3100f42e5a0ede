"""Prompts as a request gives them, as ids: a text, several texts, ids, or several lists of ids.

    "prompt": "a", ["a", "b"], [5, 3], [[5, 3], [8]] ──encode_prompts──> Prompt for each

A model always reads an <eod> first. Ids that begin with it are taken as they are; before others, and before a text, it
is added, and belongs neither to the text nor to the tokens of the prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from charlm.errors import DataError
from charlm.sampling.detokenizer import DOCUMENT_BREAK
from charlm.serving.api_error import invalid_field
from charlm.serving.json_fields import is_whole_number
from charlm.serving.limits import Limits
from charlm.serving.token_offsets import TokenOffsets
from charlm.suggestions.words import format_value
from charlm.vocab.base import IntArray, Vocab

_KINDS = "give a text, a list of texts, a list of ids, or a list of lists of ids"


@dataclass(frozen=True)
class Prompt:
    """One prompt."""

    vocab: Vocab
    ids: IntArray
    """As the client counts them."""

    @property
    def context_ids(self) -> IntArray:
        """What the model reads: the ids after <eod>."""
        begins = len(self.ids) > 0 and self.ids[0] == self.vocab.eod_id
        return self.ids if begins else np.concatenate([[self.vocab.eod_id], self.ids])

    @property
    def text(self) -> str:
        return self._decoded[0]

    @property
    def offsets(self) -> list[int]:
        """The index in `text`, in characters, at which each id begins; a byte begins where its character does."""
        return self._decoded[1]

    @property
    def pending_ids(self) -> tuple[int, ...]:
        """The ids at the end that are the beginning of a character; the completion goes on with it."""
        return self._decoded[2]

    @cached_property
    def _decoded(self) -> tuple[str, list[int], tuple[int, ...]]:
        decoder, tracked = self.vocab.stream_decoder(), TokenOffsets(self.vocab)
        pieces: list[str] = []
        offsets: list[int] = []
        for index, token in enumerate(self.ids.tolist()):
            is_eod = token == self.vocab.eod_id
            shown_break = DOCUMENT_BREAK if is_eod and index else ""
            piece = decoder.finish() + shown_break if is_eod else decoder.push(token)
            offsets.append(tracked.add(token, piece))
            pieces.append(piece)
        return "".join(pieces), offsets, tuple(tracked.open_ids)


def encode_prompts(given: Any, vocab: Vocab, limits: Limits) -> list[Prompt]:
    """Return the prompts of a request; without one, the beginning of a document.

    Raises:
        ApiError: it is of another kind, too long, or has an id or character that the vocabulary does not have.
    """
    many = _as_list(given)
    if len(many) > limits.prompts:
        raise invalid_field("prompt", f"there are {len(many):,} prompts", f"give at most {limits.prompts}")
    if sum(map(len, many)) > limits.body_bytes:
        raise _too_long(limits)
    prompts = [
        Prompt(vocab, encode_text(each, vocab) if isinstance(each, str) else check_ids("prompt", each, vocab))
        for each in many
    ]
    if sum(len(prompt.ids) for prompt in prompts) > limits.prompt_tokens:
        raise _too_long(limits)
    return prompts


def encode_text(text: str, vocab: Vocab) -> IntArray:
    """Return the ids of a prompt.

    Raises:
        ApiError: it has a lone surrogate, or a character that the vocabulary cannot spell.
    """
    try:
        return vocab.encode(text).astype(np.int64)
    except DataError as error:
        raise invalid_field("prompt", f"prompt: {error.what}", error.cure) from error


def check_ids(name: str, ids: Sequence[object], vocab: Vocab) -> IntArray:
    """Return the ids of a field.

    Raises:
        ApiError: one of them is no id of the vocabulary.
    """
    for token in ids:
        if not is_whole_number(token) or not 0 <= cast("int", token) < vocab.size:
            cure = f"give ids from 0 to {vocab.size - 1:,}; /tokenize returns them"
            raise invalid_field(name, f"{name} has {format_value(token)} among its ids", cure)
    return np.array(ids, dtype=np.int64)


def _as_list(given: Any) -> list[str | list[object]]:
    """The prompts as a list; which ids are valid is not checked yet."""
    if given is None:
        return [""]
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise invalid_field("prompt", f"prompt {format_value(given)} is no prompt", _KINDS)
    items = cast("list[object]", given)
    if all(isinstance(item, str) for item in items) or all(isinstance(item, list) for item in items):
        return cast("list[str | list[object]]", items)
    if not any(isinstance(item, str | list) for item in items):
        return [items]
    raise invalid_field("prompt", "prompt mixes texts, ids and lists", _KINDS)


def _too_long(limits: Limits) -> Exception:
    what = f"the prompts have more than {limits.prompt_tokens:,} tokens"
    return invalid_field("prompt", what, "send them in several requests, or give less text")
