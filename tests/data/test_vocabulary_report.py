"""The report of `charlm inspect` on a vocabulary equals counts made by hand."""

from pathlib import Path

import pytest

from charlm.data.vocabulary_report import describe_vocabulary
from charlm.vocab.settings import CharSettings, NgramSettings, SymbolsSettings, WordSettings
from tests.corpora import build_corpus

TEXTS = {"a.txt": "aab ba\n" * 80, "b.txt": "aab ☃a\n" * 20}
"""700 characters: a.txt is the training split; valid and test are half of b.txt each."""


def test_coverage_and_bytes_of_characters(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TEXTS, vocab=CharSettings(max_size=2))
    report = describe_vocabulary(corpus)
    assert report["size"] == 259
    test = report["splits"]["test"]
    # of "aab ☃a\n", "b", "☃" and "\n" or " " are not among the two most frequent, "a" and "b" are
    assert test["coverage"] == pytest.approx(4 / 7)
    assert test["tokens_per_character"] == pytest.approx(9 / 7)
    assert test["bytes_share"] == pytest.approx(5 / 9)
    assert list(report["most_frequent"].items())[:2] == [("a", 240), ("b", 160)]
    assert report["rarest"]["<0x20>"] == report["rarest"]["<0x0A>"] == 80


def test_names_of_white_space_can_be_read(tmp_path: Path) -> None:
    report = describe_vocabulary(build_corpus(tmp_path, TEXTS, vocab=WordSettings()))
    assert report["most_frequent"] == {"'\\n'": 80, "' '": 80, "aab": 80, "ba": 80, "<eod>": 1}
    assert report["splits"]["train"]["coverage"] == 1
    assert report["splits"]["train"]["bytes_share"] == 0
    assert "ngrams" not in report


def test_symbols_are_shown_with_their_blanks(tmp_path: Path) -> None:
    texts = {"a.txt": "p a ʁ i " * 100, "b.txt": "p œ ʁ i " * 25}
    assert len(texts["b.txt"]) * 4 == len(texts["a.txt"])
    report = describe_vocabulary(build_corpus(tmp_path, texts, vocab=SymbolsSettings()))
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert report["size"] == 257 + 2 * 4
    assert report["most_frequent"] == {
        "' a'": 100,
        "' i'": 100,
        "' ʁ'": 100,
        "' p'": 99,
        "<0x20>": 1,
        "<eod>": 1,
        "p": 1,
    }
    assert train["tokens_per_character"] == pytest.approx(401 / 800)
    assert train["coverage"] == pytest.approx(1 - 1 / 800), "the last blank has no symbol after it"
    assert test["bytes_share"] > 0.3, "œ and the blank before it are three bytes"


def test_the_figures_of_ngrams(tmp_path: Path) -> None:
    lines = {"a.txt": "abab babab ababab xyz \n" * 80, "b.txt": "baba babab ababab abq \n" * 10}
    texts = {**lines, "c.txt": "abababab xyq abab xyz\n" * 10 + "\n" * 10}
    assert len(texts["a.txt"]) == 8 * len(texts["b.txt"]) == 8 * len(texts["c.txt"])
    report = describe_vocabulary(build_corpus(tmp_path, texts, vocab=NgramSettings()))["ngrams"]
    assert report["distinct_words"] == report["words_known"] == 4
    of_words = {"#ab", "aba", "bab", "ab#", "#ba", "#xy", "xyz", "yz#"}  # of #abab# #babab# #ababab# #xyz#
    assert report["distinct_ngrams"] == len(of_words)
    assert report["ngrams_known"] == len(of_words | {"# #", "#\n#"})
    assert report["ngrams_per_word"]["mean"] == pytest.approx((4 + 5 + 6 + 3) / 4)
    assert report["colliding_words"] == {"of_all_with_all_ngrams": 0, "of_known_with_known_ngrams": 0}
    assert report["unseen_test_words"] == {"words": 2, "all_ngrams_known": 0.5}


def test_words_with_the_same_ngrams_collide_and_levels_are_what_each_combiner_makes(tmp_path: Path) -> None:
    """#ababba# and #abbaba# have the same trigrams in another order."""
    texts = {"a.txt": "ababba abbaba a ab abc abcdefgh " * 100}
    report = describe_vocabulary(build_corpus(tmp_path, texts, vocab=NgramSettings()))["ngrams"]
    assert report["colliding_words"] == {"of_all_with_all_ngrams": 2, "of_known_with_known_ngrams": 2}
    level = report["activation_level"]
    assert set(level) == {"sum", "mean", "sqrt"}
    for combiner, power in (("sum", 0.5), ("mean", -0.5), ("sqrt", 0.0)):
        assert level[combiner]["1"] == pytest.approx(1, abs=0.3)
        assert level[combiner]["8"] == pytest.approx(8**power, rel=0.3)
