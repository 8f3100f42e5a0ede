"""The joint n-gram model learns small languages, and its search finds the most probable sequence of joint tokens."""

import math
import random
from collections.abc import Iterator
from itertools import product

import pytest

from charlm.evaluation.transduction_baselines.alignment import Alignment, JointToken
from charlm.evaluation.transduction_baselines.backoff_ngrams import EDGE, fit_backoff_ngrams
from charlm.evaluation.transduction_baselines.base import Symbols
from charlm.evaluation.transduction_baselines.joint_ngram import JointNgram
from tests.evaluation.transduction_baselines.pairs import pair, spoken_pairs


def test_copying_is_learned() -> None:
    baseline = JointNgram()
    baseline.fit([pair(word, word) for word in ("abc", "cab", "bca", "aabb", "ccba")])
    assert baseline.predict([tuple("cbcbabac"), ()]) == [tuple("cbcbabac"), ()]


def test_digraphs_and_silent_letters_are_learned() -> None:
    train, dev = spoken_pairs(0, 1500), spoken_pairs(1, 200)
    baseline = JointNgram()
    baseline.fit(train)
    predicted = baseline.predict([each.source for each in dev])
    wrong = [(each, target) for each, target in zip(dev, predicted, strict=True) if target != each.target]
    assert len(wrong) <= 2, wrong


def test_unknown_symbols_are_skipped() -> None:
    baseline = JointNgram()
    baseline.fit([pair("ab", "xy"), pair("ba", "yx"), pair("aab", "xxy"), pair("qua", "kx"), pair("quab", "kxy")])
    assert baseline.predict([tuple("?ab"), tuple("a??b"), tuple("ab?"), ("?",)]) == [
        tuple("xy"),
        tuple("xy"),
        tuple("xy"),
        (),
    ]


def test_the_heavier_target_wins() -> None:
    baseline = JointNgram()
    baseline.fit([pair("ab", "xy", 0.25), pair("ab", "xz", 0.75), pair("a", "x"), pair("b", "y", 0.25)])
    assert baseline.predict([("a", "b")]) == [("x", "z")]


def cuts(source: Symbols, tokens: list[JointToken]) -> Iterator[Alignment]:
    """Yield all sequences of joint tokens with this source."""
    if not source:
        yield ()
    for token in tokens:
        if token.source == source[: len(token.source)]:
            yield from ((token, *rest) for rest in cuts(source[len(token.source) :], tokens))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_search_finds_the_most_probable_sequence(order: int) -> None:
    generator = random.Random(order)
    sides = [(("a",), ("x",)), (("a",), ("y", "x")), (("b",), ("y",)), (("b",), ()), (("a", "b"), ("z",))]
    tokens = [JointToken(source, target) for source, target in sides]
    alignments = [tuple(generator.choices(tokens, k=generator.randint(1, 5))) for _ in range(50)]
    weights = [1.0] * len(alignments)
    baseline = JointNgram(order, beam_size=1000)
    baseline.fit_alignments(alignments, weights)
    start = fit_backoff_ngrams([[tokens.index(t) + 1 for t in path] for path in alignments], weights, order)

    def log_p(path: Alignment) -> float:
        total, state = 0.0, start
        for token in (*(tokens.index(token) + 1 for token in path), EDGE):
            step, state = state.step(token)
            total += step
        return total

    for source in product("ab", repeat=5):
        scored = sorted(((log_p(path), path) for path in cuts(source, tokens)), reverse=True)
        best = {tuple(s for t in path for s in t.target) for p, path in scored if math.isclose(p, scored[0][0])}
        assert baseline.predict([source])[0] in best
