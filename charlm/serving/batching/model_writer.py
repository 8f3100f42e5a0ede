"""What one model does for all requests, turn after turn.

    a turn:  draw a token of each text ──> events ──> step the texts, and prompts with few ids left ──> logits
             read a chunk of longer prompts ──> prompts with few ids left

The texts of different requests share every step. An error of one text ends its request alone.

B texts, V vocabulary.
"""

import time
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from charlm.sampling.growing_text import Mask, draw_next, give_probabilities
from charlm.serving.api_error import ApiError
from charlm.serving.batching.prompt_cache import PromptCache
from charlm.serving.batching.prompt_queue import PromptQueue
from charlm.serving.batching.request_progress import RequestProgress
from charlm.serving.batching.row_batch import RowBatch
from charlm.serving.batching.rows import PromptRow, Row, TextRow, take_turns
from charlm.serving.batching.same_rows import NO_GROUPS, reliable_grouping
from charlm.serving.batching.scoring import overflow, score
from charlm.serving.limits import Limits
from charlm.serving.text_events import PromptRead, ScoredToken, WritingTask
from charlm.serving.text_starts import TextStart


class ModelWriter:
    """Reads the prompts and writes the texts of one model."""

    def __init__(
        self, start: TextStart, device: torch.device, cache: PromptCache, limits: Limits, *, is_deterministic: bool
    ) -> None:
        """
        Args:
            start: of any text of the model.
            is_deterministic: whether a text has the same numbers, bit for bit, whoever else asks.
        """
        grouping = reliable_grouping(start, device) if is_deterministic else NO_GROUPS
        self._cache = cache
        self._limits = limits
        self._batch = RowBatch(start.model, device, grouping.step_rows)
        self._queue = PromptQueue(device, cache, grouping.chunk_rows)
        self._rows: list[Row] = []

    def add(self, request: RequestProgress, number: int, task: WritingTask) -> None:
        """Begin a task of a request."""
        self._queue.add(PromptRow(request, number, task, time.monotonic()))

    @property
    def has_work(self) -> bool:
        """Whether a turn would do something now."""
        return any(not row.request.waits for row in (*self._rows, *self._queue.prompts))

    @torch.inference_mode()
    def turn(self) -> None:
        """Write a token of each text, and go on with the prompts."""
        self._rows = [row for row in self._rows if row.is_open]
        try:
            ready = [row for row in self._rows if not row.request.waits]
            self._step(take_turns(ready, self._limits.rows))
            for prompt in self._queue.read(ready):
                if prompt.is_done:
                    self._begin_texts(prompt)
                else:
                    self._rows.append(prompt)
        except Exception as error:  # noqa: BLE001 - it is raised again where each stream is read
            self._fail_all(error)

    def _step(self, rows: Sequence[Row]) -> None:
        """Let each row read its next token: of a text the one that is drawn now."""
        token_of: dict[Row, int] = {row: row.next_id() for row in rows if isinstance(row, PromptRow)}
        prompts_read = [row for row in token_of if isinstance(row, PromptRow) and row.is_done]
        drawn = self._draw([row for row in rows if isinstance(row, TextRow)])
        token_of.update({text: token for text, token in drawn.items() if text.is_open})
        if not token_of:
            return
        self._batch.step(list(token_of), list(token_of.values()))
        self._batch.copy_states(prompts_read)
        for prompt in prompts_read:
            self._begin_texts(prompt)

    # ---- texts

    def _begin_texts(self, prompt: PromptRow) -> None:
        """Begin the texts after a prompt that was read; an error ends its request."""
        if prompt.request.is_over:
            return
        try:
            primed, task = prompt.primed(), prompt.task
            if not give_probabilities(primed.logits_1V):
                raise overflow()
            if not task.scores_prompt:
                self._cache.keep(task.start, task.context_ids, primed)
            prompt.request.add(PromptRead(prompt.number, prompt.scored), is_last=True)
            self._rows += [TextRow(prompt, index, primed) for index in range(task.count)]
        except Exception as error:  # noqa: BLE001 - it is raised again where the stream is read
            prompt.request.fail(error)

    def _draw(self, texts: Sequence[TextRow]) -> dict[TextRow, int]:
        """Draw a token of each text and tell it."""
        masks = {text: self._mask(text) for text in texts}
        drawing = [text for text in texts if text.is_open]
        if not drawing:
            return {}
        logits_BV = torch.stack([text.logits_V for text in drawing if text.logits_V is not None])
        if not give_probabilities(logits_BV):
            for text, logits_V in zip(drawing, logits_BV, strict=True):
                if not give_probabilities(logits_V):
                    text.request.fail(overflow())
            return self._draw([text for text in drawing if text.is_open])
        tokens_B = draw_next([text.text for text in drawing], logits_BV, [masks[text] for text in drawing])
        drawn = dict(zip(drawing, tokens_B.tolist(), strict=True))
        scored = _score(drawing, logits_BV, tokens_B)
        for text, token in drawn.items():
            try:
                text.push(token, scored.get(text))
            except Exception as error:  # noqa: BLE001 - it is raised again where the stream is read
                text.request.fail(error)
        return drawn

    def _mask(self, text: TextRow) -> Mask | None:
        """The ids that the constraint of a text allows; an error, or one that takes too long, ends its request."""
        if text.text.plan.constraint is None:
            return None
        began = time.monotonic()
        try:
            mask = text.text.allowed_ids()
        except Exception as error:  # noqa: BLE001 - it is raised again where the stream is read
            text.request.fail(error)
            return None
        if time.monotonic() - began > self._limits.regex_seconds:
            what = f"regex takes more than {self._limits.regex_seconds:g} seconds for one token"
            text.request.fail(ApiError(400, what, "give a simpler one", param="regex"))
        return mask

    def _fail_all(self, error: Exception) -> None:
        """End all requests of the model, since a step of it has failed."""
        for row in (*self._rows, *self._queue.prompts):
            row.request.fail(error)
        self._batch.clear()


def _score(texts: Sequence[TextRow], logits_BV: Tensor, tokens_B: Tensor) -> dict[TextRow, ScoredToken]:
    """Score the drawn tokens of the texts that ask for it."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        if text.num_alternatives is not None:
            groups[text.num_alternatives].append(place)
    scored: dict[TextRow, ScoredToken] = {}
    for num_alternatives, places in groups.items():
        rows_N = torch.tensor(places)
        for place, token in zip(places, score(logits_BV[rows_N], tokens_B[rows_N], num_alternatives), strict=True):
            scored[texts[place]] = token
    return scored
