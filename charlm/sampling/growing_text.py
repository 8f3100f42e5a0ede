"""A text between two draws: all that decides its next token beside the model.

    logits_BV of texts ── mask of each ── filters of each ── random number of each ──> tokens_B ──push──> text of each

Texts of different requests draw side by side: each has its own seed, filters, constraint and recent ids. Texts with
equal filters share their operations.

B texts, V vocabulary.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.errors import CheckpointError
from charlm.sampling.detokenizer import Detokenizer
from charlm.sampling.filters import DrawContext, Filter, Temperature, apply_filters, needs_counts
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.random_draw import UniformNumbers, draw_tokens
from charlm.sampling.shared_filters import group_of, merge_filters
from charlm.vocab.base import IntArray

_NEG_INF = -torch.inf
Mask = npt.NDArray[np.bool_]


class GrowingText:
    """One text. What it does depends on its plan and on the number of its stream alone."""

    def __init__(
        self, plan: SamplingPlan, stream: int, detokenizer: Detokenizer, vocab_size: int, prompt_ids: IntArray
    ) -> None:
        """
        Args:
            stream: the text is drawn from the generator of (seed, stream).
            prompt_ids: the ids that the penalties count at first.
        """
        self.plan = plan
        self.detokenizer = detokenizer
        self.filter_group = group_of(plan.filters)
        """Texts of one group share the operations of their filters."""
        self.numbers = UniformNumbers(plan.seed, stream)
        self._constraint_state: Any = None if plan.constraint is None else plan.constraint.start
        self._recent_counts: _RecentCounts | None = None
        if needs_counts(plan.filters):
            self._recent_counts = _RecentCounts(vocab_size, plan.penalty_window, prompt_ids)
        self._needs_progress = any(isinstance(each, Temperature) and each.end is not None for each in plan.filters)

    @property
    def done(self) -> bool:
        return self.detokenizer.done

    def allowed_ids(self) -> Mask | None:
        """The ids that may come next, (V,); None if all may."""
        constraint = self.plan.constraint
        if constraint is None or self.done:
            return None
        return constraint.mask(self._constraint_state, self.detokenizer.remaining)

    def push(self, token: int) -> str:
        """Add a token; return the text that can be shown now."""
        shown = self.detokenizer.push(token)
        if self.plan.constraint is not None and not self.done:
            self._constraint_state = self.plan.constraint.advance(self._constraint_state, token)
        if self._recent_counts is not None:
            self._recent_counts.add(token)
        return shown

    @property
    def progress(self) -> float | None:
        """The written fraction of the text; None if no filter asks."""
        length = max(1, self.plan.length - 1)
        return (self.plan.length - self.detokenizer.remaining) / length if self._needs_progress else None

    @property
    def counts_V(self) -> IntArray | None:
        """How often each id occurs among the recent ones; None if no filter asks."""
        return None if self._recent_counts is None else self._recent_counts.counts_V


def give_probabilities(logits_BV: Tensor) -> bool:
    """Whether logits, of one row or several, give probabilities. They give none if numbers of the model overflow."""
    return math.isfinite(logits_BV.max().item())


def check_probabilities(logits_BV: Tensor) -> None:
    """
    Raises:
        CheckpointError: the model's numbers overflow, so that it gives no probabilities.
    """
    if not give_probabilities(logits_BV):
        raise CheckpointError("the model gives no probabilities: its numbers overflow", "use another checkpoint")


def draw_next(texts: Sequence[GrowingText], logits_BV: Tensor, masks: Sequence[Mask | None]) -> Tensor:
    """Draw the next token of each text.

    Args:
        logits_BV: on the CPU.
        masks: the `allowed_ids` of each text.
    """
    if any(mask is not None for mask in masks):
        all_ids = np.ones(logits_BV.shape[1], dtype=np.bool_)
        allowed_BV = torch.from_numpy(np.stack([all_ids if mask is None else mask for mask in masks]))
        logits_BV = logits_BV.masked_fill(~allowed_BV, _NEG_INF)
    return draw_tokens(_apply_filters(texts, logits_BV), [text.numbers for text in texts])


def _apply_filters(texts: Sequence[GrowingText], logits_BV: Tensor) -> Tensor:
    """Apply the filters of each text to its row."""
    first = texts[0].plan.filters
    if all(text.plan.filters is first for text in texts):
        return apply_filters(first, logits_BV, _context(texts))
    groups: dict[tuple[Filter, ...], list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(text.filter_group, []).append(row)
    if len(groups) == 1:
        return apply_filters(merge_filters([text.plan.filters for text in texts]), logits_BV, _context(texts))
    filtered_BV = torch.empty_like(logits_BV)
    for rows in groups.values():
        members, rows_N = [texts[row] for row in rows], torch.tensor(rows)
        filters = merge_filters([text.plan.filters for text in members])
        filtered_BV[rows_N] = apply_filters(filters, logits_BV[rows_N], _context(members))
    return filtered_BV


def _context(texts: Sequence[GrowingText]) -> DrawContext:
    progress = [text.progress for text in texts]
    counts = [text.counts_V for text in texts]
    progress_B1 = None if progress[0] is None else torch.tensor(progress)[:, None]
    counts_BV = None if counts[0] is None else torch.from_numpy(np.stack([each for each in counts if each is not None]))
    return DrawContext(progress_B1, counts_BV)


class _RecentCounts:
    """Counts each id among the recent ids."""

    def __init__(self, vocab_size: int, window: int, prompt_ids: IntArray) -> None:
        self._window: deque[int] = deque(maxlen=window)
        self.counts_V: IntArray = np.zeros(vocab_size, dtype=np.int64)
        for token in prompt_ids[-window:].tolist():
            self.add(token)

    def add(self, token: int) -> None:
        if len(self._window) == self._window.maxlen:
            self.counts_V[self._window[0]] -= 1
        self._window.append(token)
        self.counts_V[token] += 1
