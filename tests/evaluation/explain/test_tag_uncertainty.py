"""Uncertain tags: parts with whole characters and whole words, in the colours of the least certain tag."""

import json
import math

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import DataError
from charlm.evaluation.explain.colours import ON_DARK, bits_to_level
from charlm.evaluation.explain.draw_tags import TagDrawing
from charlm.evaluation.explain.page import render_page
from charlm.evaluation.explain.tags import Span, TagExplanation, explain_tags
from charlm.evaluation.explain.terminal import ColourDepth, render_lines, summary_lines
from charlm.evaluation.explain.visible import escape_invisible_lines
from tests.evaluation.explain.test_page import HOSTILE, Page
from tests.evaluation.explain.test_terminal import TEXTS, plain

NAMES = ("NOUN", "</script><b>\x1b", "VERB", "X")


def tagged(text: str, spans: list[Span], *, top: int = 5, seed: int = 0) -> TagExplanation:
    """Random probabilities, and random tags of them."""
    generator = np.random.default_rng(seed)
    p_PL = generator.dirichlet(np.full(len(NAMES), 0.4), len(spans)).astype(np.float32) + 1e-6
    chosen = generator.integers(0, len(NAMES), len(spans))
    return explain_tags(text, NAMES, spans, chosen, np.log(p_PL), top=top)


def words(text: str) -> list[Span]:
    return [found.span() for found in regex.finditer(r"\S+", text)]


def characters(text: str) -> list[Span]:
    return [(index, index + 1) for index, character in enumerate(text) if not character.isspace()]


@given(text=TEXTS, by_word=st.booleans())
def test_parts_hold_whole_tags_and_whole_characters(text: str, by_word: bool) -> None:
    found = tagged(text, words(text) if by_word else characters(text))
    drawing = TagDrawing(found)
    assert "".join(part.text for part in drawing.parts()) == text
    ends = {each.end() for each in regex.finditer(r"\X", text)}
    assert {unit.end for unit in found.units} <= ends
    assert [tag for unit in found.units for tag in range(unit.first, unit.after_last)] == [*range(len(found.spans))]
    for unit in found.units:
        bits = [found.bits_P[tag] for tag in range(unit.first, unit.after_last)]
        assert all(unit.start <= start < end <= unit.end for start, end in found.spans[unit.first : unit.after_last])
        assert found.unit_bits(unit) == max(bits, default=0)
    lines = list(render_lines(drawing, ColourDepth.TRUE, ON_DARK))
    assert "\n".join(map(plain, lines[:-2])).rstrip("\n") == escape_invisible_lines(text).rstrip("\n")
    assert not any("\x1b" in line for line in summary_lines(drawing))


def test_bits_ranks_and_alternatives_are_those_of_the_probabilities() -> None:
    p_PL = np.array([[0.5, 0.125, 0.25, 0.125], [0.125, 0.625, 0.125, 0.125]], dtype=np.float32)
    found = explain_tags("ab cd", NAMES, [(0, 2), (3, 5)], np.array([2, 1]), np.log(p_PL), top=2)
    assert found.bits_P == pytest.approx([2, -math.log2(0.625)], abs=1e-6)
    assert found.surprisals.ranks_P.tolist() == [2, 1]
    assert found.alternatives(0) == [("NOUN", pytest.approx(0.5)), ("VERB", pytest.approx(0.25))]
    first = found.to_json()["tags"][0]
    assert (first["tag"], first["characters"], len(first["alternatives"])) == ("VERB", [0, 2], 2)
    (places,) = TagDrawing(found).places()
    assert [(place.text, place.bits, place.part) for place in places.places] == [("ab", "2.00", 0), ("cd", "0.68", 2)]
    assert places.places[0].detail == "VERB; else NOUN 50 %"
    assert places.places[1].detail.startswith(r"</script><b>\x1b; else NOUN 12.5 %")


def test_a_text_without_tags_is_said() -> None:
    drawing = TagDrawing(tagged(" \n ", []))
    assert list(summary_lines(drawing)) == ["no character has a tag; 3 characters, 0 tags"]
    assert [part.level for part in drawing.parts()] == [0]
    assert drawing.to_json()["tags"] == []
    Page("".join(render_page(drawing, "a")))


@pytest.mark.parametrize("by_word", [True, False])
def test_the_page_holds_what_was_found(by_word: bool) -> None:
    found = tagged(HOSTILE, words(HOSTILE) if by_word else characters(HOSTILE), top=2)
    page = Page("".join(render_page(TagDrawing(found), HOSTILE)))
    data = json.loads(page.scripts[0])
    assert "".join(content for _, content in page.characters) == escape_invisible_lines(HOSTILE)
    assert [int(attributes["class"][1:]) for attributes, _ in page.characters] == [
        bits_to_level(found.unit_bits(unit)) for unit in found.units
    ]
    assert len(data["sizes"]) == len(page.characters)
    assert sum(data["sizes"]) == len(found.spans)
    assert np.array(data["bits"]) / 1000 == pytest.approx(found.bits_P, abs=6e-4)
    shown = [data["symbols"][index] for index in data["ids"]]
    assert [name.replace(r"\x1b", "\x1b") for name in shown] == [found.name(tag) for tag in range(len(found.spans))]
    assert (data["noun"], data["top"], len(data["top_ids"])) == ("tag", 2, 2 * len(found.spans))
    assert not {"b", "img"} & {tag for tag, attributes in page.elements if "class" not in attributes}
    assert len(page.scripts) == 2


def test_overflowing_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="overflow"):
        explain_tags("a", NAMES, [(0, 1)], np.array([0]), np.full((1, 4), np.nan, dtype=np.float32), top=1)
