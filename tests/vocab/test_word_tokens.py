"""Tokens: the words of different scripts; no text is lost or counted twice."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import DataError
from charlm.vocab import word_tokens
from charlm.vocab.settings import WordSettings
from charlm.vocab.word import WordVocab
from charlm.vocab.word_tokens import MAX_TOKEN_LENGTH, TokenCounts, is_word, split_tokens
from tests.vocab.learning import learn

TEXTS = st.text(st.sampled_from("ab  \n\t'’.,-éё\u0301中のก\u200c0☃\u00a0") | st.characters(exclude_categories=("Cs",)))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Café l'été: 3.14!", ["Café", " ", "l'été", ":", " ", "3", ".", "14", "!"]),
        ("cafe\u0301 и ещё", ["cafe\u0301", " ", "и", " ", "ещё"]),
        ("'tis rock 'n' roll’s", ["'", "tis", " ", "rock", " ", "'", "n", "'", " ", "roll’s"]),
        ("a  b\r\n\n\tc", ["a", " ", " ", "b", "\r\n\n\t", "c"]),
        ("x\u00a0\u2009y", ["x", "\u00a0\u2009", "y"]),
        ("中文字 kana カタカナ", ["中", "文", "字", " ", "kana", " ", "カタカナ"]),
        ("हिन्दी में", ["हिन्दी", " ", "में"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("don't_stop--now", ["don't", "_", "stop", "-", "-", "now"]),
        ("👩\u200d👧\x00", ["👩", "\u200d", "👧", "\x00"]),
        ("", []),
    ],
)
def test_words_signs_and_spaces(text: str, tokens: list[str]) -> None:
    assert split_tokens(text) == tokens


@given(text=TEXTS)
def test_tokens_together_are_the_text(text: str) -> None:
    tokens = split_tokens(text)
    assert "".join(tokens) == text
    assert all(" " not in token for token in tokens if token != " ")
    for token in tokens:
        assert split_tokens(token) == [token], "a token is one wherever it stands"
        assert is_word(token) == any(character.isalnum() for character in token) or not token.isascii()


@given(texts=st.lists(TEXTS, max_size=6), cut=st.integers(0, 6))
def test_counts_are_those_of_the_tokens_however_they_are_merged(texts: list[str], cut: int) -> None:
    parts = [TokenCounts(), TokenCounts()]
    for number, text in enumerate(texts):
        parts[number >= cut].add(text)
    parts[0].merge(parts[1])
    expected = Counter(token for text in texts for token in split_tokens(text))
    assert parts[0].most_frequent() == sorted(expected.items(), key=lambda item: (-item[1], item[0]))
    assert parts[0].distinct_characters == len(set("".join(texts)))


def test_beyond_a_bound_the_rarest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_tokens, "_MAX_TYPES", 10)
    counts = TokenCounts()
    counts.add(" ".join(f"rare{number} often" for number in range(50)))
    assert counts.most_frequent() == [(" ", 99), ("often", 50)]


@given(texts=st.lists(TEXTS, min_size=1), max_size=st.integers(2, 20), min_count=st.integers(1, 3))
def test_the_most_frequent_tokens_are_known(texts: list[str], max_size: int, min_count: int) -> None:
    settings = WordSettings(max_size=max_size, min_count=min_count)
    if len(set("".join(texts))) < 2:
        with pytest.raises(DataError, match="different characters"):
            learn(settings, texts)
        return
    vocab = learn(settings, texts)
    assert isinstance(vocab, WordVocab)
    counts = Counter(token for text in texts for token in split_tokens(text))
    enough = sorted(
        (token for token in counts if counts[token] >= min_count and len(token) <= MAX_TOKEN_LENGTH),
        key=lambda token: (-counts[token], token),
    )
    assert list(vocab.tokens) == enough[:max_size]


def test_an_unknown_word_costs_its_bytes_and_a_known_one_a_single_id() -> None:
    vocab = learn(WordSettings(), ["the cat, the dog, the cat"])
    assert [vocab.symbol(token) for token in vocab.encode("the ёж")] == [
        "the", " ", "<0xD1>", "<0x91>", "<0xD0>", "<0xB6>",
    ]  # fmt: skip


def test_words_longer_than_any_word_are_not_known() -> None:
    noise = "x" * (MAX_TOKEN_LENGTH + 1)
    vocab = learn(WordSettings(min_count=1), [f"{noise} {noise[1:]}"])
    assert isinstance(vocab, WordVocab)
    assert set(vocab.tokens) == {" ", noise[1:]}
