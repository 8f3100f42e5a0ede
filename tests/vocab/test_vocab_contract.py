"""The contract of all vocabularies, run over every member of the union: a registered vocabulary is tested."""

import json
import lzma
import random
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm import formats
from charlm.errors import DataError
from charlm.settings import Settings
from charlm.vocab.base import Vocab, cast_ids
from charlm.vocab.build import load_vocab
from charlm.vocab.settings import (
    CharSettings,
    NgramSettings,
    SentencePieceSettings,
    SymbolsSettings,
    VocabSettings,
    WordSettings,
)
from tests.vocab.learning import learn

TRAINING_TEXTS = ["The quick brown fox\r\n", "Съешь ещё 🙂 e\u0301 \x00\ufeff", "quick quick"]
MEMBERS: tuple[type[Settings], ...] = get_args(get_args(VocabSettings)[0])
VARIANTS: dict[str, Callable[[], Any]] = {
    **{member.model_fields["type"].default: member for member in MEMBERS},
    "char of two": lambda: CharSettings(max_size=2),
    "char seen thrice": lambda: CharSettings(min_count=3),
    "words of all sorts": lambda: WordSettings(min_count=1),
    "n-grams of two": lambda: NgramSettings(min_count=1, n=2, max_ngrams=5),
    "sentencepiece bpe": lambda: SentencePieceSettings(model_type="bpe"),
    "sentencepiece char": lambda: SentencePieceSettings(model_type="char"),
    "symbols seen twice": lambda: SymbolsSettings(min_count=2),
}
SCALARS = st.characters(exclude_categories=("Cs",))
TRAPS = [
    "\u2581",
    "\u2585",
    "<0x41>",
    "<unk>",
    "<eod>",
    "</spell>",
    "  ",
    "\r\n\n",
    "\t",
    "l'été",
    "слово",
    "#",
    "中文",
]
TEXTS = st.text(st.sampled_from("The quick🙂ё\r\n\x00e\u0301\ufeff\ufffd") | SCALARS, max_size=60) | st.lists(
    st.sampled_from([*TRAPS, *"The quick ☃"]), max_size=20
).map("".join)
SURROGATES = [*range(0xD800, 0xDC00, 97), *range(0xDC00, 0xE000, 97), 0xDBFF, 0xDFFF]


@pytest.fixture(scope="module", params=VARIANTS)
def vocab(request: pytest.FixtureRequest) -> Vocab:
    return learn(VARIANTS[request.param](), iter(TRAINING_TEXTS))


@given(text=TEXTS)
@example(text="")
@example(text="\ufffd☃\U0010ffff")
def test_decode_is_the_inverse_of_encode(vocab: Vocab, text: str) -> None:
    ids = vocab.encode(text)
    assert vocab.decode(ids) == text
    assert ids.ndim == 1
    assert not np.any(ids == vocab.eod_id), "<eod> stands for no text"


@given(data=st.data())
def test_the_pieces_of_any_ids_are_their_text(vocab: Vocab, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, vocab.size - 1), max_size=30))
    text, run = "", b""
    for piece in [*map(vocab.piece, ids), ""]:
        if isinstance(piece, int):
            run += bytes([piece])
        else:
            text, run = text + run.decode("utf-8", "replace") + piece, b""
    assert text == vocab.decode(ids)


@pytest.mark.parametrize("step", [17, pytest.param(1, marks=pytest.mark.faults)])
def test_every_scalar_value_survives(vocab: Vocab, step: int) -> None:
    """All of the basic plane; of the other sixteen, every 17th (coprime to all block sizes) and the borders."""
    points = [*range(0xD800), *range(0xE000, 0x10000), *range(0x10000, 0x110000, step), 0x10FFFF]
    for start in range(0, len(points), 0x4000):
        block = "".join(map(chr, points[start : start + 0x4000]))
        ids = vocab.encode(block)
        assert int(ids.min()) >= 0
        assert int(ids.max()) < vocab.size
        assert vocab.decode(ids.tolist()) == block


@given(text=TEXTS)
def test_the_stream_decoder_gives_whole_characters_as_soon_as_they_are_whole(vocab: Vocab, text: str) -> None:
    decoder = vocab.stream_decoder()
    shown = ""
    for character in text:
        pieces = [decoder.push(int(token)) for token in vocab.encode(character)]
        assert "".join(pieces) == character
        shown += "".join(pieces)
    assert decoder.finish() == ""
    assert shown == text


@given(data=st.data())
def test_any_ids_decode_alike_in_a_stream_and_at_once(vocab: Vocab, data: st.DataObject) -> None:
    """The ids that a model samples may be invalid UTF-8."""
    ids = data.draw(st.lists(st.integers(0, vocab.size - 1), max_size=30))
    decoder = vocab.stream_decoder()
    streamed = "".join(decoder.push(token) for token in ids) + decoder.finish()
    assert streamed == vocab.decode(ids)
    streamed.encode("utf-8")
    assert vocab.decode(vocab.encode(streamed)) == streamed


@pytest.mark.parametrize("number", [500, pytest.param(100_000, marks=pytest.mark.faults)])
def test_random_strings_survive_at_once_and_in_a_stream(vocab: Vocab, number: int) -> None:
    chance = random.Random(number)
    alphabets = [
        [*TRAPS, *"The quick brown fox\r\n\t'’-_.,0123456789"],
        [*map(chr, range(0x20, 0x250))],
        [*map(chr, [*range(0x300, 0x600), *range(0x600, 0x1100)])],
        [*map(chr, [*range(0x2000, 0x3100), *range(0x4E00, 0x4F00), *range(0x1F300, 0x1F700)])],
    ]
    for _ in range(number):
        text = "".join(chance.choices(chance.choice(alphabets), k=chance.randrange(40)))
        ids = vocab.encode(text).tolist()
        assert vocab.decode(ids) == text
        assert_shown_one_by_one(vocab, ids, text)


def assert_shown_one_by_one(vocab: Vocab, ids: Iterable[int], text: str) -> None:
    """Each id decodes to whole characters of the text, or to none yet."""
    decoder = vocab.stream_decoder()
    shown = 0
    for token in ids:
        piece = decoder.push(token)
        assert text.startswith(piece, shown), f"{piece!r} instead of {text[shown : shown + 20]!r}"
        shown += len(piece)
    assert shown == len(text)
    assert decoder.finish() == ""


@given(text=TEXTS, data=st.data())
def test_text_can_be_encoded_in_pieces_that_begin_with_a_space(vocab: Vocab, text: str, data: st.DataObject) -> None:
    spaces = [place for place, character in enumerate(text) if character == " "]
    place = data.draw(st.sampled_from([0, *spaces]))
    whole = vocab.encode(text).tolist()
    assert vocab.encode(text[:place]).tolist() + vocab.encode(text[place:]).tolist() == whole
    assert vocab.encode(text).tolist() == whole, "the cache changes the encoding"


FILES = ("plain-text/*", "multilingual/**/*", "tinyshakespeare/*", "wikitext-2-raw/*")


def real_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and text of every file, decompressed."""
    for path in sorted(path for pattern in FILES for path in folder.glob(pattern) if path.is_file()):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield name, archive.read(name).decode("utf-8", errors="replace")
        else:
            content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
            yield path.name, content.decode("utf-8", errors="replace")


@pytest.mark.real_data
@pytest.mark.parametrize("most", [400, pytest.param(10**9, marks=pytest.mark.faults)])
def test_real_text_in_every_script_survives(vocab: Vocab, shared_data: Path, most: int) -> None:
    seen = 0
    for name, text in real_texts(shared_data):
        ids = vocab.encode(text[:most])
        assert vocab.decode(ids) == text[:most], name
        assert_shown_one_by_one(vocab, map(int, ids), text[:most])
        seen += 1
    assert seen > 50


def test_ids_use_the_smallest_type_that_holds_them(vocab: Vocab) -> None:
    assert vocab.id_dtype.kind == "u"
    limit = int(np.iinfo(vocab.id_dtype).max)
    assert limit >= vocab.size - 1
    assert vocab.id_dtype.itemsize == 1 or vocab.size - 1 > 2 ** (4 * vocab.id_dtype.itemsize) - 1
    assert 0 <= vocab.eod_id < vocab.size
    assert cast_ids(np.array([vocab.size - 1]), vocab).tolist() == [vocab.size - 1]


def test_an_id_outside_the_vocabulary_is_never_stored(vocab: Vocab) -> None:
    for token in (-1, vocab.size, 256, 65536):
        if not 0 <= token < vocab.size:
            with pytest.raises(AssertionError):
                cast_ids(np.array([0, token]), vocab)


def test_a_saved_vocabulary_is_the_same_vocabulary(vocab: Vocab, tmp_path: Path) -> None:
    vocab.save(tmp_path)
    loaded = load_vocab(tmp_path)
    text = "".join(TRAINING_TEXTS) + "unseen ☃"
    assert type(loaded) is type(vocab)
    assert (loaded.size, loaded.eod_id, loaded.to_json()) == (vocab.size, vocab.eod_id, vocab.to_json())
    assert loaded.encode(text).tolist() == vocab.encode(text).tolist()
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    loaded.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize("point", SURROGATES)
def test_a_lone_surrogate_is_a_data_error(vocab: Vocab, point: int) -> None:
    with pytest.raises(DataError, match=f"character 2 is the lone surrogate U\\+{point:04X}"):
        vocab.encode(f"ab{chr(point)}c")


def test_every_id_has_a_printable_name_of_its_own(vocab: Vocab) -> None:
    names = [vocab.symbol(token) for token in range(vocab.size)]
    assert all(names)
    assert len(set(names)) == vocab.size
    assert names[vocab.eod_id] == "<eod>"


def test_learning_is_the_same_every_time() -> None:
    for make in VARIANTS.values():
        assert learn(make(), iter(TRAINING_TEXTS)).to_json() == learn(make(), iter(TRAINING_TEXTS)).to_json()


# ---- saved vocabularies that are damaged or hostile


def _hostile() -> dict[str, str]:
    char = {"type": "char", "format": formats.VOCABULARY, "byte_fallback": True, "characters": "ab"}
    wrong: dict[str, Any] = {
        "twice": char | {"characters": "aa"},
        "surrogate": char | {"characters": "a\ud800"},
        "numbers": char | {"characters": [1, 2]},
        "no truth value": char | {"byte_fallback": 1},
        "no characters": {"type": "char", "format": formats.VOCABULARY, "byte_fallback": True},
        "unknown type": char | {"type": "runes"},
        "unhashable type": char | {"type": ["char"]},
        "no format": {"type": "char", "byte_fallback": True, "characters": "ab"},
        "list": [1],
    }
    word = {"type": "word", "format": formats.VOCABULARY, "tokens": ["a", " "]}
    ngram = {"type": "ngram", "format": formats.VOCABULARY, "tokens": ["a", " "], "ngrams": ["#a#"], "n": 3}
    pieces = {"type": "sentencepiece", "format": formats.VOCABULARY, "model_type": "bpe"}
    symbols = {"type": "symbols", "format": formats.VOCABULARY, "byte_fallback": True, "symbols": ["a", "b"]}
    wrong |= {
        "words twice": word | {"tokens": ["a", "a"]},
        "an empty word": word | {"tokens": ["a", ""]},
        "a word no text": word | {"tokens": [1]},
        "words no list": word | {"tokens": "ab"},
        "a word of half a character": word | {"tokens": ["\ud800"]},
        "n no number": ngram | {"n": "3"},
        "n a truth value": ngram | {"n": True},
        "n below one": ngram | {"n": 0, "ngrams": []},
        "an n-gram too long": ngram | {"ngrams": ["#abc"]},
        "an n-gram twice": ngram | {"ngrams": ["#a#", "#a#"]},
        "no n-grams": {key: value for key, value in ngram.items() if key != "ngrams"},
        "a symbol twice": symbols | {"symbols": ["a", "a"]},
        "an empty symbol": symbols | {"symbols": ["a", ""]},
        "a symbol with a blank": symbols | {"symbols": ["a b"]},
        "a symbol of half a character": symbols | {"symbols": ["\ud800"]},
        "symbols no list": symbols | {"symbols": "ab"},
        "symbols without a truth value": symbols | {"byte_fallback": 1},
        "no model": pieces,
        "a model without a size": pieces | {"model": {"sha256": "0" * 64}},
        "a model that is not there": pieces | {"model": {"bytes": 5, "sha256": "0" * 64}},
    }
    raw = {"empty": "", "torn": '{"type": "char"', "deep": "[" * 100_000}
    return {name: json.dumps(content) for name, content in wrong.items()} | raw


@pytest.mark.parametrize("content", list(_hostile().values()), ids=list(_hostile()))
def test_a_damaged_vocabulary_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocab.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError):
        load_vocab(tmp_path)


def test_a_missing_and_a_newer_vocabulary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        load_vocab(tmp_path)
    newer = {"type": "runes", "format": formats.VOCABULARY + 1}
    (tmp_path / "vocab.json").write_text(json.dumps(newer), encoding="utf-8")
    with pytest.raises(DataError, match="upgrade"):
        load_vocab(tmp_path)


# ---- characters


@given(texts=st.lists(TEXTS, min_size=1), min_count=st.integers(1, 4), max_size=st.none() | st.integers(2, 8))
@hypothesis_settings(suppress_health_check=[HealthCheck.filter_too_much], max_examples=30)
def test_the_most_frequent_characters_are_known(texts: list[str], min_count: int, max_size: int | None) -> None:
    together = "".join(texts)
    settings = CharSettings(min_count=min_count, max_size=max_size)
    if len(set(together)) < 2:
        with pytest.raises(DataError, match=f"{len(set(together))} different characters"):
            learn(settings, texts)
        return
    vocab = learn(settings, texts)
    known: str = vocab.to_json()["characters"]
    assert vocab.size == 257 + len(known)
    counts = {character: together.count(character) for character in together}
    enough = {character for character, count in counts.items() if count >= min_count}
    assert set(known) <= enough
    assert len(known) == min(len(enough), max_size or len(enough))
    assert [counts[character] for character in known] == sorted((counts[c] for c in known), reverse=True)
    assert max((counts[c] for c in enough - set(known)), default=0) <= min((counts[c] for c in known), default=0)


@pytest.mark.parametrize("text", ["", "a", "aaaa"])
def test_one_character_is_no_vocabulary(text: str) -> None:
    with pytest.raises(DataError, match="different characters"):
        learn(CharSettings(), [text])


def test_without_byte_fallback_an_unknown_character_is_named() -> None:
    vocab = learn(CharSettings(byte_fallback=False), ["abc"])
    assert vocab.size == 4
    assert vocab.decode(vocab.encode("cab")) == "cab"
    with pytest.raises(DataError, match=r"'☃' \(U\+2603\).*byte_fallback"):
        vocab.encode("ab☃")


def test_140_000_characters_fit() -> None:
    text = "".join(chr(point) for point in range(0x20000, 0x20000 + 140_000))
    vocab = learn(CharSettings(), [text])
    assert (vocab.size, vocab.id_dtype) == (140_257, np.uint32)
    assert vocab.decode(cast_ids(vocab.encode(text), vocab)) == text
