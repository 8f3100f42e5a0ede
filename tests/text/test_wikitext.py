"""Cleaning wikitext: what a reader sees stays, markup goes, and no markup makes it slow."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.text.dump import Dump
from charlm.text.namespaces import hidden_names
from charlm.text.wikitext import clean

HIDDEN = hidden_names({-2: "Medium", 6: "Datei", 14: "Kategorie"})

EXAMPLES = {
    # links
    "[[a]] [[a|b]] [[a]]trail [[a#b]] [[a_b]]": "a b atrail a#b a b",
    "[[:Category:X]] [[:fr:Y]] [[w:Z|z]] [[wikt:q]]": "Category:X fr:Y z wikt:q",
    "x[[Category:A]][[Kategorie:B|c]][[Image:a.png|thumb|a [[b|c]] d]][[Datei:x.svg]][[Файл:y]]y": "xy",
    "text\n\n[[de:Text]]\n[[zh-min-nan:Text]]\n[[simple:Text]]": "text",
    "[[Re:Zero]] and [[Star Trek: Picard]]": "Re:Zero and Star Trek: Picard",
    "[http://a.b label one] [https://c.d] [//e.f g] http://bare.org/x [1] [sic]": (
        "label one g http://bare.org/x [1] [sic]"
    ),
    "[[a [[b]] c]]": "a b c",
    # quotes
    "'''bold''' ''it'' '''''both'''''": "bold it both",
    "l'''Orient''": "l'Orient",
    "L''''Alceste''' d'Euripide": "L'Alceste d'Euripide",
    "don't ''isn't'' it": "don't isn't it",
    # templates
    "a {{x|{{y|[[z]]}}|{{{1|}}}}} b": "a b",
    "{{lang|de|[[Haus]]}} {{lang-ru|дом}} {{Nowrap|1 2}} {{transl|ru|ISO|dom}}": "Haus дом 1 2 dom",
    "{{convert|5|km|mi}}, {{convert|5|-|10|sqmi|km2}}, {{cvt|3|C}}": "5 km, 5–10 sq mi, 3 °C",
    "{{frac|1|2}} {{frac|3|1|2}} {{val|1.5|u=m}} {{as of|2010|5|lc=y}} {{circa|1500}}": (
        "1/2 3 1/2 1.5 m as of May 2010 c. 1500"
    ),
    "{{nihongo|Tokyo|東京|Tōkyō}}{{snd}}{{formatnum:1234}}{{USS|Nimitz|CVN-68}}": (
        "Tokyo (東京, Tōkyō) – 1234USS Nimitz"
    ),
    "{{lang|ja|a{{!}}b}}": "a|b",
    "{{quote|text=A '''wise''' word.|author=B}}": "A wise word.",
    # tags
    "a<ref>x</ref>b<ref name=y />c<ref name='z'>{{cite|t=<b>}}</ref>.": "abc.",
    "a<!-- b -->c\n<!-- whole line -->\nd<!-- open": "ac\nd",
    "E = mc<sup>2</sup>, H<sub>2</sub>O, 4<sup>th</sup>, <math>x^2</math>": "E = mc², H₂O, 4th,",
    "a<br/>b<span style='x'>c</span><nowiki>[[d]] ''e'' &amp;</nowiki>": "a\nbc[[d]] ''e'' &",
    "<pre>\nfor (;;)  {{x}}\n</pre>": "for (;;)  {{x}}",
    "1 < 2 and 3 > 2, <unknown>": "1 < 2 and 3 > 2, <unknown>",
    "<gallery>\nFile:a.jpg|b\n</gallery>a<references><ref>b</ref></references>": "a",
    # tables
    "a\n{| class=x\n|-\n! h\n| b || {{c}}\n{|\n| nested\n|}\n|}\nd": "a\n\nd",
    "a\n:{|\n| b\n|}\nc <table><tr><td>x</td></tr></table>d": "a\nc d",
    "{{infobox|\n{|\n| x\n|}\n|}}a": "a",
    # lines
    "== H ==\nt\n===S===\n=== T ===\nu\n== Refs ==\n{{reflist}}\n== Links ==": "== H ==\n\nt\n\n=== T ===\n\nu",
    "* a\n** b\n# c\n#: d\n; e\n: f\n:* g": "- a\n- b\n- c\nd\ne\nf\n- g",
    "a\n\n\n\nb\n----\nc": "a\n\nb\n\nc",
    " indented\n*\n* {{x}}\nb": "indented\nb",
    # gaps
    "A ({{IPA-de|x}}; 1 May), B ({{x}}) C ( {{x}}, {{y}} ) D {{x}}, E": "A (1 May), B C D, E",
    "f() and g(x)": "f() and g(x)",
    "a&nbsp;b &eacute; &amp;lt; &#233; &notanentity; AT&T": "a b é &lt; é &notanentity; AT&T",
    # other
    "__NOTOC__a__БЕЗ_ОГЛ__ __init__": "a __init__",
    "-{zh-hans:汉;zh-hant:漢}- -{T|x}- -{一}- -{A|zh-cn:b;zh-tw:c}-": "汉 一 b",
    # unbalanced
    "a {{b\n\nc": "a b\n\nc",
    "a }} b ]] c [[d": "a b c d",
    "a\n{| class=x\n| b\nc": "a\n\nc",
    "{{a [[b}} c": "c",
    "<ref>open": "open",
}


@pytest.mark.parametrize("wikitext", EXAMPLES)
def test_examples(wikitext: str) -> None:
    assert clean(wikitext, HIDDEN) == EXAMPLES[wikitext]


@given(st.lists(st.sampled_from(
    ["{{", "}}", "[[", "]]", "{|", "\n|}", "|", "=", "==", "'''", "''", "<ref>", "</ref>", "<!--", "-->", "<nowiki>",
     "</nowiki>", "-{", "}-", "\n", " ", "*", "#", ":", "a", "é", "(", ")", ",", "&lt;", "lang|x|", "File:",
     "[http://x ", "]", "<b>", "{", "}", "__TOC__", "\x00", "　"]
), max_size=60))  # fmt: skip
def test_any_markup(parts: list[str]) -> None:
    """Whatever the nesting: no exception, the same twice, no blank lines at the ends or two in a row."""
    wikitext = "".join(parts)
    text = clean(wikitext, HIDDEN)
    assert text == clean(wikitext, HIDDEN)
    assert text == text.strip()
    assert "\0" not in text
    if "<nowiki>" not in wikitext:
        assert "\n\n\n" not in text


@given(st.text(alphabet="abc déя漢.,!?\n", max_size=200))
def test_plain_text_stays(text: str) -> None:
    """Words, and their order, survive."""
    assert "".join(c for c in clean(text, HIDDEN) if c.isalnum()) == "".join(c for c in text if c.isalnum())


@pytest.mark.parametrize(
    "unit",
    ["{{", "}}", "[[", "]]", "{{lang|x|", "[[a|", "[[a|]]", "{|\n", "\n|}", "<ref>", "<ref name=", "<!--", "<nowiki>",
     "'''", "''x", "-{", "[http://", "(", " (", " ,", ",", "; ",
     "&", "&#1", "<sup>1", "=", "\n==", "*", "\n*", "\n:", "<",
     "<b ", "__A", "  ", " \n", "{{{", "}}}", "{{a|b=", "{{lang|", "<table>", "[[File:", "{{lang|de|[["],
)  # fmt: skip
def test_time_is_linear(unit: str) -> None:
    """400 KB of the nastiest repetition in well under the time that anything quadratic would take."""
    times: list[float] = []
    for size in (100_000, 400_000):
        wikitext = (unit * (size // len(unit) + 1))[:size]
        start = time.process_time()
        clean(wikitext, HIDDEN)
        times.append(time.process_time() - start)
    assert times[1] < 8 * times[0] + 0.2


def test_deep_nesting_is_bounded() -> None:
    assert clean("{{lang|x|" * 50 + "deep" + "}}" * 50, HIDDEN) == "deep"
    assert clean("a" + "{{lang|x|" * 5000 + "deep" + "}}" * 5000, HIDDEN) == "a"


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "exceptions"),
    [("ltgwiki-2017-09-pages-articles.xml.bz2", 2), ("enwiki-2022-fragment.xml.bz2", 3), ("minidumps/ru.xml.bz2", 0)],
)
def test_real_articles(shared_data: Path, name: str, exceptions: int) -> None:
    """No markup is left, and cleaning twice changes nothing, but for the few articles that quote markup or code."""
    dump = Dump(shared_data / "mediawiki" / name)
    hidden = hidden_names(dump.siteinfo.namespaces)
    changed = marked = total = 0
    for page in dump.pages():
        if page.namespace == 0 and not page.redirect:
            text = clean(page.text, hidden)
            total += 1
            changed += clean(text, hidden) != text
            marked += any(mark in text for mark in ("{{", "}}", "[[", "]]", "<ref", "'''", "{|", "&nbsp;", "()"))
    assert total > 0
    assert changed <= exceptions
    assert marked <= exceptions + total // 100


@pytest.mark.real_data
def test_an_article_from_the_wikitext_to_the_words(shared_data: Path) -> None:
    dump = Dump(shared_data / "mediawiki/enwiki-2022-fragment.xml.bz2")
    hidden = hidden_names(dump.siteinfo.namespaces)
    page = next(page for page in dump.pages() if page.title == "Albedo")
    text = clean(page.text, hidden)
    assert text.startswith("Albedo is the measure of the diffuse reflection of solar radiation out of the total solar")
    assert "\n\n== Terrestrial albedo ==\n\nAny albedo in visible light falls within a range" in text
    assert "Fresh asphalt" not in text  # a table
    assert "0.4–0.7 μm" in text  # &nbsp;
    assert "== References ==" not in text
