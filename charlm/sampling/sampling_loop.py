"""The sampling loop: texts grow side by side, one token each at a time.

    PrimedState ──> logits ── constraint ── filters ── draw ──> tokens ──detokenizers──> text
                       ^                                           │
                       └──────────────── stepper <─────────────────┘

B streams, V vocabulary.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.nn.model import LanguageModel
from charlm.sampling.detokenizer import Detokenizer
from charlm.sampling.fast.stepper import Stepper, choose_stepper
from charlm.sampling.filters import DrawContext, Temperature, apply_filters, needs_counts
from charlm.sampling.plan import SamplingPlan
from charlm.sampling.prime import PrimedState
from charlm.sampling.random_draw import CategoricalSampler
from charlm.vocab.base import IntArray

_NEG_INF = -torch.inf


class SamplingLoop:
    """Draws the texts of some streams of a seed, all from the same primed state."""

    def __init__(
        self,
        model: LanguageModel,
        primed: PrimedState,
        sampling: SamplingPlan,
        streams: range,
        detokenizers: list[Detokenizer],
        prompt_ids: IntArray,
    ) -> None:
        """
        Args:
            streams: the numbers of the streams; each has its own random numbers.
            detokenizers: one for each stream.
            prompt_ids: the ids that the penalties count at first.
        """
        self._model = model
        self._primed = primed
        self._sampling = sampling
        self._sampler = CategoricalSampler(sampling.seed, streams)
        self._detokenizers = detokenizers
        self._constraint_states: list[Any] = (
            [] if sampling.constraint is None else [sampling.constraint.start] * len(streams)
        )
        counts = needs_counts(sampling.filters)
        self._recent_counts = _RecentCounts(
            model.head.vocab_size, len(streams), sampling.penalty_window, prompt_ids, enabled=counts
        )
        self._logits_BV = primed.logits_1V.cpu().expand(len(streams), -1)
        self._stepper: Stepper | None = None
        self._unread_B: Tensor | None = None  # drawn, but not read by the model yet
        self._needs_progress = any(isinstance(each, Temperature) and each.end is not None for each in sampling.filters)
        self.nats_B = torch.zeros(len(streams), dtype=torch.float64)
        """Negative log-likelihood of the drawn tokens before filters; only after `run(with_nats=True)`."""

    @torch.inference_mode()
    def run(
        self, *, with_nats: bool = False, on_draw: Callable[[Tensor, Tensor], None] | None = None
    ) -> Iterator[list[str]]:
        """After each step, yield the text that each stream can show, until all streams are done.

        Args:
            with_nats: whether to sum up `nats_B`.
            on_draw: gets the model's own logits_BV and the drawn tokens_B of each step, before the detokenizers. The
                tokens of streams that are done mean nothing.
        """
        while not all(detokenizer.done for detokenizer in self._detokenizers):
            logits_BV = self._logits_BV
            tokens_B = self._sampler(
                apply_filters(self._sampling.filters, self._mask_disallowed(logits_BV), self._draw_context())
            )
            if with_nats:
                nll_B = -logits_BV.double().log_softmax(-1).gather(-1, tokens_B[:, None])[:, 0]
                self.nats_B += nll_B * torch.tensor([not detokenizer.done for detokenizer in self._detokenizers])
            if on_draw is not None:
                on_draw(logits_BV, tokens_B)
            tokens = tokens_B.tolist()
            shown = [
                "" if detokenizer.done else detokenizer.push(token)
                for detokenizer, token in zip(self._detokenizers, tokens, strict=True)
            ]
            self._advance(tokens)
            self._unread_B = tokens_B
            yield shown
            if not all(detokenizer.done for detokenizer in self._detokenizers):
                self._read()  # the logits after the last token are not needed

    @torch.inference_mode()
    def primed_state(self) -> PrimedState:
        """The model after all tokens that were drawn, the last one included; of a single stream."""
        assert len(self._detokenizers) == 1
        self._read()
        state = self._primed.state if self._stepper is None else self._stepper.state()
        return PrimedState(self._logits_BV.to(self._primed.logits_1V.device, copy=True), state)

    def _read(self) -> None:
        """Let the model read the tokens that were drawn last."""
        if self._unread_B is None:
            return
        device = self._primed.logits_1V.device
        if self._stepper is None:
            state = tuple(tensor.repeat_interleave(len(self._detokenizers), dim=0) for tensor in self._primed.state)
            self._stepper = choose_stepper(self._model, state, self._sampling.precision)
        self._logits_BV = self._stepper.step(self._unread_B.to(device)).cpu()
        self._unread_B = None

    def _mask_disallowed(self, logits_BV: Tensor) -> Tensor:
        constraint = self._sampling.constraint
        if constraint is None:
            return logits_BV
        masks: list[npt.NDArray[np.bool_]] = []
        for detokenizer, state in zip(self._detokenizers, self._constraint_states, strict=True):
            everything_allowed = np.ones(logits_BV.shape[1], dtype=np.bool_)
            masks.append(everything_allowed if detokenizer.done else constraint.mask(state, detokenizer.remaining))
        return logits_BV.masked_fill(~torch.from_numpy(np.stack(masks)), _NEG_INF)

    def _advance(self, tokens: list[int]) -> None:
        constraint = self._sampling.constraint
        if constraint is not None:
            self._constraint_states = [
                state if detokenizer.done else constraint.advance(state, token)
                for detokenizer, state, token in zip(self._detokenizers, self._constraint_states, tokens, strict=True)
            ]
        self._recent_counts.add(tokens)

    def _draw_context(self) -> DrawContext:
        progress_B1 = None
        if self._needs_progress:
            length = max(1, self._sampling.length - 1)
            progress_B1 = torch.tensor(
                [[(self._sampling.length - each.remaining) / length] for each in self._detokenizers]
            )
        return DrawContext(progress_B1, self._recent_counts.counts_BV)


class _RecentCounts:
    """Counts each id among the recent ids of each stream."""

    def __init__(self, vocab_size: int, num_streams: int, window: int, prompt_ids: IntArray, *, enabled: bool) -> None:
        self.counts_BV: Tensor | None = None
        if not enabled:
            return
        self._window: deque[list[int]] = deque(maxlen=window)
        self.counts_BV = torch.zeros(num_streams, vocab_size, dtype=torch.int64)
        for token in prompt_ids[-window:].tolist():
            self.add([token] * num_streams)

    def add(self, tokens: list[int]) -> None:
        if self.counts_BV is None:
            return
        rows = torch.arange(len(tokens))
        if len(self._window) == self._window.maxlen:
            self.counts_BV[rows, torch.tensor(self._window[0])] -= 1
        self._window.append(tokens)
        self.counts_BV[rows, torch.tensor(tokens)] += 1
