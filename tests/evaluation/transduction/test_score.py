"""Figures of written texts: edits, right answers, sums that add up, weights."""

import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from charlm.data.source_texts import DocumentSources
from charlm.data.store import TokenStream, encode_parts, stream_of
from charlm.evaluation.score import Score
from charlm.evaluation.transduction.answers import Question, collect_questions
from charlm.evaluation.transduction.edit_distance import edit_distance
from charlm.evaluation.transduction.score import AnswerCounts, TransductionScore
from charlm.text.document import Document
from charlm.text.split import Part
from charlm.vocab.char import CharVocab

VOCAB = CharVocab("abcdefgh ", byte_fallback=False)


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
        ("saturday", "sunday", 3),
        ("ab", "ba", 2),
        ("abcd", "bcd", 1),
        (["k", "aː", "t"], ["k", "a", "t", "s"], 2),
    ],
)
def test_known_distances(first: Sequence[str], second: Sequence[str], edits: int) -> None:
    assert edit_distance(first, second) == edit_distance(second, first) == edits


def recursive(first: str, second: str) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        replaced = distance(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, replaced)

    return distance(len(first), len(second))


def test_the_distance_is_that_of_its_definition() -> None:
    chance = random.Random(1)
    texts = ["".join(chance.choices("ab ", k=chance.randint(0, 8))) for _ in range(60)]
    for first, second, third in zip(texts, texts[1:], texts[2:], strict=False):
        assert edit_distance(first, second) == recursive(first, second)
        assert edit_distance(first, third) <= edit_distance(first, second) + edit_distance(second, third)


# ---- questions


def encode(texts: Sequence[str]) -> TokenStream:
    return stream_of(encode_parts([Part(Document(str(n), "", text)) for n, text in enumerate(texts)], VOCAB), VOCAB)


def questions(pairs: Sequence[tuple[str, str]], weights: Sequence[float] | None = None) -> list[Question]:
    sources = DocumentSources(encode([source for source, _ in pairs]))
    weights_D = None if weights is None else np.array(weights)
    return collect_questions(encode([target for _, target in pairs]), sources, weights_D, VOCAB)


def test_equal_sources_are_one_question() -> None:
    pairs = [("a", "bb"), ("b", "c"), ("a", "d"), ("ab", "c"), ("a", "bb"), ("", "a")]
    found = questions(pairs, [0.5, 1, 2, 4, 8, 0])
    assert [VOCAB.decode(each.source.tolist()) for each in found] == ["a", "b", "ab", ""]
    assert [each.answers for each in found] == [("bb", "d"), ("c",), ("c",), ("a",)]
    assert [each.weight for each in found] == [10.5, 1, 4, 0]
    assert [each.weight for each in questions(pairs)] == [3, 1, 1, 1]


# ---- scores

PAIRS = [("a", "abc"), ("b", "a b c"), ("b", "a b"), ("c", "h"), ("d", "aa aa")]
WRITTEN = ["abd", "a b", "hh", ""]
WEIGHTS = [4.0, 1, 2, 0.5, 0]


def score(*, first: int = 0, last: int = 4, blank_separates: bool = False) -> TransductionScore:
    asked = questions(PAIRS, WEIGHTS)[first:last]
    counts = AnswerCounts.of_texts(WRITTEN[first:last], asked, blank_separates=blank_separates)
    stream = encode([answer for question in asked for answer in question.answers])
    return TransductionScore.from_counts(Score.from_nats(np.ones(stream.num_predictions, np.float32), stream), counts)


def test_edits_are_counted_to_the_nearest_answer() -> None:
    found = score()
    assert (found.sources, found.correct) == (4, 1)
    assert (found.symbols, found.symbol_edits) == (3 + 3 + 1 + 5, 1 + 0 + 1 + 5)
    assert (found.words, found.word_edits) == (1 + 2 + 1 + 2, 1 + 0 + 1 + 2)
    assert found.exact_match == 0.25
    assert found.error_rate == 0.75
    assert found.weighted_exact_match == 3 / 7.5
    assert found.symbol_error_rate == 7 / 12
    assert found.word_error_rate == 4 / 6
    assert found.figure("accuracy") == 0.75
    assert found.figure("bits") == found.bits == found.likelihood.bits
    assert found.details == "75.00 % wrong texts"


def test_symbols_may_stand_between_blanks() -> None:
    found = score(blank_separates=True)
    assert (found.symbols, found.symbol_edits) == (found.words, found.word_edits) == (6, 4)


def test_scores_add_up() -> None:
    whole = score()
    parts = score(last=1) + score(first=1, last=3) + score(first=3)
    assert parts == whole
    assert parts.to_json() == whole.to_json()
    shards = [score(last=2).sums(), score(first=2).sums()]
    assert whole.with_sums(shards[0]).sources == 2
    assert whole.with_sums([sum(column) for column in zip(*shards, strict=True)]) == whole, "as ranks add them up"


def test_without_sources_there_are_no_ratios() -> None:
    nothing = score(last=0)
    ratios = ("exact_match", "weighted_exact_match", "error_rate", "symbol_error_rate", "word_error_rate")
    assert [nothing.to_json()[name] for name in ratios] == [None] * 5
    assert nothing.details == ""
    assert nothing.figure("accuracy") is None
    assert nothing + score() == score()
