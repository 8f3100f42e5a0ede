"""Texts cut at whole characters and whole tokens, with every vocabulary."""

import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.evaluation.explain.text_units import TextUnits, find_text_units
from charlm.vocab.base import Vocab
from tests.evaluation.explain.models import VARIANTS, vocab_of

FAMILY = "👩\u200d👩\u200d👧"
TRAPS = [
    "\u2581",
    "<0x41>",
    "</spell>",
    "  ",
    "\r\n\n",
    "l'été",
    "слово",
    "中文",
    FAMILY,
    "e\u0301",
    "हिन्दी",
    "\ufffd",
    "☃",
]
TEXTS = st.lists(
    st.sampled_from([*TRAPS, *"The quick \n"]) | st.characters(exclude_categories=("Cs",)), max_size=25
).map("".join)


@pytest.fixture(scope="module", params=VARIANTS)
def vocab(request: pytest.FixtureRequest) -> Vocab:
    return vocab_of(request.param)


def units_of(text: str, vocab: Vocab) -> TextUnits:
    return find_text_units(text, vocab.encode(text).tolist(), vocab)


def pieces(text: str, units: TextUnits) -> list[str]:
    ends = units.text_ends_U.tolist()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(text=TEXTS)
@example(text="")
@example(text="\u0301")
@example(text="a\u0301" * 300)
def test_units_are_whole_characters_of_whole_tokens(vocab: Vocab, text: str) -> None:
    ids, units = vocab.encode(text), units_of(text, vocab)
    assert "".join(pieces(text, units)) == text
    start = 0
    for piece, end, clusters in zip(pieces(text, units), units.token_ends_U, units.clusters_U, strict=True):
        assert end > start
        assert vocab.decode(ids[start:end]) == piece != ""
        assert len(regex.findall(r"\X", piece)) == clusters
        start = end
    assert start == len(ids)
    assert "\n".join(regex.findall(r"\X", text)) == "\n".join(
        cluster for piece in pieces(text, units) for cluster in regex.findall(r"\X", piece)
    ), "no cluster of the text is cut"


@given(text=TEXTS)
def test_units_are_as_small_as_can_be(vocab: Vocab, text: str) -> None:
    """Characters alone, unless a token joins them: with each character a token, or some, there is one unit each."""
    if vocab.type in ("char", "byte"):
        assert pieces(text, units_of(text, vocab)) == regex.findall(r"\X", text)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("char", "xe\u0301y", ["x", "e\u0301", "y"]),
        ("char of two", f"quick{FAMILY}!", [*"quick", FAMILY, "!"]),
        ("byte", "é東", ["é", "東"]),
        ("words of all sorts", "quick fox", ["quick", " ", "fox"]),
        ("words of all sorts", "quick\u0301 fox", [*"quic", "k\u0301", " ", "fox"]),
        ("n-grams of two", "quick zebra fox", ["quick", " ", *"zebra", " ", "fox"]),
    ],
)
def test_some_texts(name: str, text: str, expected: list[str]) -> None:
    assert pieces(text, units_of(text, vocab_of(name))) == expected


def test_marks_around_a_spelled_word_belong_to_its_first_and_last_letter() -> None:
    vocab = vocab_of("n-grams of two")
    text = "☃zeb ☃ zé"
    ids, units = vocab.encode(text).tolist(), units_of(text, vocab)
    names = [vocab.symbol(token) for token in ids]
    spans = zip([0, *units.token_ends_U.tolist()], units.token_ends_U.tolist(), strict=False)
    spelled = [names[start:end] for start, end in spans]
    assert spelled[0] == ["<0xE2>", "<0x98>", "<0x83>"]
    assert spelled[1:4] == [["<spell>", "<0x7A>"], ["<0x65>"], ["<0x62>", "</spell>"]]
    assert spelled[-1] == ["<0xC3>", "<0xA9>", "</spell>"]


def test_a_long_text_in_one_pass(vocab: Vocab) -> None:
    text = "The quick ☃ e\u0301 " * 2_000
    units = units_of(text, vocab)
    assert int(units.clusters_U.sum()) == 14 * 2_000
    assert (np.diff(units.text_ends_U) > 0).all()
