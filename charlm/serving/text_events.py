"""What an engine is asked to write, and what it tells while it writes.

WritingTask for each prompt ──engine──> PromptRead, then TextPieces; the last of each text has a finish reason
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from charlm.sampling.plan import SamplingPlan
from charlm.serving.text_starts import TextStart
from charlm.vocab.base import IntArray, Vocab

FinishReason = Literal["stop", "length"]


class ScoredToken(NamedTuple):
    """A token and its log-probability in nats, by the model itself: before temperature, filters and constraints."""

    id: int
    log_p: float | None
    """None for the first id that a model reads."""
    alternatives: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens at this place with their log-probabilities, the likeliest first."""


@dataclass(frozen=True, kw_only=True)
class WritingTask:
    """One prompt, and the texts to write after it.

    The same task gives the same texts, whatever else is asked: up to rounding, unless the engine is deterministic.
    """

    start: TextStart
    vocab: Vocab
    device: torch.device
    context_ids: IntArray
    """What the model reads first; <eod> is the first of them."""
    pending_ids: tuple[int, ...] = ()
    """The ids at their end that begin the first character of the text."""
    plan: SamplingPlan
    count: int
    """Texts; text i is drawn from the generator of (seed, i)."""
    max_tokens: int
    """Of each text."""
    num_alternatives: int | None = None
    """Likeliest tokens to tell with each drawn token; None if log-probabilities are not needed."""
    scores_prompt: bool = False
    """Whether to tell the log-probabilities of `context_ids` too."""


@dataclass(frozen=True, slots=True)
class PromptRead:
    """A prompt was read."""

    task: int
    """The index of the task."""
    tokens: Sequence[ScoredToken]
    """Of all `context_ids`; empty if the task does not score them."""


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A text has grown by a token, or ended."""

    task: int
    number: int
    """Of the text."""
    text: str
    """What can be shown now, often nothing."""
    token: ScoredToken | None
    """The token, if its log-probability is asked for."""
    offset: int
    """The number of characters before the token."""
    finish_reason: FinishReason | None = None
    num_tokens: int = 1
    """0 of a text that may have no token."""


TextEvent = PromptRead | TextPiece
