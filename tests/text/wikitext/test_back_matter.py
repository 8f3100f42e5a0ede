"""Sections of links and citations at the end of a page are dropped by what they hold, under a title of any language."""

import bz2
import re
import time
from html import unescape
from pathlib import Path

import pytest

from charlm.text.document import PageCounts
from charlm.text.dump.articles import clean_pages
from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.pages import Page
from charlm.text.wikitext import clean
from charlm.text.wikitext.back_matter import drop_reference_sections

DROPPED = {
    "mr": "== बाह्य दुवे ==\n* [http://www.berlin.de अधिकृत संकेतस्थळ]\n* [http://a.de/x दुवा] (इंग्लिश)\n{{commons|Berlin}}",
    "eo": "== Eksteraj ligiloj ==\n* [http://www.berlin.de Berlino]\n\n[[Kategorio:Berlino]]\n[[eo:Berlino]]",
    "sw": "== Viungo vya nje ==\n* {{en}} [http://www.berlin.de/ Tovuti rasmi]\n* http://www.berlin.de/watu",
    "mn": "== Мөн үзэх ==\n* [[Герман улс]]\n* [[Европ]]\n== Цахим холбоос ==\n* [http://a.mn Албан ёсны сайт]",
    "kn": "== ಹೊರಗಿನ ಸಂಪರ್ಕಗಳು ==\nhttp://www.berlin.de/\n\n{{ಯುರೋಪ್}}",
    "la": "== Libri ==\n* A. Auctor, ''De navibus'' (1990) ISBN 0-123-45678-9\n* {{cite book|title=De [[mari]]\n|year="
    "1991}}\n=== Nexus ===\n* [//a.org Nexus]",
    "th": "== แหล่งข้อมูลอื่น ==\n[[ไฟล์:a.jpg|thumb|ภาพของ[[เรือ]]]]\n* [http://a.th เว็บไซต์อย่างเป็นทางการ]",
}  # fmt: skip
KEPT = {
    "prose": "== Ἱστορία ==\nThe [http://a.de ship] sailed for years between two harbours, and nobody saw it again.",
    "a statement with its source": "== Ekzemplo ==\n* La ŝipo naufraĝis en majo. [http://a.de]",
    "titles of works": "== Filmoj ==\n* [[Ŝipo]]\n* [[Maro]]",
    "list without links": "== Ĉefurboj ==\n* Parizo\n* Romo",
    "in the middle": "== Ligiloj ==\n* [http://a.de A]\n== Historio ==\nLa ŝipo naufraĝis.",
    "a long paragraph with a book number": "== Libro ==\n" + "La libro rakontas pri ŝipo. " * 20 + "ISBN 0-123-45678-9",
}


@pytest.mark.parametrize("code", DROPPED)
def test_sections_of_links_are_dropped(code: str) -> None:
    cleaned = clean(f"One sentence.\n\n{DROPPED[code]}\n", code)
    assert cleaned.text == "One sentence."
    assert cleaned.reference_sections == len(re.findall("(?m)^==", DROPPED[code]))


@pytest.mark.parametrize("kind", KEPT)
def test_other_sections_stay(kind: str) -> None:
    page = drop_reference_sections(f"One sentence.\n\n{KEPT[kind]}")
    assert (page.text, page.sections) == (f"One sentence.\n\n{KEPT[kind]}", 0)


def test_sections_beside_known_ones_are_dropped() -> None:
    links = "== Webové stránky ==\n* [http://a.cz A]\n"
    assert clean(f"a\n{links}== Reference ==\n* Kniha\n", "cs").text == "a"
    assert clean(f"a\n== Reference ==\n* Kniha\n{links}", "cs").text == "a"


def test_lists_of_pages_stay_beside_known_sections() -> None:
    """Then the title "See also" is known, too, and this is a list of works."""
    assert clean("a\n== Filmy ==\n* [[B]]\n== Stránky ==\n* [http://a.cz A]\n== Reference ==\n* c", "cs").text == (
        "a\n\n== Filmy ==\n\n- B"
    )


@pytest.mark.parametrize("line", ["http://a.de/x", "* https://a.de", ":''http://a.de.''", "http://a.de, http://b.de"])
def test_lines_with_only_addresses_are_dropped(line: str) -> None:
    cleaned = clean(f"One sentence.\n{line}\nand another.")
    assert (cleaned.text, cleaned.address_lines) == ("One sentence. and another.", 1)
    assert clean(f"a\n see {line}\nb").address_lines == 0


def test_both_are_counted_for_pages_that_are_kept() -> None:
    section = "== Viungo ==\n* [http://a.de A]"
    texts = (f"One.\nhttp://a.de\n{section}", f"Two.\n{section}", "Three.", section)
    pages = [Page(str(i), 0, str(i), False, "wikitext", text) for i, text in enumerate(texts)]
    page_counts = PageCounts()
    assert [document.text for document in clean_pages(pages, SiteInfo(), "drop", page_counts)] == [
        "One.",
        "Two.",
        "Three.",
    ]
    assert page_counts.cut == {"reference sections": 2, "address lines": 1}
    total = PageCounts()
    total.add(page_counts)
    total.add(page_counts)
    assert total.cut == {"reference sections": 4, "address lines": 2}


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("code", "title"),
    [("mr", "बाह्य दुवे"), ("ka", "რესურსები"), ("uz", "Havolalar"), ("gl", "Ligazóns externas"), ("th", "แหล่งข้อมูลอื่น")],
)
def test_real_pages_in_languages_without_word_lists(shared_data: Path, code: str, title: str) -> None:
    xml = bz2.decompress((shared_data / "mediawiki" / "minidumps" / f"{code}.xml.bz2").read_bytes()).decode()
    wikitext = unescape(xml.partition('xml:space="preserve">')[2].partition("</text>")[0])
    assert title in wikitext
    cleaned = clean(wikitext, code)
    assert cleaned.reference_sections > 0
    assert f"= {title} =" not in cleaned.text
    assert "://" not in cleaned.text.rpartition("\n\n")[2]


@pytest.mark.parametrize(
    "unit",
    ["== a ==\n* [http://x y]\n", "== a ==\n* [[b]]\n", "http://a", "http://a ", "\nhttp://a", "[http://", "[//a ",
     "[[a|", "{{a|", "}}", "=", "\n=a", "== a ==\n[[a|[[b|", "ISBN ", "\n* ISBN "],
)  # fmt: skip
def test_time_is_linear(unit: str) -> None:
    """400 KB of a repetition take at most a few times as long as 100 KB, or next to nothing; best of three tries."""
    seconds: list[float] = []
    for _ in range(3):
        seconds.clear()
        for size in (100_000, 400_000):
            text = "http://x ISBN == a ==\n" + unit * (size // len(unit))
            start = time.process_time()
            drop_reference_sections(text)
            seconds.append(time.process_time() - start)
        if seconds[1] < 8 * seconds[0] + 0.1:
            return
    raise AssertionError(seconds)
