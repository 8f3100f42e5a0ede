"""Changes of characters that tags reverse: the text comes back exactly, whatever it is."""

import unicodedata
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.text.examples.reversible_changes import CHANGES, find_marks, name_marks
from charlm.text.examples.settings import ChangeName

SCALARS = st.characters(exclude_categories=["Cs"])
TRICKY = st.sampled_from(
    [
        *"aAeEéÉệĐđöÖ \n\tßİıΣςσǅǆKÅµ각क़ñnйёẤ",
        "\u0301",
        "\u0323",
        "\u0302",
        "\u3000",
        "ﬁ",
        "q\u0303",
        "\u212a",
        "\u212b",
        "\u00b5",
    ]
)
TEXTS = st.lists(st.one_of(SCALARS, TRICKY)).map("".join)


@pytest.mark.parametrize("name", CHANGES)
@given(text=TEXTS)
def test_the_text_comes_back(name: str, text: str) -> None:
    change = CHANGES[name]
    changed, tags, _ = change.change(text)
    assert len(changed) == len(tags)
    assert change.restore(changed, tags) == text


@pytest.mark.parametrize("name", CHANGES)
@given(text=TEXTS)
def test_where_tags_are_asked_follows_from_the_changed_text(name: str, text: str) -> None:
    changed, tags, _ = CHANGES[name].change(text)
    assert CHANGES[name].is_asked(changed) == [tag is not None for tag in tags]


EXAMPLES = {
    "marks": ("Né ệ 1", "Ne e 1", ("none", "acute accent", None, "dot below+circumflex accent", None, None)),
    "case": ("Né 1", "né 1", ("upper", "lower", None, None)),
    "blanks": ("a b\nc", "ab\nc", ("blank", "none", None, "none")),
}


def test_every_change_has_an_example() -> None:
    assert EXAMPLES.keys() == CHANGES.keys()
    assert tuple(CHANGES) == get_args(ChangeName)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_changed(name: str) -> None:
    text, changed, tags = EXAMPLES[name]
    assert CHANGES[name].change(text) == (changed, tags, 0)


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("marks", "e\u0301", 1),  # decomposed: composition would not give it back
        ("marks", "\u212b", 1),  # ANGSTROM SIGN
        ("marks", "각각", 0),  # a syllable has no marks
        ("case", "İǅ", 2),
        ("case", "ßıς", 0),  # lower case already
        ("blanks", "a  b", 2),
        ("blanks", " a", 1),
        ("blanks", "a ", 0),
    ],
)
def test_what_cannot_be_restored_stays_and_is_counted(name: str, text: str, count: int) -> None:
    changed, tags, num_kept = CHANGES[name].change(text)
    assert num_kept == count
    if count:
        assert changed == text
        assert set(tags) - {None} <= {"none"}


def test_every_mark_has_a_name_of_its_own() -> None:
    marks = [chr(point) for point in range(0x110000) if unicodedata.combining(chr(point))]
    names = [name_marks(mark) for mark in marks]
    assert len(set(names)) == len(marks) > 800
    assert [find_marks(name) for name in names] == marks


@pytest.mark.parametrize("name", CHANGES)
def test_tags_of_something_else_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="VERB"):
        CHANGES[name].restore("a", ["VERB"])
