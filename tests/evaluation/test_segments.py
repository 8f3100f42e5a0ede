"""Segments and sentences of tags, and the scores of words of raw text."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charlm.evaluation.evaluate_labels import LabelDecoder
from charlm.evaluation.label_score import LabelScore, SegmentCounts
from charlm.evaluation.segments import TagTransitions, find_segments, find_sentences

NAMES = ("B-sent", "B-word", "I-sent", "I-word")
WORDS = LabelDecoder(NAMES, TagTransitions.of_segments(NAMES))


def ids(*tags: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.array([NAMES.index(tag) for tag in tags], dtype=np.int64)


def tags_of(sentences: list[list[int]]) -> list[str]:
    """The tags of sentences, given the lengths of their words."""
    return [
        tag
        for words in sentences
        for number, length in enumerate(words)
        for kind in ["word" if number else "sent"]
        for tag in (f"B-{kind}", *[f"I-{kind}"] * (length - 1))
    ]


SENTENCES = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), max_size=5)


@given(sentences=SENTENCES)
def test_words_and_sentences_are_found_again(sentences: list[list[int]]) -> None:
    segments = find_segments(tags_of(sentences))
    lengths = [length for words in sentences for length in words]
    assert [end - start for start, end, _ in segments] == lengths
    assert [end - start for start, end in find_sentences(segments)] == [sum(words) for words in sentences]


def test_a_sentence_that_began_earlier_is_left_out() -> None:
    assert find_sentences(find_segments(["B-word", "B-sent", "B-word"])) == [(1, 3)]
    assert find_sentences(find_segments(["B-word", "B-word"])) == []


def test_a_word_is_right_whether_or_not_its_sentence_is() -> None:
    gold = ids("B-sent", "I-sent", "B-word", "B-sent", "B-word")
    predicted = ids("B-sent", "I-sent", "B-word", "B-word", "B-word")
    assert WORDS.count_segments(gold, predicted) == SegmentCounts(4, 4, 4)
    assert WORDS.count_sentences(gold, predicted) == SegmentCounts(2, 1, 0)
    assert WORDS.count_sentences(gold, gold) == SegmentCounts(2, 2, 2)


def test_other_segments_have_kinds_and_no_sentences() -> None:
    names = ("B-LOC", "B-PER", "O")
    decoder = LabelDecoder(names, TagTransitions.of_segments(names))
    gold, predicted = np.array([0, 2, 1, -1]), np.array([1, 2, 1, 2])
    assert decoder.count_segments(gold, predicted) == SegmentCounts(2, 2, 1)
    assert decoder.count_sentences(gold, predicted) == SegmentCounts()
    assert LabelDecoder(names).count_segments(gold, predicted) == SegmentCounts()


def test_sums_make_the_score_again() -> None:
    score = LabelScore(2.5, np.arange(6).reshape(3, 2), SegmentCounts(1, 2, 3), SegmentCounts(4, 5, 6))
    again = LabelScore.zero(2).with_sums(score.sums())
    assert again.sums() == score.sums()
    assert (again.segments, again.sentences) == (score.segments, score.sentences)
    assert (score + score).sentences == SegmentCounts(8, 10, 12)
    assert score.to_json()["sentences"]["f1"] == 12 / 9
