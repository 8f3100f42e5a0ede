"""The probability that a candidate comes next, given that those before it do not: the definition, in Python.

    state of each source ──its probability──> logit ─┐              ┌──> mixture 1 ─┐
    the network's probability, rescaled ────> logit ─┴──> inputs ───┼──> mixture 2 ─┼──> last mixture ──corrections──> p
                                                                    └──> mixture 3 ─┘

Rescaled: given that none of the candidates before it comes next. A mixture is a weighted sum of logits, and each learns
online from its own error, as in the compressors of the PAQ family (Mahoney, 2005). Its weights are chosen by a context:
the lengths of contexts, how likely the network finds the candidate, or its rank and the last symbol. A state is how
often the candidate followed a context, and how often others; its probability is learned as well, as are the corrections
of the last mixture for a candidate and the symbols before.
"""

from dataclasses import dataclass, field

import numpy as np

from charlm.archives.integer_model.description import CountsDescription
from charlm.archives.integer_model.fixed_point import Int64Array
from charlm.archives.integer_model.mixing_tables import (
    CORRECTION_BITS,
    LARGEST_LOGIT,
    LARGEST_WEIGHT,
    LOGIT_BITS,
    MANTISSA_BITS,
    MAX_ORDERS,
    NUM_CHOICES,
    NUM_CONTEXTS,
    NUM_CORRECTIONS,
    NUM_KNOTS,
    NUM_OTHER_INPUTS,
    ONE_WEIGHT,
    P_BITS,
    STATE_BITS,
    first_final_weights,
    first_states,
    first_weights,
    make_lookups,
)
from charlm.vocab.base import HASH_BASE

RATE, FIRST_RATE, RATE_DECAY, MAX_UPDATES = 3, 16, 256, (1 << 16) - 1
"""Weights that were changed n times move by RATE + FIRST_RATE RATE_DECAY / (RATE_DECAY + n)."""
FIRST_STATE_UPDATES, MAX_STATE_UPDATES = 3, 255
CORRECTION_SHIFT = 4
LEAST_P = 16
_RATE_BITS = 18
_MASK = (1 << 64) - 1
_SPAN = 2 * LARGEST_LOGIT // (NUM_KNOTS - 1)


@dataclass
class Candidate:
    """What was computed for a candidate, and is learned from. S sources."""

    symbol: int
    rank: int
    power: int
    """The network's, and that of all symbols that are no candidates before it."""
    left_power: int
    states: list[int]
    """(S,); NO_STATE for a source that knows nothing here."""
    lengths: tuple[int, int, int]
    """1 + the index of the longest context; of the longest that knows the candidate; of the longest in the tables."""
    inputs: Int64Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    contexts: list[int] = field(default_factory=list[int])
    logits: list[int] = field(default_factory=list[int])
    probabilities: list[int] = field(default_factory=list[int])
    corrections: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    mixed_p: int = 0


NO_STATE = -1


class ReferenceMixing:
    """States, weights and corrections, shared by all lanes."""

    def __init__(self, description: CountsDescription) -> None:
        self._logarithms, self._stretched, self._squashed = (table.tolist() for table in make_lookups())
        self._states: list[list[int]] = first_states(description).tolist()
        self._state_updates = [[FIRST_STATE_UPDATES] * len(row) for row in self._states]
        self._weights = np.tile(first_weights(description).astype(np.int64), (NUM_CHOICES, NUM_CONTEXTS, 1))
        self._weights[0, 0, 0] = ONE_WEIGHT
        self._updates = np.zeros((NUM_CHOICES, NUM_CONTEXTS), dtype=np.int64)
        self._final = first_final_weights()
        knots = np.array(self._squashed[::_SPAN], dtype=np.uint16)
        self._corrections = np.tile(knots, (NUM_CORRECTIONS, 1 << CORRECTION_BITS, 1))

    def predict(self, candidate: Candidate, history: tuple[int, int]) -> int:
        """Return the probability of a candidate, 16 bits after the point.

        Args:
            history: the symbol before the last one, and the last one.
        """
        candidate.inputs = self._inputs(candidate)
        longest, knows, longest_table = candidate.lengths
        expected = min(max((int(candidate.inputs[0]) >> LOGIT_BITS) + 10, 0), 15)
        candidate.contexts = [
            longest * (MAX_ORDERS + 1) + knows,
            expected * (MAX_ORDERS + 1) + longest_table,
            candidate.rank * 128 + (history[1] & 127),
        ]
        candidate.logits, candidate.probabilities = [], []
        for choice, context in enumerate(candidate.contexts):
            logit = _mix(int(self._weights[choice, context] @ candidate.inputs))
            candidate.logits.append(logit)
            candidate.probabilities.append(self._squash(logit))
        final = self._final[self._final_row(candidate)]
        mixed = _mix(sum(weight * logit for weight, logit in zip(final, candidate.logits, strict=True)))
        candidate.mixed_p = self._squash(mixed)
        corrected = self._correct(candidate, mixed, history)
        return min(max(corrected, LEAST_P), (1 << P_BITS) - LEAST_P)

    def learn(self, candidate: Candidate, *, is_next: bool) -> None:
        target = is_next << P_BITS
        final = self._final[self._final_row(candidate)]
        for choice, logit in enumerate(candidate.logits):
            step = (logit * (target - candidate.mixed_p) + (1 << 15)) >> 16
            final[choice] = _clip(final[choice] + step, LARGEST_WEIGHT)
        for choice, context in enumerate(candidate.contexts):
            updates = int(self._updates[choice, context])
            rate = RATE + FIRST_RATE * RATE_DECAY // (RATE_DECAY + updates)
            error = (target - candidate.probabilities[choice]) * rate
            moved = (candidate.inputs * error + (1 << (_RATE_BITS - 1))) >> _RATE_BITS
            weights = self._weights[choice, context]
            weights[:] = np.clip(weights + moved, -LARGEST_WEIGHT, LARGEST_WEIGHT)
            self._updates[choice, context] = min(updates + 1, MAX_UPDATES)
        for source, state in enumerate(candidate.states):
            if state != NO_STATE:
                self._learn_state(source, state, is_next=is_next)
        for place in candidate.corrections:
            knot = int(self._corrections[place])
            away = (65535 if is_next else 0) - knot
            self._corrections[place] = knot + ((away + (1 << CORRECTION_SHIFT >> 1)) >> CORRECTION_SHIFT)

    def _inputs(self, candidate: Candidate) -> Int64Array:
        inputs = [LARGEST_LOGIT, 1 << LOGIT_BITS]
        others = candidate.left_power - candidate.power
        if others:
            inputs[0] = _clip(self._logarithm(candidate.power) - self._logarithm(others), LARGEST_LOGIT)
        for source, state in enumerate(candidate.states):
            p = 0 if state == NO_STATE else self._states[source][state]
            inputs.append(0 if state == NO_STATE else self._stretched[p >> (STATE_BITS - MANTISSA_BITS)])
        assert len(inputs) == NUM_OTHER_INPUTS + len(candidate.states), "an input for each source"
        return np.array(inputs, dtype=np.int64)

    def _correct(self, candidate: Candidate, mixed: int, history: tuple[int, int]) -> int:
        knot = min((mixed + LARGEST_LOGIT) // _SPAN, NUM_KNOTS - 2)
        within = mixed + LARGEST_LOGIT - knot * _SPAN
        hashed = ((candidate.symbol + 2) * HASH_BASE + history[1] + 2) & _MASK
        candidate.corrections = []
        total = 2 * candidate.mixed_p
        for correction in range(NUM_CORRECTIONS):
            row = (((hashed ^ (hashed >> 32)) * HASH_BASE) & _MASK) >> (64 - CORRECTION_BITS)
            low, high = self._corrections[correction, row, knot : knot + 2].tolist()
            candidate.corrections.append((correction, row, knot + (2 * within > _SPAN)))
            total += (low * (_SPAN - within) + high * within) // _SPAN
            hashed = (hashed * HASH_BASE + history[0] + 2) & _MASK
        return (total + 2) >> 2

    def _learn_state(self, source: int, state: int, *, is_next: bool) -> None:
        p, updates = self._states[source][state], self._state_updates[source][state]
        target = (1 << STATE_BITS) - 1 if is_next else 0
        self._states[source][state] = p + (((target - p) * (131072 // (2 * updates + 3))) >> 16)
        self._state_updates[source][state] = min(updates + 1, MAX_STATE_UPDATES)

    def _logarithm(self, value: int) -> int:
        """Return log2 of a whole number above 0."""
        exponent = value.bit_length() - 1
        mantissa = (
            value << (MANTISSA_BITS - exponent) if exponent < MANTISSA_BITS else value >> exponent - MANTISSA_BITS
        )
        return (exponent << LOGIT_BITS) + self._logarithms[mantissa - (1 << MANTISSA_BITS)]

    def _squash(self, logit: int) -> int:
        return self._squashed[logit + LARGEST_LOGIT]

    def _final_row(self, candidate: Candidate) -> int:
        return candidate.rank * (MAX_ORDERS + 1) + candidate.lengths[0]


def _mix(weighted: int) -> int:
    """Return a sum of weighted logits as a logit."""
    return _clip((weighted + (1 << 15)) >> 16, LARGEST_LOGIT)


def _clip(value: int, limit: int) -> int:
    return min(max(value, -limit), limit)
