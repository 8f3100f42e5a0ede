"""The n-gram vocabulary: the lecture's example, spelling, and arrays that match the words."""

import random
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import DataError
from charlm.vocab.base import ngram_hash
from charlm.vocab.ngram import NgramVocab, ngrams_of
from charlm.vocab.settings import NgramSettings
from tests.vocab.learning import learn

TEXT = "слово за слово, слова и слов; no word, no words: слово!"
P = 0x9E3779B97F4A7C15


def learned(settings: NgramSettings | None = None) -> NgramVocab:
    vocab = learn(settings or NgramSettings(min_count=1, min_ngram_count=1), [TEXT])
    assert isinstance(vocab, NgramVocab)
    return vocab


def test_the_example_of_the_lecture() -> None:
    assert ngrams_of("слово", 3) == ["#сл", "сло", "лов", "ово", "во#"]
    assert ngrams_of("и", 3) == ["#и#"]
    assert ngrams_of("и", 4) == ["#и#"], "a word shorter than n is one n-gram"
    assert ngrams_of("да", 1) == ["#", "д", "а", "#"]


def test_an_unknown_word_is_spelled_between_marks_and_a_sign_is_not() -> None:
    vocab = learned()
    assert [vocab.symbol(token) for token in vocab.encode("слово ёж☃")] == [
        "слово", " ", "<spell>", "<0xD1>", "<0x91>", "<0xD0>", "<0xB6>", "</spell>", "<0xE2>", "<0x98>", "<0x83>",
    ]  # fmt: skip
    assert vocab.decode([vocab.spell_id, vocab.end_id, vocab.eod_id]) == ""


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("max_ngrams", [1, 7, 10_000])
def test_bags_are_the_known_ngrams_of_each_token(n: int, max_ngrams: int) -> None:
    vocab = learned(NgramSettings(min_count=1, min_ngram_count=1, n=n, max_ngrams=max_ngrams))
    bags = vocab.bags()
    assert bags is not None
    assert bags.num_ngrams == len(vocab.ngrams) <= max_ngrams
    assert bags.offsets.shape == (vocab.size + 1,)
    assert len(set(bags.hashes.tolist())) == bags.num_ngrams
    name_of = dict(zip(bags.hashes.tolist(), vocab.ngrams, strict=True))
    assert {name: ngram_hash(name.encode()) for name in vocab.ngrams} == {name: h for h, name in name_of.items()}
    for token in range(vocab.size):
        bag = bags.ngrams[bags.offsets[token] : bags.offsets[token + 1]]
        word = vocab.decode([token])
        expected = [] if token <= vocab.end_id else [name for name in ngrams_of(word, n) if name in vocab.ngrams]
        assert [vocab.ngrams[number] for number in bag] == expected
    assert (bags.spell_id, bags.end_id, bags.first_byte_id, bags.boundary, bags.n) == (257, 258, 1, b"#", n)
    assert vocab.symbol(bags.first_byte_id + 0xAB) == "<0xAB>"


@given(words=st.lists(st.text("abв#", min_size=1, max_size=6), min_size=1, max_size=20))
def test_the_most_frequent_ngrams_are_known(words: list[str]) -> None:
    tokens = [token for word in words for token in [*word.replace("#", " # ").split(), " "]]
    counts = Counter(ngram for token in tokens for ngram in ngrams_of(token, 3))
    settings, texts = NgramSettings(max_ngrams=4, min_ngram_count=2), [" ".join(words) + " "]
    if max(counts.values()) < 2:
        with pytest.raises(DataError, match="no 3-gram of the training text occurs 2 times"):
            learn(settings, texts)
        return
    vocab = learn(settings, texts)
    assert isinstance(vocab, NgramVocab)
    assert len(set(vocab.ngrams)) == len(vocab.ngrams) == min(4, sum(count >= 2 for count in counts.values()))
    left_out = max((count for ngram, count in counts.items() if ngram not in vocab.ngrams), default=0)
    assert all(counts[ngram] >= max(2, left_out) for ngram in vocab.ngrams)


@pytest.mark.parametrize("n", [1, 3, 8])
@pytest.mark.parametrize("min_count", [1, 1_000])
def test_a_vocabulary_without_ngrams_is_refused(n: int, min_count: int) -> None:
    settings = NgramSettings(n=n, min_count=min_count, min_ngram_count=1_000)
    with pytest.raises(DataError, match=rf"no {n}-gram .* occurs 1,000 times.*corpus\.vocab\.min_ngram_count") as found:
        learn(settings, [TEXT])
    (lowered,) = re.findall(r"min_ngram_count=(\d+) or less", found.value.cure)
    vocab = learn(settings.model_copy(update={"min_ngram_count": int(lowered)}), [TEXT])
    assert isinstance(vocab, NgramVocab)
    assert vocab.ngrams, "the cure works"


def test_an_older_vocabulary_without_ngrams_loads_and_has_no_bags() -> None:
    vocab = NgramVocab.from_json({"n": 3, "ngrams": [], "tokens": ["a"]})
    assert vocab.decode(vocab.encode("a b")) == "a b"
    assert vocab.bags() is None


@given(data=st.binary(max_size=40), start=st.integers(0, 40))
def test_the_hash_of_a_span_comes_from_prefix_sums(data: bytes, start: int) -> None:
    """Compute the hash as the network does, with wrapping 64-bit numbers."""
    powers = np.array([pow(P, k, 1 << 64) for k in range(len(data) + 1)], dtype=np.uint64)
    prefix = np.zeros(len(data) + 1, dtype=np.uint64)
    np.cumsum((np.frombuffer(data, np.uint8).astype(np.uint64) + np.uint64(1)) * powers[:-1], out=prefix[1:])
    start = min(start, len(data))
    inverse = np.uint64(pow(pow(P, start, 1 << 64), -1, 1 << 64))
    span = (prefix[-1:] - prefix[start : start + 1]) * inverse
    assert int(span.view(np.int64)[0]) == ngram_hash(data[start:])


def test_different_ngrams_have_different_hashes() -> None:
    chance = random.Random(0)
    letters = [*"#abcdefghijklmnopqrstuvwxyzабвгдежзийклмнопрстуфхцчшщъыьэюя0123456789中文🙂\x00"]
    names = {"".join(chance.choices(letters, k=chance.randrange(1, 6))).encode() for _ in range(100_000)}
    assert len({ngram_hash(name) for name in names}) == len(names)
    assert ngram_hash(b"") != ngram_hash(b"\x00") != ngram_hash(b"\x00\x00")
