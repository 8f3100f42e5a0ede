"""Simple models of labels and tags: what each must know on small data, and that probabilities are probabilities."""

from pathlib import Path

import numpy as np
import pytest

from charlm.data.labelled_text import LabelledText
from charlm.data.task_settings import ClassifyTaskSettings, TagTaskSettings
from charlm.evaluation.evaluate_labels import LabelDecoder
from charlm.evaluation.label_baselines.base import LabelBaseline
from charlm.evaluation.label_baselines.frequencies import MostFrequent, WordTags
from charlm.evaluation.label_baselines.longest_match import LongestMatch
from charlm.evaluation.label_baselines.ngrams import NgramsPerClass
from charlm.evaluation.label_baselines.regression import TextRegression, WindowRegression
from charlm.evaluation.label_baselines.restorations import WordRestorations
from charlm.evaluation.label_baselines.run import default_baselines, run_label_baselines
from charlm.evaluation.restored_words import RestoredWords, find_carriers, word_spans
from charlm.evaluation.segments import TagTransitions
from tests.examples import Example, write_examples

LANGUAGES = ("deutsch", "english")
TEXTS = [
    ("der hund und die katze", 0),
    ("the dog and the cat", 1),
    ("das haus und der baum", 0),
    ("a tree and a house", 1),
]


def labelled(text: str, label: int) -> LabelledText:
    return LabelledText(text, np.array([len(text) - 1]), np.array([label]))


def tagged(words: str, tags: list[int]) -> LabelledText:
    """A text with a tag at the end of each word."""
    last = [index for index in range(len(words)) if words[index] != " " and words[index + 1 : index + 2] in ("", " ")]
    return LabelledText(words, np.array(last), np.array(tags))


@pytest.mark.parametrize("baseline", [NgramsPerClass(3), TextRegression()], ids=lambda each: each.name)
def test_a_language_is_recognised(baseline: LabelBaseline) -> None:
    train = [labelled(text, label) for text, label in TEXTS * 3]
    predictor = baseline.fit(train, LANGUAGES)
    for text, label in (("und das haus", 0), ("and the house", 1)):
        log_p_NL = predictor.log_probabilities(labelled(text, -1))
        assert np.exp(log_p_NL).sum() == pytest.approx(1, abs=1e-5)
        assert log_p_NL[0].argmax() == label


def test_the_most_frequent_label_is_that_of_training() -> None:
    train = [labelled("a", 1), labelled("b", 1), labelled("c", 0)]
    log_p_NL = MostFrequent().fit(train, LANGUAGES).log_probabilities(labelled("z", 0))
    assert log_p_NL[0].argmax() == 1
    assert np.exp(log_p_NL[0, 1]) == pytest.approx(2.5 / 4)


@pytest.mark.parametrize("baseline", [WordTags(), WindowRegression()], ids=lambda each: each.name)
def test_words_have_the_tags_of_training(baseline: LabelBaseline) -> None:
    names = ("DET", "NOUN", "VERB")
    train = [tagged("the dog runs", [0, 1, 2]), tagged("a cat sleeps", [0, 1, 2])] * 4
    predictor = baseline.fit(train, names)
    assert predictor.log_probabilities(tagged("the cat runs", [0, 0, 0])).argmax(1).tolist() == [0, 1, 2]


def test_the_longest_segment_of_training_wins() -> None:
    names = ("B-word", "I-word")
    solid = LabelledText("ab abc", np.array([0, 1, 3, 4, 5]), np.array([0, 1, 0, 1, 1]))
    predictor = LongestMatch().fit([solid], names)
    text = LabelledText("abc ab x", np.array([0, 1, 2, 4, 5, 7]), np.zeros(6, dtype=np.int64))
    assert predictor.log_probabilities(text).argmax(1).tolist() == [0, 1, 1, 0, 1, 0]


def test_segments_within_runs_of_letters_are_matched_where_training_has_them() -> None:
    names = ("B-word", "I-word")
    solid = LabelledText("abcde", np.arange(5), np.array([0, 1, 0, 1, 0]))
    predictor = LongestMatch().fit([solid], names)
    text = LabelledText("xcdab", np.arange(5), np.zeros(5, dtype=np.int64))
    assert predictor.log_probabilities(text).argmax(1).tolist() == [0, 0, 1, 0, 1]


def test_an_unknown_word_is_a_segment_where_segments_end_with_runs_of_letters() -> None:
    predictor = LongestMatch().fit([LabelledText("ab abc", np.array([0, 1, 3, 4, 5]), np.array([0, 1, 0, 1, 1]))],
                                   ("B-word", "I-word"))  # fmt: skip
    text = LabelledText("xyz, ab", np.array([0, 1, 2, 3, 5, 6]), np.zeros(6, dtype=np.int64))
    assert predictor.log_probabilities(text).argmax(1).tolist() == [0, 1, 1, 0, 0, 1]


def test_all_baselines_of_a_corpus_are_scored(tmp_path: Path) -> None:
    examples: list[Example] = [
        (f"{'ab' * (number % 5 + 1)}{number % 2}", ("even", "odd")[number % 2]) for number in range(60)
    ]
    corpus = write_examples(tmp_path / "corpus", {"train": examples, "valid": examples[:9], "test": examples[:20]})
    assert corpus.labels is not None
    decoder = LabelDecoder(corpus.labels.names)
    baselines = default_baselines(decoder, ClassifyTaskSettings())
    results = list(run_label_baselines(corpus, "test", decoder, baselines, on_progress=lambda *_: None))
    accuracies = [result.score.accuracy for result in results if result.score is not None]
    assert accuracies[0] == 0.5
    assert accuracies[1:] == [1.0, 1.0]
    assert all(result.documents is not None and result.documents.labels.sum() == 20 for result in results)


def test_segments_have_the_longest_match_as_a_baseline() -> None:
    names = ("B-word", "I-word")
    decoder = LabelDecoder(names, TagTransitions.of_segments(names))
    kinds = [type(each) for each in default_baselines(decoder, TagTaskSettings())]
    assert kinds == [MostFrequent, LongestMatch, WindowRegression]


def test_a_word_is_restored_as_it_is_most_often() -> None:
    acute, none, grave = 0, 1, 2
    train = [
        LabelledText("pere", np.arange(4), np.array(tags))
        for tags in ([none, grave, none, none], [none, grave, none, none], [none, acute, none, acute])
    ]
    predictor = WordRestorations().fit(train, ("acute", "none", "grave"))
    found = predictor.log_probabilities(LabelledText("pere, rr", np.array([0, 1, 2, 3, 6, 7]), np.zeros(6, np.int64)))
    assert found.argmax(1).tolist() == [none, grave, none, none, none, none]


def test_restored_words_are_those_with_a_character_that_can_carry_something() -> None:
    none, acute = 0, 1
    train = [LabelledText("ete b", np.array([0, 1, 2, 4]), np.array([acute, none, none, none]))]
    assert find_carriers(train) == {"e"}
    text = LabelledText("le b-bed, e", np.array([0, 1, 3, 5, 6, 7, 10]), np.array([0, 1, 0, 0, 0, 0, -1]))
    words = RestoredWords({"e"}, lambda index: text)
    assert words.count(0, np.array([0, 1, 1, 0, 0, 0, 0])) == (3, 2)  # le, bed; the last e has an unseen tag
    assert words.count(0, np.array([1, 1, 0, 0, 1, 0, 0])) == (3, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [("हिंदी में", ["हिंदी", "में"]), ("ที่นี่ ดี", ["ที่นี่", "ดี"]), ("e\u0301te\u0301, b", ["e\u0301te\u0301", "b"])],
)
def test_vowel_signs_do_not_cut_words(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words
