"""The page: whole in one file, every text in it no more than text, and all figures of the cards in its data."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlm.errors import StorageError
from charlm.evaluation.explain import cards as cards_module
from charlm.evaluation.explain.colours import bits_to_level
from charlm.evaluation.explain.draw_surprisals import SurprisalDrawing
from charlm.evaluation.explain.explanation import Explanation
from charlm.evaluation.explain.page import render_page, write_page
from charlm.evaluation.explain.visible import escape_invisible_lines
from charlm.vocab.settings import WordSettings
from tests.evaluation.explain.models import VARIANTS, drawn, explained, vocab_of
from tests.vocab.learning import learn

HOSTILE = "</script><script>alert(1)</script> <!-- <img src=x onerror=y> \"'&lt; ]]> \x00\x1b\u202e </i></p></div>\r\n"
_VOID = {"meta", "input", "br", "img"}


class Page(HTMLParser):
    """Elements with their attributes, the text of each <i>, and the content of scripts; an open element is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.characters: list[tuple[dict[str, str], str]] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "i":
            self.characters.append((attributes, ""))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["i"]:
            attributes, text = self.characters.pop()
            self.characters.append((attributes, text + data))
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)


def page_of(found: Explanation, name: str = "runs/a") -> Page:
    return Page("".join(render_page(SurprisalDrawing(found), name)))


def columns(page: Page) -> dict[str, Any]:
    return json.loads(page.scripts[0])


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_page_holds_what_was_found(name: str, direction: str) -> None:
    is_backward = direction == "backward"
    text = "The quick ☃ fox\n\ne\u0301 👩\u200d👧 zebra" * 30
    found = explained(text, vocab_of(name), direction="backward" if is_backward else "forward", top=4)
    page = page_of(found)
    end = page.characters.pop(0 if is_backward else -1)
    assert end[1] == "<eod>"
    assert "".join(content for _, content in page.characters) == escape_invisible_lines(text)
    assert [int(attributes["class"][1:]) for attributes, _ in page.characters] == list(
        map(bits_to_level, found.bits_per_cluster_U)
    )
    clusters = [int(attributes.get("data-characters", 1)) for attributes, _ in page.characters]
    assert clusters == found.units.clusters_U.tolist()

    data, surprisals = columns(page), found.surprisals
    sizes = np.diff(found.units.token_ends_U, prepend=0).tolist()
    assert data["sizes"] == ([1, *sizes] if is_backward else [*sizes, 1])
    assert [data["symbols"][place] for place in data["ids"]] == [
        found.name(token) for token in surprisals.ids_P.tolist()
    ]
    assert np.array(data["bits"]) / 1000 == pytest.approx(surprisals.nats_P / np.log(2), abs=6e-4)
    assert data["ranks"] == surprisals.ranks_P.tolist()
    assert data["top"] == 4
    likeliest = [data["symbols"][place] for place in data["top_ids"]]
    assert likeliest == [found.name(token) for token in surprisals.top_ids_PK.ravel().tolist()]
    assert np.array(data["top_bits"]) / 1000 == pytest.approx(surprisals.top_nats_PK.ravel() / np.log(2), abs=1e-3)


def test_blocks_count_their_characters() -> None:
    page = page_of(explained("The quick fox\n" * 200, vocab_of("char")))
    froms = [
        int(attributes["data-from"]) for tag, attributes in page.elements if tag == "p" and "data-from" in attributes
    ]
    assert len(froms) == 6
    seen, blocks = 0, []
    for tag, attributes in page.elements:
        if tag == "p" and "data-from" in attributes:
            blocks.append(seen)
        seen += tag == "i"
    assert froms == blocks


def test_places_lead_to_their_characters() -> None:
    for direction in ("forward", "backward"):
        found = explained("The ☃ fox", vocab_of("char"), direction="backward" if direction == "backward" else "forward")
        page = page_of(found)
        units = [int(attributes["data-unit"]) for tag, attributes in page.elements if tag == "button"]
        assert page.characters[units[0]][1] == "☃"
        assert len(units) == 9


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_hostile_texts_and_names_are_text(direction: str) -> None:
    vocab = learn(WordSettings(min_count=1), iter([HOSTILE * 3, "</script>"]))
    side = "backward" if direction == "backward" else "forward"
    for kind in (vocab, vocab_of("char"), vocab_of("n-grams of two")):
        found = explained(HOSTILE, kind, direction=side)
        text = "".join(render_page(SurprisalDrawing(found), HOSTILE))
        page = Page(text)
        tags = [tag for tag, _ in page.elements]
        assert tags.count("script") == len(page.scripts) == 2
        assert not {"img", "base", "link", "iframe", "object", "form", "a"} & set(tags)
        assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
        assert not re.search(r"<i [^>]*>(<|&[^a-z#])", text), "markup of one character, which a browser would mend"
        assert "<" not in page.scripts[0]
        assert "alert(1)" not in page.scripts[1]
        shown = "".join(content for _, content in page.characters)
        assert shown.replace("<eod>", "") == escape_invisible_lines(HOSTILE)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_nothing_is_loaded() -> None:
    text = "".join(render_page(drawn("quick", vocab_of("char")), "a"))
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\ssrc=|\shref=", text.replace("// ", ""))


def test_a_page_of_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = drawn("The quick fox " * 9, vocab_of("char"))
    whole = "".join(render_page(found, "a"))
    monkeypatch.setattr(cards_module, "_PIECE", 7)
    write_page(found, "a", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == whole
    with pytest.raises(StorageError):
        write_page(found, "a", tmp_path / "missing" / "page.html")
