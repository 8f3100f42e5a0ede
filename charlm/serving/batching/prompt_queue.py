"""Prompts from their arrival until a few ids are left, which a batch reads beside the texts.

    prompt ──cache──> the rest after the longest kept beginning ──chunks──> fewer than 32 ids left ──take──> batch

A chunk of several prompts takes hardly longer than that of one, so prompts wait a little for others. While texts are
written, at most half of the time is spent on chunks.
"""

import time
from collections import Counter
from collections.abc import Sequence

import torch

from charlm.serving.batching.chunk_reader import read_chunk
from charlm.serving.batching.prompt_cache import PromptCache
from charlm.serving.batching.request_progress import RequestProgress
from charlm.serving.batching.rows import PromptRow, Row, take_turns

CHUNK = 32  # ids; a prompt with fewer is read token by token, beside the texts
_CHUNK_BESIDE_TEXTS = 2 * CHUNK - 1  # texts wait as long; two chunks would take longer
_LONG_CHUNK = 256  # while no text waits
_PROMPTS_AT_ONCE = 32
_ENOUGH_PROMPTS = 16
_GATHER_SECONDS = 0.05
_TEXTS_AHEAD = 64  # a request begins its next prompt while it has fewer texts than these


class PromptQueue:
    """The prompts of one model."""

    def __init__(self, device: torch.device, cache: PromptCache, group_size: int | None) -> None:
        """
        Args:
            group_size: the rows of a chunk, if what is read must not depend on other prompts.
        """
        self._device = device
        self._cache = cache
        self._group_size = group_size
        self._new: list[PromptRow] = []
        self._begun: list[PromptRow] = []
        self._next_chunk_at = 0.0

    def add(self, prompt: PromptRow) -> None:
        self._new.append(prompt)

    @property
    def prompts(self) -> list[PromptRow]:
        return [*self._new, *self._begun]

    def read(self, rows: Sequence[Row]) -> list[PromptRow]:
        """Go on with the prompts; return those that need no chunk any more, and take them out.

        Args:
            rows: that a batch steps now. If there are some, chunks are short, and at most half of the time goes to
                them.
        """
        num_ahead = Counter(row.request for row in (*rows, *self._begun))
        self._new = [
            prompt for prompt in self._new if not prompt.request.is_over and not self._begin(prompt, num_ahead)
        ]
        self._begun = [prompt for prompt in self._begun if not prompt.request.is_over]
        self._read_chunk(is_alone=not rows)
        ready = [prompt for prompt in self._begun if not _needs_chunk(prompt)]
        self._begun = [prompt for prompt in self._begun if _needs_chunk(prompt)]
        return ready

    def _begin(self, prompt: PromptRow, num_ahead: Counter[RequestProgress]) -> bool:
        """Begin a prompt, unless its request has enough to do: from a kept state, if there is one."""
        if prompt.request.waits or num_ahead[prompt.request] >= _TEXTS_AHEAD:
            return False
        num_ahead[prompt.request] += prompt.task.count
        self._begun.append(prompt)
        if not prompt.task.scores_prompt:
            num_ids = len(prompt.task.context_ids)
            kept = self._cache.find(
                prompt.task.start,
                prompt.task.context_ids,
                lambda length: self._group_size is None or length == num_ids or length % CHUNK == 0,
            )
            if kept is not None:
                prompt.start_from(kept.num_ids, kept.primed)
        return True

    def _read_chunk(self, *, is_alone: bool) -> None:
        """Read a chunk of several prompts, if it is time to."""
        began = time.monotonic()
        waiting = [prompt for prompt in self._begun if _needs_chunk(prompt) and not prompt.request.waits]
        if not waiting or not (is_alone or self._is_due(waiting, began)):
            return
        chosen = self._choose(waiting)
        is_exact = self._group_size is not None
        longest = CHUNK if is_exact else _LONG_CHUNK if is_alone else _CHUNK_BESIDE_TEXTS
        length = min(longest, *(prompt.num_unread for prompt in chosen))
        try:
            read_chunk(chosen, length, self._device, None if chosen[0].task.scores_prompt else self._group_size)
        except Exception as error:  # noqa: BLE001 - it is raised again where each stream is read
            for prompt in chosen:
                prompt.request.fail(error)
            return
        ended = time.monotonic()
        self._next_chunk_at = ended + (ended - began)
        self._begun = [prompt for prompt in self._begun if prompt not in chosen] + chosen
        for prompt in chosen:
            if is_exact and not prompt.task.scores_prompt and not prompt.is_done and not _needs_chunk(prompt):
                self._cache.keep(prompt.task.start, prompt.task.context_ids[: prompt.num_read], prompt.primed())

    def _choose(self, waiting: Sequence[PromptRow]) -> list[PromptRow]:
        """The prompts of the next chunk. What is read must not depend on others if groups have a size: then a prompt
        that is scored, and may be cut anywhere, is read alone."""
        if self._group_size is None:
            return take_turns(waiting, _PROMPTS_AT_ONCE)
        if waiting[0].task.scores_prompt:
            return [waiting[0]]
        return take_turns([prompt for prompt in waiting if not prompt.task.scores_prompt], self._group_size)

    def _is_due(self, waiting: list[PromptRow], now: float) -> bool:
        is_gathered = len(waiting) >= _ENOUGH_PROMPTS or now - min(each.arrived for each in waiting) >= _GATHER_SECONDS
        return is_gathered and now >= self._next_chunk_at


def _needs_chunk(prompt: PromptRow) -> bool:
    """Whether the next ids are read as a chunk. All ids of a prompt that is scored are: a batch keeps no features."""
    return prompt.num_unread >= (1 if prompt.task.scores_prompt else CHUNK)
