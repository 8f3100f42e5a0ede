"""Resampling units hold every token and every character once, and are equal for all vocabularies."""

from pathlib import Path

import numpy as np
import pytest

from charlm.data.corpus import Corpus
from charlm.errors import DataError
from charlm.evaluation.resampling_units import find_bootstrap_units
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


def test_a_split_without_text_is_refused(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, {"a.txt": "abc " * 300})
    stream = corpus.open("train")
    empty = type(stream)(stream.tokens[:1], stream.documents[:0])
    with pytest.raises(DataError, match="no text"):
        find_bootstrap_units(empty, corpus.vocab)
