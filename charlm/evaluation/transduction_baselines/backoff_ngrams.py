"""Interpolated modified Kneser-Ney over short sequences, as an automaton (Chen & Goodman, 1999; Allauzen et al., 2003).

    sequences ──counts of each order, discounts──> states ──step(state, token)──> log p(token | h), next state

`charlm.evaluation.baselines.kneser_ney` has the equations, for one long stream. Here are many short sequences, each
between a start and an end, and a beam search that asks for one token at a time. A state stands for a context h that
training has seen. It knows the tokens that followed there; for any other token the next shorter context decides, times
gamma(h). Two histories in the same state have the same future, however they differ before.

N-grams at the start of a sequence have nothing before them, so their counts are occurrences in every order. Counts are
sums of the sequences' weights. Between whole counts, the discounts are interpolated.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from charlm.nn.ngrams.tables import estimate_discounts

EDGE = 0
"""The token before the first and after the last one of a sequence."""

_Ngram = tuple[int, ...]


@dataclass(slots=True, eq=False)
class State:
    """A context that training has seen."""

    shorter: "State | None"
    """The context without its first token; None for the empty one."""
    log_gamma: float = 0.0
    """The logarithm of the weight of the shorter context, for tokens that never followed here."""
    followers: dict[int, "tuple[float, State]"] = field(default_factory=dict)
    """Of each token that followed: log p(token | context), and the state after it."""

    def step(self, token: int) -> "tuple[float, State]":
        """Return log p(token | context) and the state after it. The token must be one of training."""
        log_p, state = 0.0, self
        while (follower := state.followers.get(token)) is None:
            assert state.shorter is not None, "every token of training follows the empty context"
            log_p += state.log_gamma
            state = state.shorter
        return log_p + follower[0], follower[1]


def fit_backoff_ngrams(sequences: Sequence[Sequence[int]], weights: Sequence[float], order: int) -> State:
    """Count n-grams and compute the probabilities.

    Args:
        sequences: at least one; tokens from 1 up, without EDGE.
        weights: how many times each sequence counts, above 0.
        order: length of the longest n-grams, at least 1.

    Returns:
        the state before the first token of a sequence.
    """
    counts = _count_ngrams(sequences, weights, order)
    states: dict[_Ngram, State] = {}
    for of_order in counts:  # from short to long, since a state refers to the shorter context
        for ngram in of_order:
            if ngram[:-1] not in states:
                states[ngram[:-1]] = State(states[ngram[1:-1]] if len(ngram) > 1 else None)
    for of_order in counts:
        _add_followers(of_order, states, num_tokens=len(counts[0]))
    return states.get((EDGE,), states[()])


def _count_ngrams(
    sequences: Sequence[Sequence[int]], weights: Sequence[float], order: int
) -> list[defaultdict[_Ngram, float]]:
    """Return the counts of orders 1 to `order`: occurrences in the highest one and at the start of a sequence, else the
    number of different tokens before the n-gram."""
    counts: list[defaultdict[_Ngram, float]] = [defaultdict(float) for _ in range(order)]
    for sequence, weight in zip(sequences, weights, strict=True):
        tokens = (EDGE, *sequence, EDGE)
        for end in range(2, len(tokens) + 1):
            for n in range(max(1, min(order, end)), 0, -1):
                counts[n - 1][tokens[end - n : end]] += weight
    for n in range(1, order):
        shorter = counts[n - 1]
        for ngram in shorter:
            if n == 1 or ngram[0] != EDGE:
                shorter[ngram] = 0
        for ngram in counts[n]:
            shorter[ngram[1:]] += 1
    return counts


def _add_followers(counts: dict[_Ngram, float], states: dict[_Ngram, State], *, num_tokens: int) -> None:
    """Compute the probabilities of the n-grams of one order, from those of the order below."""
    discounts = estimate_discounts(np.ceil(list(counts.values())).astype(np.int64))
    kept = np.array(list(counts.values()))
    discounted = np.interp(kept, np.arange(len(discounts)), discounts)
    totals: defaultdict[_Ngram, float] = defaultdict(float)
    gammas: defaultdict[_Ngram, float] = defaultdict(float)
    for ngram, count, discount in zip(counts, kept.tolist(), discounted.tolist(), strict=True):
        totals[ngram[:-1]] += count
        gammas[ngram[:-1]] += discount
    for ngram, count, discount in zip(counts, kept.tolist(), discounted.tolist(), strict=True):
        context, token = ngram[:-1], ngram[-1]
        state, total = states[context], totals[context]
        gamma = gammas[context] / total
        p_shorter = math.exp(state.shorter.followers[token][0]) if state.shorter else 1 / num_tokens
        p = (count - discount) / total + gamma * p_shorter
        state.log_gamma = math.log(gamma)
        state.followers[token] = (math.log(p), _longest_state(ngram, states))


def _longest_state(history: _Ngram, states: dict[_Ngram, State]) -> State:
    """Return the state of the longest end of a history that training has seen as a context."""
    return next(state for start in range(len(history) + 1) if (state := states.get(history[start:])))
