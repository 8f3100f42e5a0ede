"""Resampling units hold every token and every character once, and are equal for all vocabularies."""

from pathlib import Path

import numpy as np
import pytest

from charlm.data.corpus import Corpus
from charlm.data.store import encode_parts, stream_of
from charlm.errors import DataError
from charlm.evaluation.resampling_units import find_bootstrap_units
from charlm.text.document import Document
from charlm.text.split import Part
from charlm.vocab.base import Vocab
from charlm.vocab.byte import ByteVocab
from charlm.vocab.char import CharVocab
from charlm.vocab.settings import ByteSettings, CharSettings, NgramSettings, VocabSettings, WordSettings
from tests.corpora import build_corpus

LONG = {"a.txt": "Съешь ещё этих мягких булок, café 東京 🙂 да выпей чаю. " * 900, "b.txt": "Short. " * 40}
MANY = {f"{number:03d}.txt": "слово за слово " * (1 + number % 7) for number in range(300)}
VOCABULARIES = [CharSettings(min_count=2), ByteSettings(), WordSettings(), NgramSettings()]


@pytest.fixture(scope="module", params=["blocks", "documents"])
def corpora(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Corpus]:
    texts = LONG if request.param == "blocks" else MANY

    def build(index: int, vocab: VocabSettings) -> Corpus:
        return build_corpus(tmp_path_factory.mktemp(f"corpus{index}"), texts, vocab=vocab)

    return [build(index, vocab) for index, vocab in enumerate(VOCABULARIES)]


def test_every_token_and_character_is_in_one_unit(corpora: list[Corpus]) -> None:
    for corpus in corpora:
        stream = corpus.open("train")
        units = find_bootstrap_units(stream, corpus.vocab)
        assert units.characters.sum() == stream.count("characters")
        assert (np.diff(units.starts) > 0).all()
        nats = np.random.default_rng(0).random(stream.num_predictions, dtype=np.float32)
        assert units.sum_nats(nats).sum() == pytest.approx(nats.sum(dtype=np.float64))
        assert (units.sum_nats(nats) > 0).all()


def test_units_are_the_same_for_every_vocabulary(corpora: list[Corpus]) -> None:
    first, *others = (find_bootstrap_units(corpus.open("train"), corpus.vocab) for corpus in corpora)
    for other in others:
        assert other.kind == first.kind
        np.testing.assert_array_equal(other.characters, first.characters)


def test_blocks_hold_the_characters_they_say(corpora: list[Corpus]) -> None:
    """Up to a token that crosses a border; a character in bytes is counted where it begins."""
    for corpus in corpora:
        stream = corpus.open("train")
        units = find_bootstrap_units(stream, corpus.vocab)
        ends = np.append(units.starts[1:], len(stream.tokens))
        held = [len(corpus.vocab.decode(stream.tokens[a:b])) for a, b in zip(units.starts, ends, strict=True)]
        longest = max(len(corpus.vocab.decode([token])) for token in range(corpus.vocab.size))
        assert np.abs(np.array(held) - units.characters).max() <= longest + 1


@pytest.mark.parametrize("num_documents", [1, 19, 20])
@pytest.mark.parametrize("vocab", [CharVocab("abc def"), ByteVocab()], ids=["char", "byte"])
def test_parts_of_a_document_are_one_document(vocab: Vocab, num_documents: int) -> None:
    """A long text is stored in parts, of which only the last has an <eod> after it."""
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("abc déf"), size=3000)) for _ in range(num_documents)]
    whole = encode_parts((Part(Document(str(number), "", text)) for number, text in enumerate(texts)), vocab)
    in_parts = encode_parts(
        (
            Part(Document(str(number), "", text[start : start + 700]), start // 700, start + 700 >= len(text))
            for number, text in enumerate(texts)
            for start in range(0, len(text), 700)
        ),
        vocab,
    )
    assert len(in_parts.documents) == 5 * num_documents
    np.testing.assert_array_equal(in_parts.ids, whole.ids)
    expected, found = (find_bootstrap_units(stream_of(each, vocab), vocab) for each in (whole, in_parts))
    assert found.kind == expected.kind == ("blocks" if num_documents < 20 else "documents")
    np.testing.assert_array_equal(found.starts, expected.starts)
    np.testing.assert_array_equal(found.characters, expected.characters)


def test_a_split_without_text_is_refused(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, {"a.txt": "abc " * 300})
    stream = corpus.open("train")
    empty = type(stream)(stream.tokens[:1], stream.documents[:0])
    with pytest.raises(DataError, match="no text"):
        find_bootstrap_units(empty, corpus.vocab)
