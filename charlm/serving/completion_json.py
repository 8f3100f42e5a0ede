"""Completions as the JSON that OpenAI's client reads: whole, or in chunks of a stream.

PromptRead, TextPieces ──> Choice ──take──> {index, text, logprobs, finish_reason} ──AnswerFrame──> answer or chunk
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from charlm.serving.completion_request import CompletionRequest
from charlm.serving.prompts import Prompt
from charlm.serving.served_models import ServedModel
from charlm.serving.text_events import FinishReason, ScoredToken, TextPiece

_LEAST_LOG_P = -9999.0
"""JSON has no infinity; this is what OpenAI's API returned for it."""

_MAX_PIECES = 4096  # each takes many times the memory of its character


class AnswerFrame:
    """What all chunks of an answer have in common."""

    def __init__(self, request: CompletionRequest, model: ServedModel) -> None:
        self._common = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.id,
            "system_fingerprint": model.fingerprint,
            "seed": request.seed,
        }

    def fill(self, choices: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {**self._common, "choices": list(choices), **more}


class Choice:
    """A text as far as it was written, and what of it was not sent yet."""

    def __init__(self, prompt: Prompt, request: CompletionRequest, name: Callable[[int], str]) -> None:
        """
        Args:
            name: returns the name of an id.
        """
        self._name = name
        self._prompt = prompt
        self._is_echoed = request.echo
        self._has_logprobs = request.logprobs is not None
        self._pieces: list[str] = []
        self._tokens: list[ScoredToken] = []
        self._offsets: list[int] = []
        self._finish_reason: FinishReason | None = None
        self._log_p = 0.0
        self.num_tokens = 0
        """Drawn tokens, also the <eod> or the stop string that ended the text."""

    def begin(self, scored: Sequence[ScoredToken]) -> None:
        """The prompt was read, and a client may ask for it too. Its first token has no log-probability, as in OpenAI's
        API.

        Args:
            scored: all ids that the model has read; empty if nobody asked for log-probabilities.
        """
        if not self._is_echoed:
            return
        self._pieces.append(self._prompt.text)
        if self._has_logprobs and len(self._prompt.ids):
            first, *others = scored[len(scored) - len(self._prompt.ids) :]
            self._tokens += [ScoredToken(first.id, None), *others]
            self._offsets += self._prompt.offsets

    def add(self, piece: TextPiece) -> None:
        self._pieces.append(piece.text)
        if len(self._pieces) > _MAX_PIECES:
            self._pieces = ["".join(self._pieces)]
        self._finish_reason = piece.finish_reason
        self.num_tokens += piece.num_tokens
        if piece.token is None:
            return
        self._log_p += piece.token.log_p or 0.0
        if self._has_logprobs:
            self._tokens.append(piece.token)
            self._offsets.append(piece.offset + (len(self._prompt.text) if self._is_echoed else 0))

    @property
    def mean_log_p(self) -> float:
        """Log-probability per token, by which the best of several is chosen."""
        return self._log_p / max(1, self.num_tokens)

    @property
    def has_news(self) -> bool:
        """Whether there is something to send."""
        return any(self._pieces) or bool(self._tokens) or self._finish_reason is not None

    def take(self, index: int) -> dict[str, Any]:
        """Return what was not sent yet as a choice of this index."""
        choice = {
            "index": index,
            "text": "".join(self._pieces),
            "logprobs": self._logprobs() if self._has_logprobs else None,
            "finish_reason": self._finish_reason,
        }
        self._pieces, self._tokens, self._offsets, self._finish_reason = [], [], [], None
        return choice

    def _logprobs(self) -> dict[str, Any]:
        return {
            "tokens": [self._name(token.id) for token in self._tokens],
            "token_logprobs": [None if token.log_p is None else finite_log_p(token.log_p) for token in self._tokens],
            "top_logprobs": [_alternatives(token, self._name) for token in self._tokens],
            "text_offset": self._offsets,
        }


def usage_json(num_prompt_tokens: int, num_completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": num_prompt_tokens,
        "completion_tokens": num_completion_tokens,
        "total_tokens": num_prompt_tokens + num_completion_tokens,
    }


def _alternatives(token: ScoredToken, name: Callable[[int], str]) -> dict[str, float] | None:
    """Name -> log-probability of the likeliest tokens, and of the token itself.

    Where two ids have one name, the likelier one keeps it.
    """
    if token.log_p is None:
        return None
    found: dict[str, float] = {}
    for alternative, log_p in (*token.alternatives, (token.id, token.log_p)):
        found.setdefault(name(alternative), finite_log_p(log_p))
    return found


def finite_log_p(log_p: float) -> float:
    """A log-probability that JSON can hold."""
    return max(log_p, _LEAST_LOG_P)
