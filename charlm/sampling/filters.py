"""The filters that change the logits before a draw: small frozen objects, logits in, logits out.

    logits ── penalties ── bias ── temperature ── top-k ── typical ── top-p ── min-p ──> logits, some of them -inf

They are applied in this order (`sort_filters`): penalties act on the model's own logits, and the filters that keep only
some ids on the probabilities that will be drawn from.

B streams, N biases, V vocabulary.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from charlm.sampling.options import SamplingOptions, check_range, parse_temperature


@dataclass(frozen=True, slots=True)
class DrawContext:
    """The state of the streams, for filters that depend on it."""

    progress_B1: Tensor | None = None
    """The written fraction of the text: 0 at its first character, near 1 at its last; None if no filter asks."""
    counts_BV: Tensor | None = None
    """How often each id occurs among the recent ids of each stream, prompt included; None if no filter asks."""


NO_CONTEXT = DrawContext()

LEAST_TEMPERATURE = torch.finfo(torch.float32).tiny
"""A lower temperature is 0 in fp32, and greedy as well."""


class Filter(Protocol):
    def __call__(self, logits_BV: Tensor, context: DrawContext) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Temperature:
    """softmax(logits / T): sharper below 1, flatter above 1; T = 0 keeps the most probable id alone (greedy).

    With an `end`, T changes linearly from `value` to `end` over the length of the text.

    Raises:
        OptionError: negative (which would reverse the distribution), NaN, infinite, or above 100.
    """

    value: float = 1.0
    end: float | None = None

    def __post_init__(self) -> None:
        for value in (self.value, self.value if self.end is None else self.end):
            check_range("temperature", value)

    def __call__(self, logits_BV: Tensor, context: DrawContext = NO_CONTEXT) -> Tensor:
        if self.end is not None and context.progress_B1 is not None:
            value_B1 = self.value + (self.end - self.value) * context.progress_B1
            return torch.where(
                value_B1 >= LEAST_TEMPERATURE, scale_logits(logits_BV, value_B1), _greedy_logits(logits_BV)
            )
        if self.value == 1:
            return logits_BV
        return _greedy_logits(logits_BV) if self.value < LEAST_TEMPERATURE else scale_logits(logits_BV, self.value)


@dataclass(frozen=True, slots=True)
class TopK:
    """Keep the k most probable ids (Fan et al., 2018); of ids with equal logits, those that torch returns first."""

    k: int

    def __post_init__(self) -> None:
        check_range("top_k", self.k)

    def __call__(self, logits_BV: Tensor, context: DrawContext = NO_CONTEXT) -> Tensor:
        del context
        kept = logits_BV.topk(min(self.k, logits_BV.shape[-1]), dim=-1)
        return torch.full_like(logits_BV, -math.inf).scatter_(-1, kept.indices, kept.values)


@dataclass(frozen=True, slots=True)
class TopP:
    """Keep the smallest set of most probable ids whose probability reaches p (Holtzman et al., 2020)."""

    p: float

    def __post_init__(self) -> None:
        check_range("top_p", self.p)

    def __call__(self, logits_BV: Tensor, context: DrawContext = NO_CONTEXT) -> Tensor:
        del context
        return _keep_smallest_set(logits_BV, logits_BV, self.p)


@dataclass(frozen=True, slots=True)
class Typical:
    """Keep the smallest set of probability p of the ids whose surprisal is nearest to the entropy (Meister et al.,
    2023)."""

    p: float

    def __post_init__(self) -> None:
        check_range("typical_p", self.p)

    def __call__(self, logits_BV: Tensor, context: DrawContext = NO_CONTEXT) -> Tensor:
        del context
        log_p_BV = logits_BV.double().log_softmax(-1)
        entropy_B1 = torch.special.entr(log_p_BV.exp()).sum(-1, keepdim=True)
        return _keep_smallest_set(logits_BV, -(log_p_BV + entropy_B1).abs(), self.p)


@dataclass(frozen=True, slots=True)
class MinP:
    """Keep the ids at least p times as probable as the most probable one (Nguyen et al., 2024)."""

    p: float

    def __post_init__(self) -> None:
        check_range("min_p", self.p)

    def __call__(self, logits_BV: Tensor, context: DrawContext = NO_CONTEXT) -> Tensor:
        del context
        if self.p == 0:
            return logits_BV
        min_logit_B1 = logits_BV.amax(-1, keepdim=True) + math.log(self.p)
        return logits_BV.masked_fill(logits_BV < min_logit_B1, -math.inf)


@dataclass(frozen=True, slots=True)
class RepetitionPenalty:
    """Make recent ids less probable: divide a positive logit by the factor, multiply a negative one (Keskar et al.,
    2019)."""

    factor: float

    def __post_init__(self) -> None:
        check_range("repetition_penalty", self.factor)

    def __call__(self, logits_BV: Tensor, context: DrawContext) -> Tensor:
        assert context.counts_BV is not None
        penalized_BV = torch.where(logits_BV > 0, logits_BV / self.factor, logits_BV * self.factor)
        return torch.where(context.counts_BV > 0, penalized_BV, logits_BV)


@dataclass(frozen=True, slots=True)
class FrequencyPenalty:
    """Subtract the amount from an id's logit for each time that it occurs among the recent ids."""

    amount: float

    def __post_init__(self) -> None:
        check_range("frequency_penalty", self.amount)

    def __call__(self, logits_BV: Tensor, context: DrawContext) -> Tensor:
        assert context.counts_BV is not None
        return logits_BV - self.amount * context.counts_BV.to(logits_BV.dtype)


@dataclass(frozen=True, slots=True)
class PresencePenalty:
    """Subtract the amount from the logit of each id that occurs among the recent ids, however often."""

    amount: float

    def __call__(self, logits_BV: Tensor, context: DrawContext) -> Tensor:
        assert context.counts_BV is not None
        return logits_BV - self.amount * (context.counts_BV > 0).to(logits_BV.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class LogitBias:
    """Add a bias to the logits of some ids: -100 rules an id out in practice, 100 makes it almost certain."""

    ids_N: Tensor
    bias_N: Tensor

    def __call__(self, logits_BV: Tensor, context: DrawContext = NO_CONTEXT) -> Tensor:
        del context
        return logits_BV.index_add(-1, self.ids_N, self.bias_N.to(logits_BV.dtype).expand(len(logits_BV), -1))


_ORDER = (RepetitionPenalty, FrequencyPenalty, PresencePenalty, LogitBias, Temperature, TopK, Typical, TopP, MinP)
_PENALTIES = (RepetitionPenalty, FrequencyPenalty, PresencePenalty)


def build_filters(options: SamplingOptions) -> tuple[Filter, ...]:
    """Return the filters that the options ask for, in the order in which they are applied."""
    kinds: list[tuple[Callable[[Any], Filter], float | None]] = [
        (RepetitionPenalty, options.repetition_penalty),
        (FrequencyPenalty, options.frequency_penalty),
        (TopK, options.top_k),
        (Typical, options.typical_p),
        (TopP, options.top_p),
        (MinP, options.min_p),
    ]
    chosen = [kind(value) for kind, value in kinds if value is not None]
    return sort_filters([Temperature(*parse_temperature(options.temperature)), *chosen])


def sort_filters(filters: Iterable[Filter]) -> tuple[Filter, ...]:
    """Sort filters into the order in which they are applied."""
    return tuple(sorted(filters, key=lambda each: next(k for k, kind in enumerate(_ORDER) if isinstance(each, kind))))


def needs_counts(filters: Iterable[Filter]) -> bool:
    return any(isinstance(each, _PENALTIES) for each in filters)


def apply_filters(filters: Sequence[Filter], logits_BV: Tensor, context: DrawContext = NO_CONTEXT) -> Tensor:
    """Apply the filters one after the other."""
    for each in filters:
        logits_BV = each(logits_BV, context)
    return logits_BV


def _greedy_logits(logits_BV: Tensor) -> Tensor:
    return torch.full_like(logits_BV, -math.inf).scatter_(-1, logits_BV.argmax(-1, keepdim=True), 0.0)


def scale_logits(logits_BV: Tensor, value: float | Tensor) -> Tensor:
    """Divide by a temperature. The largest logit becomes 0 first, so that nothing overflows at a temperature near 0."""
    return (logits_BV - logits_BV.amax(-1, keepdim=True)) / value


def _keep_smallest_set(logits_BV: Tensor, score_BV: Tensor, p: float) -> Tensor:
    """Keep the ids of the highest scores whose probabilities sum up to p, at least one."""
    if p == 1:
        return logits_BV
    order_BV = score_BV.argsort(dim=-1, descending=True, stable=True)
    probability_BV = logits_BV.double().softmax(-1).gather(-1, order_BV)
    mass_before_BV = probability_BV.cumsum(-1) - probability_BV
    is_removed_BV = (mass_before_BV >= p).scatter(-1, order_BV, mass_before_BV >= p)
    is_removed_BV.scatter_(-1, order_BV[..., :1], False)
    return logits_BV.masked_fill(is_removed_BV, -math.inf)
