"""The rows of a batch: a prompt that is read token by token, and a text that is written.

    WritingTask ──PromptRow──> PrimedState ──as many TextRows as the task asks for──> TextPieces

V vocabulary.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from charlm.nn.model import LanguageModel
from charlm.nn.state import State
from charlm.sampling.growing_text import GrowingText
from charlm.sampling.prime import PrimedState
from charlm.serving.batching.limited_detokenizer import LimitedDetokenizer
from charlm.serving.batching.request_progress import RequestProgress
from charlm.serving.text_events import ScoredToken, TextPiece, WritingTask

_NO_IDS = np.zeros(0, dtype=np.int64)


class Row(ABC):
    """What a batch steps."""

    def __init__(self, request: RequestProgress, state: State | None) -> None:
        self.request = request
        self.state: State | None = state
        """Of one row, before the next token; None while a batch holds it."""
        self.logits_V: Tensor | None = None
        """After the last token, on the CPU; None before the first one."""

    @property
    @abstractmethod
    def is_done(self) -> bool: ...

    @property
    def is_open(self) -> bool:
        """Whether it steps on, now or later."""
        return not self.is_done and not self.request.is_over


RowKind = TypeVar("RowKind", bound=Row)


def take_turns(rows: Sequence[RowKind], count: int) -> list[RowKind]:
    """Return at most so many rows: the first of each request, then the second of each, and so on."""
    if len(rows) <= count:
        return list(rows)
    seen: Counter[RequestProgress] = Counter()
    ranked: list[tuple[int, int]] = []
    for place, row in enumerate(rows):
        ranked.append((seen[row.request], place))
        seen[row.request] += 1
    return [rows[place] for _, place in sorted(ranked)[:count]]


class PromptRow(Row):
    """A prompt as far as it was read."""

    def __init__(self, request: RequestProgress, number: int, task: WritingTask, arrived: float) -> None:
        """
        Args:
            number: of the task among those of the request.
            arrived: when, by time.monotonic.
        """
        super().__init__(request, task.start.state)
        self.number = number
        self.task = task
        self.arrived = arrived
        self.num_read = 0
        self.scored: list[ScoredToken] = []
        """The ids with their log-probabilities, if the task asks for them."""

    @property
    def model(self) -> LanguageModel:
        return self.task.start.model

    @property
    def num_unread(self) -> int:
        return len(self.task.context_ids) - self.num_read

    @property
    def is_done(self) -> bool:
        return self.num_unread == 0

    def next_id(self) -> int:
        """Return the next id of the prompt, which a batch reads now."""
        self.num_read += 1
        return int(self.task.context_ids[self.num_read - 1])

    def primed(self) -> PrimedState:
        """The model after the ids that were read, in memory of its own."""
        assert self.state is not None, "the batch gave it back"
        assert self.logits_V is not None, "an id was read"
        return PrimedState(self.logits_V.clone()[None], tuple(tensor.clone() for tensor in self.state))

    def start_from(self, num_read: int, primed: PrimedState) -> None:
        """Go on from a kept state."""
        self.num_read = num_read
        self.state, self.logits_V = primed.state, primed.logits_1V[0]


class TextRow(Row):
    """A text as far as it was written."""

    def __init__(self, prompt: PromptRow, index: int, primed: PrimedState) -> None:
        """
        Args:
            index: of the text among those of the task.
        """
        super().__init__(prompt.request, primed.state)
        task = prompt.task
        self.logits_V = primed.logits_1V[0]
        self.num_alternatives = task.num_alternatives
        self._prompt_number, self._index = prompt.number, index
        self._detokenizer = LimitedDetokenizer(task.vocab, task.plan, task.max_tokens, task.pending_ids)
        self.text = GrowingText(task.plan, index, self._detokenizer, task.start.model.head.vocab_size, _NO_IDS)
        if self.is_done:
            self.request.add(TextPiece(prompt.number, index, "", None, 0, "length", num_tokens=0), is_last=True)

    @property
    def is_done(self) -> bool:
        return self.text.done

    def push(self, token: int, scored: ScoredToken | None) -> None:
        """Add a token to the text, and tell the request."""
        shown = self.text.push(token)
        detokenizer = self._detokenizer
        piece = TextPiece(
            self._prompt_number, self._index, shown, scored, detokenizer.offset, detokenizer.finish_reason
        )
        self.request.add(piece, is_last=self.is_done)
