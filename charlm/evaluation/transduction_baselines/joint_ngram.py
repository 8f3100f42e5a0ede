"""A joint n-gram model: source and target are one sequence of joint tokens (Bisani & Ney, 2008).

    pairs ──alignment──> sequences of joint tokens ──backoff_ngrams──> p(joint token | those before it)
    source ──beam search──> most probable joint tokens with this source ──> their target

The search goes through the source from left to right. A hypothesis at a position has joint tokens whose sources,
joined, are the source up to there. Hypotheses in the same state of the n-gram model (the last order - 1 joint tokens,
or those of them that matter) have the same future, so only the best one stays. The target comes from the single most
probable sequence, not from the sum over all that give the same target.
"""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from charlm.evaluation.transduction_baselines.alignment import Alignment, JointToken, align_pairs
from charlm.evaluation.transduction_baselines.backoff_ngrams import EDGE, State, fit_backoff_ngrams
from charlm.evaluation.transduction_baselines.base import Pair, Symbols, TransductionBaseline

_LOG_P_SKIPPED = -20.0
"""Of a source symbol that no joint token has on its own: below any joint token, so that it is the last resort."""


class _Hypothesis(NamedTuple):
    """Joint tokens up to a position of the source."""

    log_p: float
    target: Symbols
    """Of the last joint token."""
    previous: "_Hypothesis | None"


_Beam = dict[State, _Hypothesis]


class JointNgram(TransductionBaseline):
    """A Kneser-Ney model over joint tokens. A source symbol that training has not seen gives no target symbol."""

    def __init__(self, order: int = 6, *, beam_size: int = 100, max_source: int = 2, max_target: int = 3) -> None:
        """
        Args:
            order: length of the longest n-grams of joint tokens, at least 1. On six languages, words wrong on average:
                14.9 % with 3, 13.9 % with 4, 13.4 % with 5, and 13.1 % with 6, 7 and 8.
            beam_size: hypotheses that are extended at each position of a source.
            max_source: the most source symbols in a joint token.
            max_target: the most target symbols in a joint token; more where a target is long for its source.
        """
        self.name = f"joint {order}-gram"
        self._order = order
        self._beam_size = beam_size
        self._max_source = max_source
        self._max_target = max_target
        self._start = State(None)
        self._choices: dict[Symbols, list[tuple[int, Symbols]]] = {}

    def fit(self, pairs: Sequence[Pair]) -> None:
        aligned = align_pairs(pairs, max_source=self._max_source, max_target=self._max_target).best
        known = [(path, pair.weight) for path, pair in zip(aligned, pairs, strict=True) if path is not None]
        self.fit_alignments([path for path, _ in known], [weight for _, weight in known])

    def fit_alignments(self, alignments: Sequence[Alignment], weights: Sequence[float]) -> None:
        """Learn from pairs that are already aligned, each with its weight."""
        ids: dict[JointToken, int] = {}
        sequences = [[ids.setdefault(token, len(ids) + 1) for token in path] for path in alignments]
        if not sequences:
            sequences, weights = [[]], [1.0]
        self._start = fit_backoff_ngrams(sequences, weights, self._order)
        choices: defaultdict[Symbols, list[tuple[int, Symbols]]] = defaultdict(list)
        for token, token_id in ids.items():
            choices[token.source].append((token_id, token.target))
        self._choices = dict(choices)

    def predict(self, sources: Sequence[Symbols]) -> list[Symbols]:
        return [self._decode(source) for source in sources]

    def _decode(self, source: Symbols) -> Symbols:
        beams: list[_Beam] = [{} for _ in range(len(source) + 1)]
        beams[0][self._start] = _Hypothesis(0.0, (), None)
        for position in range(len(source)):
            self._extend(beams, position, source)
        finished = [(state.step(EDGE)[0] + hypothesis.log_p, hypothesis) for state, hypothesis in beams[-1].items()]
        _, hypothesis = max(finished, key=lambda each: each[0])
        targets: list[Symbols] = []
        while hypothesis is not None:
            targets.append(hypothesis.target)
            hypothesis = hypothesis.previous
        return tuple(symbol for target in reversed(targets) for symbol in target)

    def _extend(self, beams: list[_Beam], position: int, source: Symbols) -> None:
        """Add to the later beams the best hypotheses of this position, with one more joint token."""
        beam = heapq.nlargest(self._beam_size, beams[position].items(), key=lambda each: each[1].log_p)
        for size in range(1, min(self._max_source, len(source) - position) + 1):
            choices = self._choices.get(source[position : position + size], [])
            for state, hypothesis in beam:
                for token, target in choices:
                    log_p, next_state = state.step(token)
                    _add(beams[position + size], next_state, _Hypothesis(hypothesis.log_p + log_p, target, hypothesis))
        if source[position : position + 1] not in self._choices:
            for state, hypothesis in beam:
                _add(beams[position + 1], state, _Hypothesis(hypothesis.log_p + _LOG_P_SKIPPED, (), hypothesis))


def _add(beam: _Beam, state: State, hypothesis: _Hypothesis) -> None:
    """Keep the more probable of two hypotheses in the same state."""
    if state not in beam or hypothesis.log_p > beam[state].log_p:
        beam[state] = hypothesis
