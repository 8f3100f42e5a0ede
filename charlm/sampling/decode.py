"""Texts that grow side by side, a token each at a time.

    prompt ──model, chunk by chunk──> logits, state ──┐
                                                      v
        constraint ── filters ── draw ──> tokens ──detokenizers──> text
             ^                               │
             └────── stepper <───────────────┘

B streams, V vocabulary.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from charlm.device import Precision, autocast
from charlm.nn.model import LanguageModel
from charlm.nn.state import State
from charlm.sampling.detokenizer import Detokenizer
from charlm.sampling.fast.matmul import StepPrecision
from charlm.sampling.fast.stepper import choose_stepper
from charlm.sampling.filters import DrawContext, Filter, Temperature, apply_filters, needs_counts
from charlm.sampling.random_draw import CategoricalSampler
from charlm.vocab.base import IntArray

_PROMPT_CHUNK = 1024
_NEG_INF = -torch.inf


class Constraint(Protocol):
    """What ids may come next. States are values: nothing in a constraint changes."""

    start: Any
    ends_at_eod: bool
    """Whether <eod> ends the text, instead of beginning another document."""

    def mask(self, state: Any, remaining: int) -> npt.NDArray[np.bool_]:
        """Which ids may come, if at most `remaining` characters are still to be written; at least one."""
        ...

    def advance(self, state: Any, token: int) -> Any: ...


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How a text is drawn."""

    length: int
    """Characters."""
    filters: tuple[Filter, ...] = (Temperature(1.0),)
    """In their order (`in_order`)."""
    seed: int = 0
    stop_strings: tuple[str, ...] = ()
    constraint: Constraint | None = None
    precision: StepPrecision = "fp32"
    penalty_window: int = 64
    """Tokens that penalties look back on."""


@dataclass(frozen=True)
class PrimedState:
    """A model that has read: the logits of what comes next, one row, and its state."""

    logits_1V: Tensor
    state: State


@torch.inference_mode()
def prime(
    model: LanguageModel, ids: IntArray, device: torch.device, *, state: State | None = None, precision: Precision
) -> PrimedState:
    """Read ids, at least one, in chunks of constant memory."""
    model.eval()
    after: State = model.initial_state(1) if state is None else state
    features_BTH = None
    with autocast(precision, device):
        for start in range(0, len(ids), _PROMPT_CHUNK):
            inputs_BT = torch.from_numpy(ids[start : start + _PROMPT_CHUNK].astype(np.int64))[None].to(device)
            features_BTH, after = model(inputs_BT, after)
        assert features_BTH is not None, "something is read"
        return PrimedState(model.head.logits(features_BTH[:, -1]), after)


class SamplingLoop:
    """Some streams of the many that a seed has, from where a model is."""

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
            detokenizers: one a stream.
            prompt_ids: what penalties look back on at first.
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
        self._needs_progress = any(isinstance(each, Temperature) and each.end is not None for each in sampling.filters)
        self.nats_B = torch.zeros(len(streams), dtype=torch.float64)
        """What the drawn tokens cost the model itself, before filters; only after `run(with_nats=True)`."""

    @torch.inference_mode()
    def run(self, *, with_nats: bool = False) -> Iterator[list[str]]:
        """After each step, what each stream has to show, until all are done."""
        num_streams = len(self._detokenizers)
        logits_BV = self._primed.logits_1V.cpu().expand(num_streams, -1)
        stepper = None
        while not all(detokenizer.done for detokenizer in self._detokenizers):
            tokens_B = self._sampler(
                apply_filters(self._sampling.filters, self._mask_disallowed(logits_BV), self._draw_context())
            )
            if with_nats:
                nll_B = -logits_BV.double().log_softmax(-1).gather(-1, tokens_B[:, None])[:, 0]
                self.nats_B += nll_B * torch.tensor([not detokenizer.done for detokenizer in self._detokenizers])
            tokens = tokens_B.tolist()
            shown = [
                "" if detokenizer.done else detokenizer.push(token)
                for detokenizer, token in zip(self._detokenizers, tokens, strict=True)
            ]
            self._advance(tokens)
            yield shown
            if all(detokenizer.done for detokenizer in self._detokenizers):
                return  # the last one is not read
            if stepper is None:
                state = tuple(tensor.repeat_interleave(num_streams, dim=0) for tensor in self._primed.state)
                stepper = choose_stepper(self._model, state, self._sampling.precision)
            logits_BV = stepper.step(tokens_B.to(self._primed.logits_1V.device)).cpu()

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
    """How often each id stands among the last ones of each stream."""

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
