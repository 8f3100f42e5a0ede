"""Beam search for the targets of many sources at once.

    the W best prefixes of each source ──one step──> W x V longer prefixes ──the W best──> ...
    prefixes that end with <eod>       ──the W best──> the targets found

Several models are an ensemble: the probability of the next token is the mean of their probabilities. Nothing is random,
and no source depends on the others, except by rounding. A prefix is given up when no continuation of it can be among
the W best.

N sources, W beams, B = N * W rows, V target vocabulary, T tokens so far.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from charlm.device import Precision, autocast
from charlm.nn.model import LanguageModel
from charlm.nn.state import State


@dataclass(frozen=True, slots=True)
class BeamOptions:
    """How targets are searched for."""

    width: int = 5
    """The number of prefixes that are kept, and of targets that are found."""
    length_penalty: float = 0.0
    """Targets are compared by log p / length ** length_penalty, where <eod> counts: 0 compares probabilities, which
    favours short texts; 1 compares probabilities per token."""


DEFAULT_BEAM = BeamOptions()


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A target, without <eod>, and the natural logarithm of its probability, with that of <eod>."""

    ids: tuple[int, ...]
    log_p: float


@torch.inference_mode()
def search_targets(
    models: Sequence[LanguageModel],
    max_lengths: Sequence[int],
    eod_id: int,
    options: BeamOptions,
    *,
    device: torch.device,
    precision: Precision = "fp32",
    check: Callable[[], None] = lambda: None,
) -> list[list[Hypothesis]]:
    """Return the best targets of each source, the best first, at most `options.width`.

    Args:
        models: bound to the same N sources, and of one target vocabulary.
        max_lengths: for each source, the largest number of tokens of a target. If no prefix ends before, the best ones
            are cut there.
        check: called before each step; it may raise to stop.
    """
    search = _Search(len(max_lengths), options, eod_id, torch.tensor(max_lengths, device=device))
    states = [model.initial_state(len(max_lengths)) for model in models]
    rows_B = torch.arange(len(max_lengths), device=device).repeat_interleave(options.width)
    tokens_B = torch.full((len(rows_B),), eod_id, device=device)
    for _ in range(max(max_lengths, default=0) + 1):
        check()
        log_ps: list[Tensor] = []
        for index, model in enumerate(models):
            state = tuple(tensor[rows_B] for tensor in states[index])
            log_p_BV, states[index] = _step(model, tokens_B, state, device, precision)
            log_ps.append(log_p_BV)
        mean_BV = torch.stack(log_ps).logsumexp(0) - torch.tensor(float(len(models)), dtype=torch.float64).log()
        rows_B, tokens_B = search.advance(mean_BV)
        if search.is_done:
            break
    return search.hypotheses()


def _step(
    model: LanguageModel, tokens_B: Tensor, state: State, device: torch.device, precision: Precision
) -> tuple[Tensor, State]:
    """Return the log-probabilities of the next token, B, V, in fp64, and the new state."""
    with autocast(precision, device):
        features_B1H, state = model(tokens_B[:, None], state)
        logits_BV = model.head.logits(features_B1H[:, -1])
    return logits_BV.double().log_softmax(-1), state


class _Search:
    """The prefixes and the targets found so far."""

    def __init__(self, num_sources: int, options: BeamOptions, eod_id: int, max_lengths_N: Tensor) -> None:
        self._width, self._penalty, self._eod_id = options.width, options.length_penalty, eod_id
        self._max_lengths_N = max_lengths_N
        shape, device = (num_sources, options.width), max_lengths_N.device
        self._log_p_NW = torch.full(shape, -torch.inf, dtype=torch.float64, device=device)
        self._log_p_NW[:, 0] = 0  # one empty prefix
        self._ids_NWT = torch.empty((*shape, 0), dtype=torch.int64, device=device)
        self._found_log_p_NW = torch.full_like(self._log_p_NW, -torch.inf)
        self._found_score_NW = torch.full_like(self._log_p_NW, -torch.inf)
        self._found_ids_NWT = self._ids_NWT
        self.is_done = False
        """Whether no prefix can lead to a better target than those found."""

    def advance(self, log_p_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Extend all prefixes by one token; return the row that each new prefix extends, and its last token, B."""
        num_sources, width = self._log_p_NW.shape
        log_p_NWV = self._log_p_NW[:, :, None] + log_p_BV.view(num_sources, width, -1)
        length = self._ids_NWT.shape[-1]
        is_last_N1 = (self._max_lengths_N <= length)[:, None]
        ended_NW = log_p_NWV[:, :, self._eod_id]
        self._keep_found(ended_NW, ended_NW / (length + 1) ** self._penalty)
        log_p_NWV[:, :, self._eod_id] = -torch.inf
        log_p_NWV.masked_fill_(is_last_N1[..., None], -torch.inf)
        vocab_size = log_p_NWV.shape[-1]
        best_NK, places_NK = log_p_NWV.flatten(1).topk(width, dim=-1)
        parents_NW, tokens_NW = places_NK // vocab_size, places_NK % vocab_size
        self._cut_unended(is_last_N1[:, 0])
        self._log_p_NW = best_NK
        parent_ids_NWT = self._ids_NWT.take_along_dim(parents_NW[..., None], 1)
        self._ids_NWT = torch.cat([parent_ids_NWT, tokens_NW[..., None]], dim=-1)
        self._found_ids_NWT = torch.nn.functional.pad(self._found_ids_NWT, (0, 1), value=self._eod_id)
        # a longer target has at best the probability of its prefix, at the largest length
        bound_N = self._log_p_NW[:, 0] / (self._max_lengths_N + 1).double() ** self._penalty
        self.is_done = bool((bound_N <= self._found_score_NW[:, -1]).all())
        rows_NW = torch.arange(num_sources, device=parents_NW.device)[:, None] * width + parents_NW
        return rows_NW.flatten(), tokens_NW.flatten()

    def hypotheses(self) -> list[list[Hypothesis]]:
        """Return the targets found, the best first."""
        found: list[list[Hypothesis]] = []
        for ids_WT, log_p_W in zip(self._found_ids_NWT.tolist(), self._found_log_p_NW.tolist(), strict=True):
            pairs = zip(ids_WT, log_p_W, strict=True)
            found.append(
                [Hypothesis(self._without_padding(ids_T), log_p) for ids_T, log_p in pairs if log_p > -torch.inf]
            )
        return found

    def _keep_found(self, log_p_NW: Tensor, score_NW: Tensor) -> None:
        """Keep the best of the targets found and of the prefixes so far as targets."""
        log_p = torch.cat([self._found_log_p_NW, log_p_NW], dim=1)
        score = torch.cat([self._found_score_NW, score_NW], dim=1)
        ids = torch.cat([self._found_ids_NWT, self._ids_NWT], dim=1)
        self._found_score_NW, order_NW = score.topk(self._width, dim=1)
        self._found_log_p_NW = log_p.take_along_dim(order_NW, 1)
        self._found_ids_NWT = ids.take_along_dim(order_NW[..., None], 1)

    def _cut_unended(self, is_last_N: Tensor) -> None:
        """Take prefixes of the largest length as targets where nothing was found: the model never ended a text."""
        is_empty_N1 = (is_last_N & (self._found_log_p_NW[:, 0] == -torch.inf))[:, None]
        if is_empty_N1.any():
            log_p_NW = self._log_p_NW.where(is_empty_N1, -torch.inf)
            self._keep_found(log_p_NW, log_p_NW)

    def _without_padding(self, ids: list[int]) -> tuple[int, ...]:
        return tuple(ids[: ids.index(self._eod_id)] if self._eod_id in ids else ids)
