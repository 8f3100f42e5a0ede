"""The part of a sample that occurs verbatim in the texts, compared with a search by Python's `in`."""

import random
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.data.corpus import Corpus
from charlm.data.documents import DocumentWriter
from charlm.errors import DataError
from charlm.sampling.novelty import Novelty, measure_novelty, training_texts
from charlm.text.document import Document
from charlm.text.split import Part
from charlm.vocab.base import HASH_BASE
from tests.corpora import TINY, UNSEEN


def searched(samples: Sequence[str], texts: Sequence[str], order: int) -> list[Novelty]:
    found: list[Novelty] = []
    for sample in samples:
        spans = ((start, size) for size in range(len(sample), 0, -1) for start in range(len(sample) - size + 1))
        passages = (sample[start : start + size] for start, size in spans)
        longest = next((passage for passage in passages if any(passage in text for text in texts)), "")
        ngrams = [sample[start : start + order] for start in range(len(sample) - order + 1)]
        num_found = sum(any(ngram in text for text in texts) for ngram in ngrams)
        found.append(Novelty(longest, num_found / len(ngrams) if ngrams else None))
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """Samples and texts in pieces, over so few characters that much of them is equal."""
    texts = st.text(draw(st.sampled_from(["ab", "abc", "aж🙂\U0010ffff\x00"])), max_size=50)
    samples = draw(st.lists(texts, max_size=4))
    return samples, draw(st.lists(st.lists(texts, max_size=3), max_size=4))


@given(cases(), st.integers(1, 6), st.sampled_from([1, 2, 5, 17, 1000]), st.sampled_from([HASH_BASE, 1]))
def test_the_result_is_that_of_a_plain_search(
    case: tuple[list[str], list[list[str]]], order: int, chunk: int, base: int
) -> None:
    samples, texts = case
    expected = searched(samples, ["".join(pieces) for pieces in texts], order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.sampling.novelty.HASH_BASE", base)  # base 1: all anagrams have one hash
        assert measure_novelty(samples, map(iter, texts), order=order, chunk=chunk) == expected
        assert measure_novelty(samples, ["".join(pieces) for pieces in texts], order=order, chunk=chunk) == expected


@pytest.mark.parametrize("chunk", [300, 1 << 17])
def test_long_passages_of_any_length_are_found(chunk: int) -> None:
    generator = random.Random(1)
    text = "".join(generator.choices("абвгд ", k=20_000))
    sizes = [*range(1, 40), *range(50, 800, 50)]
    starts = [generator.randrange(len(text) - size) for size in sizes]
    samples = [f"!{text[start : start + size]}?" * 2 for start, size in zip(starts, sizes, strict=True)]
    for found, size in zip(measure_novelty(samples, [text], chunk=chunk), sizes, strict=True):
        num_found = 2 * max(0, size - 9)
        assert (len(found.longest), found.share) == (size, num_found / (2 * size - 5) if size > 2 else None)


def test_the_training_text_itself_is_not_new(tiny_corpus: Corpus) -> None:
    texts = ["".join(pieces) for pieces in training_texts(tiny_corpus)]
    assert "".join(TINY.values()).startswith("".join(texts))
    assert len(texts) >= 3
    assert measure_novelty(texts, training_texts(tiny_corpus)) == [Novelty(text, 1.0) for text in texts]
    assert measure_novelty([UNSEEN * 10, texts[0] + texts[1]], training_texts(tiny_corpus)) == searched(
        [UNSEEN * 10, texts[0] + texts[1]], texts, 10
    )


def test_a_passage_runs_across_pieces_not_across_documents(tiny_corpus: Corpus, tmp_path: Path) -> None:
    parts = [
        Part(Document("1", "", "one two "), 0, is_last_part=False),
        Part(Document("1", "", "three "), 1, is_last_part=False),
        Part(Document("1", "", "four"), 2),
        Part(Document("2", "", "five "), 0, is_last_part=False),  # its middle belongs to another split
        Part(Document("2", "", "seven"), 2),
        Part(Document("3", "", "eight"), 0, is_last_part=False),  # and so does the end of this one
        Part(Document("4", "", "nine")),
        Part(Document("5", "", "")),
    ]
    with DocumentWriter(tmp_path / "documents", "train") as writer:
        for part in parts:
            writer.add(part)
    corpus = replace(tiny_corpus, directory=tmp_path)
    texts = ["one two three four", "five ", "seven", "eight", "nine", ""]
    assert ["".join(pieces) for pieces in training_texts(corpus)] == texts
    assert sum(1 for _ in training_texts(corpus)) == len(texts), "a text need not be read to its end"
    samples = ["two three four", "fourfive", "five seven", "eightnine"]
    found = measure_novelty(samples, training_texts(corpus), order=5, chunk=4)
    assert [sample.longest for sample in found] == ["two three four", "four", "five ", "eight"]
    assert [sample.share for sample in found] == [1.0, 0.0, 2 / 6, 1 / 5]


def test_equal_hashes_are_checked_by_their_characters() -> None:
    sample = "a"
    for _ in range(11):  # the Thue-Morse sequence and its negative have equal hashes for any base
        sample += sample.translate({ord("a"): "b", ord("b"): "a"})
    text = sample.translate({ord("a"): "b", ord("b"): "a"})
    assert (
        len({sum(ord(c) * pow(HASH_BASE, k, 2**64) for k, c in enumerate(string)) % 2**64 for string in (sample, text)})
        == 1
    )
    (found,) = measure_novelty([sample], [text], order=len(sample))
    size = len(found.longest)
    assert found.share == 0
    assert found.longest in sample
    assert found.longest in text
    assert not any(sample[start : start + size + 1] in text for start in range(len(sample) - size))


@pytest.mark.parametrize(
    ("sample", "longest", "share"),
    [
        ("a" * 10_000, "a" * 10_000, 1.0),
        ("b" + "a" * 9_999 + "b", "a" * 9_999, 9_990 / 9_992),
        ("ab" * 5_000, "a", 0.0),
    ],
)
def test_a_long_run_of_one_character_is_fast(sample: str, longest: str, share: float) -> None:
    text = ["a" * 300_000] * 2
    assert measure_novelty([sample] * 3, [text, "c" * 300_000]) == [Novelty(longest, share)] * 3


def test_empty_samples_and_texts_are_fine() -> None:
    assert measure_novelty([], ["text"]) == []
    assert measure_novelty(["", "some text"], []) == [Novelty("", None), Novelty("", None)]
    assert measure_novelty(["", "text"], ["", []], order=4) == [Novelty("", None), Novelty("", 0.0)]


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(DataError, match="lone surrogate"):
        measure_novelty(["text"], ["\ud800"])


def test_memory_does_not_grow_with_the_text() -> None:
    generator = random.Random(1)
    words = ["".join(generator.choices("абвгдежзийклмн", k=generator.randint(1, 9))) for _ in range(3_000)]
    piece = " ".join(generator.choices(words, k=40_000))

    def pieces() -> Iterator[str]:
        for start in range(20_000_000 // len(piece) + 1):
            yield piece[start:]

    samples = [" ".join(generator.choices(words, k=60)) for _ in range(8)]
    tracemalloc.start()
    try:
        found = measure_novelty([*samples, piece[5_000:5_500]], [pieces()])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found[-1] == Novelty(piece[5_000:5_500], 1.0)
    assert all(new.longest in piece and new.share is not None and new.share < 1 for new in found[:-1])
    assert peak < 16e6
