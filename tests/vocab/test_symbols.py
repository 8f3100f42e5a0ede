"""Symbols between blanks: one token for each, and no text is lost."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.errors import DataError
from charlm.vocab.base import Vocab
from charlm.vocab.settings import SymbolsSettings
from charlm.vocab.symbols import SymbolsLearner, SymbolsVocab
from charlm.vocab.word_tokens import MAX_TOKEN_LENGTH
from tests.vocab.learning import learn

SYMBOLS = ["p", "a", "ʁ", "i", "t͡ʃ", "aː"]
PIECES = st.sampled_from([*SYMBOLS, "", "œ", "pa", "\n", "a\n", "<eod>"]) | st.text(
    st.characters(exclude_categories=("Cs",)), max_size=3
)


def names(vocab: Vocab, text: str) -> list[str]:
    return [vocab.symbol(token) for token in vocab.encode(text).tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p a ʁ i", ["p", " a", " ʁ", " i"]),
        ("t͡ʃ aː", ["t͡ʃ", " aː"]),
        ("", []),
        (" a", [" a"]),
        ("a ", ["a", "<0x20>"]),
        ("a  a", ["a", "<0x20>", " a"]),
        ("p œ a", ["p", "<0x20>", "<0xC5>", "<0x93>", " a"]),
        ("pa i", ["<0x70>", "<0x61>", " i"]),
        ("a\na", ["<0x61>", "<0x0A>", "<0x61>"]),
    ],
)
def test_each_known_symbol_is_a_token_and_all_else_is_bytes(text: str, expected: list[str]) -> None:
    assert names(SymbolsVocab(SYMBOLS), text) == expected


@given(pieces=st.lists(PIECES, max_size=12))
@example(pieces=["", "", "a"])
@example(pieces=["œ", "œ", ""])
def test_no_text_is_lost(pieces: list[str]) -> None:
    text = " ".join(pieces)
    assert SymbolsVocab(SYMBOLS).decode(SymbolsVocab(SYMBOLS).encode(text)) == text


@given(symbols=st.lists(st.sampled_from(SYMBOLS), min_size=1))
def test_text_of_known_symbols_has_a_token_for_each(symbols: list[str]) -> None:
    text = " ".join(symbols)
    for byte_fallback in (True, False):
        vocab = SymbolsVocab(SYMBOLS, byte_fallback=byte_fallback)
        assert len(vocab.encode(text)) == len(symbols)
        assert vocab.decode(vocab.encode(text)) == text
        assert [name.lstrip() for name in names(vocab, text)] == symbols


@given(
    texts=st.lists(st.lists(st.sampled_from([*SYMBOLS, ""]), max_size=9).map(" ".join), max_size=5),
    cut=st.integers(0, 5),
    min_count=st.integers(1, 3),
    max_size=st.integers(2, 9),
)
def test_the_most_frequent_symbols_are_known_however_counts_are_merged(
    texts: list[str], cut: int, min_count: int, max_size: int
) -> None:
    settings = SymbolsSettings(min_count=min_count, max_size=max_size)
    one, other = SymbolsLearner(settings), SymbolsLearner(settings)
    for number, text in enumerate(["p a", *texts]):
        (one if number < cut else other).add(text)
    one.merge(other)
    counts = Counter(symbol for text in ["p a", *texts] for symbol in text.split())
    ranked = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    expected = [symbol for symbol in ranked if counts[symbol] >= min_count][:max_size]
    assert one.finish().to_json() == {"byte_fallback": True, "symbols": expected}


def test_long_symbols_and_names_of_ids_get_no_id() -> None:
    longest = "a" * MAX_TOKEN_LENGTH
    vocab = learn(SymbolsSettings(), [f"{longest} {longest}a <eod> <0x41> <0x4> </s>"])
    assert vocab.to_json()["symbols"] == ["</s>", "<0x4>", longest]
    assert len({vocab.symbol(token) for token in range(vocab.size)}) == vocab.size


@pytest.mark.parametrize(("text", "number"), [("", 0), ("a", 1), ("  ", 1)])
def test_one_character_is_no_vocabulary(text: str, number: int) -> None:
    with pytest.raises(DataError, match=f"has {number} different characters"):
        learn(SymbolsSettings(), [text])


@pytest.mark.parametrize(
    ("text", "named"), [("p œ", "'œ'"), ("œ a", "'œ'"), ("p a\n", r"'a\\n'"), ("p  a", "a blank"), ("p ", "a blank")]
)
def test_without_byte_fallback_unknown_text_is_named(text: str, named: str) -> None:
    vocab = learn(SymbolsSettings(byte_fallback=False), ["p a"])
    assert (vocab.size, vocab.first_byte_id) == (5, None)
    with pytest.raises(DataError, match=rf"{named}.* is not in the vocabulary.*byte_fallback"):
        vocab.encode(text)
