"""SentencePiece in charlm: training is deterministic, its special characters survive, damaged models are refused."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import DataError
from charlm.vocab.build import load_vocab
from charlm.vocab.line_sample import MAX_LINE_LENGTH, LineSample
from charlm.vocab.sentencepiece import MODEL_FILE, SentencePieceVocab
from charlm.vocab.settings import SentencePieceSettings
from tests.vocab.learning import learn

WORDS = "the quick brown fox jumps over lazy dogs and cats while snow falls on old roofs <0x41> <unk>".split()
KINDS = ("unigram", "bpe", "char")


def prose(seed: int, num_words: int = 4_000) -> str:
    chance = random.Random(seed)
    return "".join(chance.choice(WORDS) + chance.choice((" ", " ", " ", ", ", ".\n")) for _ in range(num_words))


def learned(
    kind: str = "unigram", *, vocab_size: int = 512, texts: tuple[str, ...] = (prose(0),)
) -> SentencePieceVocab:
    vocab = learn(SentencePieceSettings.model_validate({"model_type": kind, "vocab_size": vocab_size}), texts)
    assert isinstance(vocab, SentencePieceVocab)
    return vocab


@pytest.mark.parametrize("kind", KINDS)
def test_learning_gives_the_same_bytes_in_any_order_of_the_texts(kind: str) -> None:
    texts = tuple(prose(seed, 1_000) for seed in range(4))
    assert learned(kind, texts=texts).model == learned(kind, texts=texts[::-1]).model


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_shorter_than_characters_and_keep_what_sentencepiece_reserves(kind: str) -> None:
    vocab = learned(kind)
    text = prose(1) + "\u2581 \u2585 \x00 <0x41>\t\t<s> \u2581\u2581"
    ids = vocab.encode(text)
    assert vocab.decode(ids) == text
    assert vocab.eod_id not in ids
    if kind != "char":
        assert len(ids) < len(text) / 2
    assert vocab.encode("\n").tolist() == [1]
    assert vocab.encode("\u2581").tolist() == [vocab.first_byte_id + byte for byte in "\u2581".encode()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["ab" * 2_000, "".join(map(chr, range(0x20000, 0x24000))), "a\n" * 500])
def test_a_space_is_one_id_even_where_the_training_text_has_none(kind: str, text: str) -> None:
    """Otherwise SentencePiece would encode its mark for a space as bytes, which is another character."""
    vocab = learned(kind, texts=(text,))
    assert len(vocab.encode(" ")) == 1
    assert vocab.decode(vocab.encode(" a  b ")) == " a  b "


def test_rare_characters_never_crowd_out_the_pieces() -> None:
    """Few of a hundred thousand different characters are pieces, but all can be encoded."""
    rare = "".join(map(chr, range(0x20000, 0x20000 + 100_000)))
    vocab = learned("bpe", texts=(prose(0), rare))
    assert vocab.size <= 512
    assert vocab.decode(vocab.encode(rare[::1000] + "the fox")) == rare[::1000] + "the fox"


def test_a_text_without_any_space_is_encoded_in_stretches() -> None:
    vocab = learned()
    text = "cats\u2028и☃" * 30_000
    assert vocab.decode(vocab.encode(text)) == text


@pytest.mark.parametrize("text", ["", "a", "aaaa" * 1000])
def test_one_character_is_no_vocabulary(text: str) -> None:
    with pytest.raises(DataError, match="different characters"):
        learned(texts=(text,))


# ---- the sample


@given(
    texts=st.lists(st.text("ab\n", max_size=30), max_size=8, unique=True),
    limit=st.integers(1, 100),
    cuts=st.lists(st.integers(0, 8), min_size=2, max_size=2),
)
def test_the_sample_does_not_depend_on_who_read_what(texts: list[str], limit: int, cuts: list[int]) -> None:
    whole = LineSample(limit)
    for text in texts:
        whole.add(text)
    first, last = sorted(cuts)
    merged = LineSample(limit)
    for some in (texts[last:], texts[:first], texts[first:last]):
        part = LineSample(limit)
        for text in some:
            part.add(text)
        merged.merge(part)
    lines = [line for text in texts for line in text.split("\n") if line]
    assert merged.lines() == whole.lines()
    assert sum(map(len, whole.lines())) <= limit
    assert not [line for line in whole.lines() if line not in lines]
    if sum(map(len, lines)) <= limit:
        assert sorted(whole.lines()) == sorted(lines)


def test_the_sample_is_drawn_evenly() -> None:
    sample = LineSample(20_000)
    for number in range(1_000):
        sample.add("\n".join(f"{number * 100 + line:06d}" for line in range(100)))
    numbers = [int(line) for line in sample.lines()]
    assert 3_300 <= len(numbers) <= 3_333
    assert abs(sum(numbers) / len(numbers) - 50_000) < 2_000
    assert sum(number < 10_000 for number in numbers) == pytest.approx(333, abs=80)


def test_long_lines_are_cut() -> None:
    sample = LineSample(10**6)
    sample.add("x" * (2 * MAX_LINE_LENGTH + 1))
    assert sorted(map(len, sample.lines())) == [1, MAX_LINE_LENGTH, MAX_LINE_LENGTH]


# ---- damaged and hostile models


def saved(folder: Path, model: bytes, *, honest: bool = True) -> Path:
    """Save a vocabulary with these model bytes; its hash in vocab.json is right or (not honest) that of other bytes."""
    vocab = learned()
    vocab.save(folder)
    (folder / MODEL_FILE).write_bytes(model)
    if honest:
        content = json.loads((folder / "vocab.json").read_text())
        content["model"] = {"bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()}
        (folder / "vocab.json").write_text(json.dumps(content))
    return folder


def test_a_flipped_bit_a_missing_and_a_longer_model_are_refused(tmp_path: Path) -> None:
    model = learned().model
    for wrong in (bytes([model[0] ^ 1]) + model[1:], model + b"\0", model[:-1], b""):
        with pytest.raises(DataError, match="damaged"):
            load_vocab(saved(tmp_path, wrong, honest=False))
    (tmp_path / MODEL_FILE).unlink()
    with pytest.raises(DataError, match=r"vocab\.model is missing"):
        load_vocab(tmp_path)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    for wrong in (b"", b"\x80\x04.", b"\xff" * 100, learned().model[:1000], b"\n\0" * 10_000):
        with pytest.raises(DataError, match="damaged"):
            load_vocab(saved(tmp_path, wrong))


@pytest.mark.parametrize("number", [100, pytest.param(3_000, marks=pytest.mark.faults)])
def test_a_hostile_model_is_refused_or_loses_nothing(number: int) -> None:
    chance = random.Random(number)
    model = learned().model
    accepted = 0
    for _ in range(number):
        wrong = bytearray(model)
        for _ in range(chance.randrange(1, 5)):
            last = 300 if chance.random() < 0.5 else len(wrong)  # the settings lie at the end
            wrong[-chance.randrange(1, last)] = chance.randrange(256)
        try:
            vocab = SentencePieceVocab(bytes(wrong), "unigram")
        except ValueError:
            continue
        accepted += 1
        text = prose(chance.randrange(9), 50)
        assert vocab.decode(vocab.encode(text)) == text
        assert all(vocab.symbol(token) for token in range(vocab.size))
    assert accepted < number
