"""Cleaning wikitext keeps what a reader sees, drops markup, and is fast for any markup."""

import gc
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.text.wikitext import Cleaner, clean
from charlm.text.wikitext.marks import RESERVED

CLEANER = Cleaner("en", {-2: "Medium", 6: "Datei", 14: "Kategorie"})

EXAMPLES = {
    # links
    "[[a]] [[a|b]] [[a]]trail [[a#b]] [[a_b]] [[a| ]]": "a b atrail a#b a_b",
    "[[:Category:X]] [[:fr:Y]] [[w:Z|z]] [[wikt:q]]": "Category:X fr:Y z wikt:q",
    "x[[Category:A]][[Kategorie:B|c]][[Image:a.png|thumb|a [[b|c]] d]][[Datei:x.svg]][[Файл:y]]y": "xy",
    "text\n\n[[de:Text]]\n[[zh-min-nan:Text]]\n[[simple:Text]]": "text",
    "The text.\n\n[[Fr:Bateau]]\n[[De:Schiff]]\n[[ru:Корабль]]": "The text.",
    "a [[FR:Bateau]] [[Zh-Min-Nan:Chûn]] [[ Uk:Корабель ]] [[simple:Ship]] b [[:Fr:Bateau]] [[:fr:Bateau|boat]]": (
        "a b Fr:Bateau boat"
    ),
    "[[Re:Zero]] and [[Star Trek: Picard]]": "Re:Zero and Star Trek: Picard",
    "[http://a.b label one] [https://c.d] [//e.f g] http://bare.org/x [1] [sic]": (
        "label one g http://bare.org/x [1] [sic]"
    ),
    "[http://a.b/c [http://d.e f\ng [http://h.i": "[http://a.b/c f g",
    "a\n\n''See also [[:Category:Born 1864]].''\n\n* [[:Kategorie:X_Y|X]]\nb": "a\n\nb",
    "see [[:Category:X]] of [[Y]]\n\n[[:fr:Z]]\n\n[[:Category:X]] holds more": (
        "see Category:X of Y\n\nfr:Z\n\nCategory:X holds more"
    ),
    "[[a [[b]] c]]": "a b c",
    "a\n[[File:x.png|thumb|left|not closed\nb": "a\n\nb",
    "[[File:x.png|thumb|[http://y z\na\n== H ==\nb]] c": "c",
    # quotes
    "'''bold''' ''it'' '''''both'''''": "bold it both",
    "l'''Orient''": "l'Orient",
    "L''''Alceste''' d'Euripide": "L'Alceste d'Euripide",
    "don't ''isn't'' it": "don't isn't it",
    "l'<nowiki />''Orient''": "l'Orient",
    # templates
    "a {{x|{{y|[[z]]}}|{{{1|}}}}} b": "a b",
    "{{lang|de|[[Haus]]}} {{Nowrap|1 2}} {{transl|ru|ISO|dom}} {{ill|A|de|B|lt=C}}": "Haus 1 2 dom C",
    "{{lang-ru|дом|dom|house}}, {{lang-la|domus|label=none}}": "Russian: дом, romanized: dom, lit. 'house', domus",
    "{{langx|de|Haus}}, {{Lang-grc-x-biblical|οἶκος}}, {{lang-qqq|x}}": "German: Haus, Ancient Greek: οἶκος, x",
    "{{convert|5|km|mi}}, {{convert|5|-|10|sqmi|km2}}, {{cvt|3|C}}": (
        "5 kilometres (3.1 mi), 5–10 square miles (13–26 km²), 3 °C (37 °F)"
    ),
    "{{convert|62800|km|mi|0}}; {{convert|1|km2|abbr=on}}; {{convert|5|ft|10|in|cm|0}}": (
        "62,800 kilometres (39,022 mi); 1 km² (0.39 sq mi); 5 feet 10 inches (178 cm)"
    ),
    "a {{convert|950|mi|km|adj=on|sp=us}} {{convert|2|x}} {{convert|525|C|F}} {{convert|13|e6acre|km2}}": (
        "a 950-mile (1,530 km) 2 x 525 degrees Celsius (977 °F) 13 million acres (53,000 km²)"
    ),
    "{{convert|14|ft|m|adj=on|order=flip}} {{convert|2.1|Moilbbl|m3}}": (
        "4.3-metre (14 ft) 2.1 million barrels (330,000 m³)"
    ),
    "{{frac|1|2}} {{frac|3|1|2}} {{val|1.5|u=m}} {{val|6.24|e=18}} {{as of|2010|5|lc=y}} {{circa|1500}}": (
        "1/2 3 1/2 1.5 m 6.24×10¹⁸ as of May 2010 c. 1500"
    ),
    "{{nihongo|Tokyo|東京|Tōkyō}}{{snd}}{{formatnum:1234}} {{USS|Nimitz|CVN-68}}": (
        "Tokyo (東京, Tōkyō) – 1,234 USS Nimitz (CVN-68)"
    ),
    "{{IPA|/a/}} {{IPAc-en|pron|ˈ|k|æ|t}} {{IPA-fr|paʁi|lang}} {{IPA-el|a|pron}} {{respell|KAT|ee}}": (
        "/a/ pronounced /ˈkæt/ French: [paʁi] pronounced [a] KAT-ee"
    ),
    "{{zh|s=中国|t=中國|p=Zhōngguó}} {{chem|Ge|4|2-}} {{chem2|SO4(2-)}} {{e|5}} {{PAGENAME}}": (
        "simplified Chinese: 中国; traditional Chinese: 中國; pinyin: Zhōngguó Ge₄²⁻ SO₄²⁻ ×10⁵ Title"
    ),
    "{{lang|ja|a{{!}}b}}": "a|b",
    "{{quote|text=A '''wise''' word.|author=B}}": "A wise word.",
    # tags
    "a<ref>x</ref>b<ref name=y />c<ref name='z'>{{cite|t=<b>}}</ref>.": "abc.",
    "a<!-- b -->c\n<!-- whole line -->\nd<!-- open": "ac d",
    "E = mc<sup>2</sup>, H<sub>2</sub>O, 4<sup>th</sup>, <math>x^2</math>": "E = mc², H₂O, 4th,",
    "a<br/>b<span style='x'>c</span><nowiki>[[d]] ''e'' &amp;</nowiki>": "a\n\nbc[[d]] ''e'' &",
    "<pre>\nfor (;;)  {{x}}\n</pre>": "for (;;)  {{x}}",
    "a\n<syntaxhighlight lang=c>\nint a;\n\n  {{b}}\n</syntaxhighlight>c": "a\n\n int a;\n\n   {{b}}\n\nc",
    "<code>a[0] = ( );</code> <code>''x''</code> <code><nowiki>[[y]]</nowiki></code>": "a[0] = ( ); x [[y]]",
    "<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby> {{ruby|字|じ}}": "漢(かん) 字(じ)",
    "<poem>\nRoses are red,\n''Violets'' are blue;\n\nSugar is sweet,\nand so on.\n</poem>": (
        " Roses are red,\n Violets are blue;\n\n Sugar is sweet,\n and so on."
    ),
    "One verse,<br>two verses,<br />three verses.": " One verse,\n two verses,\n three verses.",
    "1 < 2 and 3 > 2, <unknown>": "1 < 2 and 3 > 2, <unknown>",
    "<gallery>\nFile:a.jpg|b\n</gallery>a<references><ref>b</ref></references>": "a",
    # tables
    "a\n{| class=x\n|-\n! h\n| b || {{c}}\n{|\n| nested\n|}\n|}\nd": "a\n\nd",
    "a\n:{|\n| b\n|}\nc <table><tr><td>x</td></tr></table>d": "a\n\nc\n\nd",
    "{{infobox|\n{|\n| x\n|}\n|}}a": "a",
    # lines
    "one\ntwo\n\nthree": "one two\n\nthree",
    "漢字\n漢字\nabc": "漢字漢字 abc",
    "== H ==\nt\n===S===\n=== T ===\nu\n== Refs ==\n{{reflist}}\n== Links ==": "== H ==\n\nt\n\n=== T ===\n\nu",
    "a\n== Legacy ==\nb\n== See also ==\n* [[c]]\n== Notes and references ==\n=== Books ===\n* d": (
        "a\n\n== Legacy ==\n\nb"
    ),
    "a\n== See also ==\nb\n== Legacy ==\nc": "a\n\n== See also ==\n\nb\n\n== Legacy ==\n\nc",
    "* a\n** b\n# c\n#: d\n; e\n: f\n:* g": "- a\n- b\n- c\n- d\n- e: f\n- g",
    "[[x|a\n;b:c]] d": "a ;b:c d",
    "; e : f\n; Works\n* x": "- e: f\n\nWorks\n\n- x",
    "a\n:b\n::c": "a\n\nb\n\nc",
    ":''For the city, see [[X (city)]].''\n{{about|x}}\nX is\n:''a [[y]]''": "X is\n\na y",
    "a\n\n\n\nb\n----\nc": "a\n\nb\n\nc",
    " indented\n*\n* {{x}}\nb": "indented\n\nb",
    "a\n  two\n lines\nb": "a\n\n  two\n lines\n\nb",
    # gaps
    "A ({{x|y}}; 1 May), B ({{x}}) C ( {{x}}, {{y}} ) D {{x}}, E (({{x}}))": "A (1 May), B C D, E",
    "f() and g(x)": "f() and g(x)",
    "a&nbsp;b &eacute; &amp;lt; &#233; &notanentity; AT&T": "a b é &lt; é &notanentity; AT&T",
    # other
    "__NOTOC__a__БЕЗ_ОГЛ__ __init__": "a __init__",
    # unbalanced
    "a {{b\n\nc": "a b\n\nc",
    "a }} b ]] c [[d": "a b c d",
    "a\n{| class=x\n| b\nc": "a",
    "a\n{| class=x\n| b\n\nc": "a\n\nc",
    "a\n{|\n| b\n\nc\n\n{|\n| d\n\ne": "a\n\nc\n\ne",
    "== H ==\n[[Category:A]] b": "== H ==\n\nb",
    "a\n[[Category:A]] b\n<pre>\nc\nd</pre>\n[[de:A]] e": "a b\n\n c\n d\n\ne",
    "a\n{{office-table}}\n| b\n! c {{x|y}}\n|-\n| d\n|}\ne": "a\n\ne",
    "{{a [[b}} c": "c",
    "<ref>open": "open",
    "{{convert|9e307|km}}": "9e307 km",
    "{{birth date|1911|" + "1" * 5000 + "}}": "1" * 5000 + " 1911",
    "{{efn|a {{IPA-la|b|}}}} c": "c",
}

OTHER_LANGUAGES = {
    ("uk", "Краї́на ({{lang-en|country}}), {{ДН|14|3|1854}}, {{formatnum:12345.6}}"): (
        "Краї́на (англ. country), 14 березня 1854, 12 345,6"
    ),
    ("vi", "{{convert|34,4|°C|°F|abbr=on}}, {{convert|9372610|km2|sqmi}}, {{As of|2015|2|lc=yes}}"): (
        "34,4 °C (93,9 °F), 9.372.610 km² (3.618.780 sq mi), tính đến tháng 2 năm 2015"
    ),
    ("bn", "{{রূপান্তর|1200|km|mi}} {{lang-fr|Belgique}}"): "১,২০০ km (৭৫০ mi) ফরাসি: Belgique",
    ("ja", "{{読み仮名|秋田|あきた}}、{{仮リンク|A|en|B|label=C}}、{{lang-en-short|x}}"): "秋田（あきた）、C、英語: x",
    ("ltg", "{{Vol-lv|augi}} {{lang-xyz|a}}"): "latvīšu: augi a",
    ("zh", "-{zh-hans:汉;zh-hant:漢}- -{T|x}- -{一}- -{A|zh-cn:b;zh-tw:c}- -{Добро}-"): "汉 一 b Добро",
    ("xx", "{{lang-de|Haus}} {{convert|5|km}}"): "Haus 5 km (3.1 mi)",
}


@pytest.mark.parametrize("wikitext", EXAMPLES)
def test_examples(wikitext: str) -> None:
    assert CLEANER.clean(wikitext, "Title").text == EXAMPLES[wikitext]


@pytest.mark.parametrize(("code", "wikitext"), OTHER_LANGUAGES)
def test_a_language_brings_its_templates(code: str, wikitext: str) -> None:
    assert clean(wikitext, code).text == OTHER_LANGUAGES[code, wikitext]


def test_formulas_as_tex() -> None:
    wikitext = "let <math>x_1 =\n[[2]]</math> and <chem>H2O</chem>"
    assert clean(wikitext, math="tex").text == "let $x_1 = [[2]]$ and $\\ce{H2O}$"
    assert clean(wikitext).text == "let and"


MARKUP = st.lists(st.sampled_from(
    ["{{", "}}", "[[", "]]", "{|", "\n|}", "|", "=", "==", "'''", "''", "<ref>", "</ref>", "<!--", "-->", "<nowiki>",
     "</nowiki>", "-{", "}-", "\n", " ", "*", "#", ":", ";", "a", "é", "(", ")", ",", "&lt;", "lang|x|", "File:",
     "<br>",
     "[http://x ", "]", "\n;", "\n:", "[[a|", "{{nowrap|", "<ref>x</ref>", "<div>", "----",
     "\n ", "<b>", "{", "}", "__TOC__", "\x00", "\x01", "　", "<poem>", "</poem>", "<pre>", "convert|",
     "5|km|", "lang-de|", "zh|s=", "val|", "- ", "\n ", "<code>", "<li>", "。"]
), max_size=60).map("".join)  # fmt: skip


@given(MARKUP)
def test_any_markup(wikitext: str) -> None:
    """Any nesting: no exception, idempotent, no placeholder left, no blank lines at the ends or in a row."""
    text = CLEANER.clean(wikitext).text
    assert text == CLEANER.clean(wikitext).text
    assert text == text.strip("\n")
    assert not set(text) & set(RESERVED)
    if "<nowiki>" not in wikitext and "<pre>" not in wikitext:
        assert "\n\n\n" not in text


@given(st.text(alphabet="abc déя漢.,!?\n", max_size=200))
def test_plain_text_stays(text: str) -> None:
    """Words and their order are kept."""
    assert "".join(c for c in clean(text).text if c.isalnum()) == "".join(c for c in text if c.isalnum())


def test_verses_beside_verbatim_lines_stay_apart() -> None:
    """An empty line ends verbatim text, a line of spaces does not."""
    text = clean("a<br>\nb<br>\nc\n d\n e").text
    assert text == " a\n b\n c\n\n d\n e"
    assert clean(text).text == text
    assert clean(" a\n \n b\n\n c\n d\n\n e").text == " a\n b\n\n c\n d\n\ne"


LINE = st.text(alphabet="abc dé漢(),;.", min_size=1, max_size=30).filter(
    lambda line: any(c.isalpha() for c in line) and not line.strip().startswith(";")
)


@given(st.lists(st.tuples(st.sampled_from(["", "== {} ==", "* {}", "; {}", ": {}", " {}", "{}\n\n", "{}<br>"]), LINE)))
def test_clean_text_stays_as_it_is(lines: list[tuple[str, str]]) -> None:
    """Cleaning twice is cleaning once."""
    wikitext = "\n".join(form.format(line) if form else line for form, line in lines)
    text = clean(wikitext).text
    assert clean(text).text == text


@pytest.mark.parametrize(
    "unit",
    ["{{", "}}", "[[", "]]", "{{lang|x|", "[[a|", "[[a|]]", "{|\n", "\n|}", "<ref>", "<ref name=", "<!--", "<nowiki>",
     "'''", "''x", "-{", "[http://", "(", " (", " ,", ",", "; ",
     "&", "&#1", "<sup>1", "=", "\n==", "*", "\n*", "\n:", "<", "\n;a", "\n x", "<br>", "<br>\n", "<poem>", "<code>",
     "<b ", "__A", "  ", " \n", "{{{", "}}}", "{{a|b=", "{{lang|", "<table>", "{|\n| [[a:b]]\n\nc\n\n",
     "[[File:", "{{lang|de|[[", "{{convert|",
     "\n:''[[", "== See also ==\n", "<pre>\n", "— ", "() ", "( ", " )", "{{nowrap|1}}", "{{lang-de|{{zh|s=",
     "-{a|", "[[a]]", "[[a|b", "<code><nowiki>", "\n\n x", "\n=a", "=a=\n", "- ", ";()", "(;)", "()",
     "{{#if:x|", "{{#switch:a|a=", "{{lc:", "{{#expr:(", "{{#expr:1+", "{{padleft:|500|", "{{urlencode:é",
     "{{plural:1|", "{{uc:x}}", "{{PAGENAME:", "<section/>", "<tvar|1>", "</>", "<translate>\n", "<tabber>|-|",
     "<maplink text=", "__T", "\nhttp://a", "\n== a ==\n* [http://a b]",
     ";[[a:[[b]]", "\n;[[a:[[b]]", "[[a|]]b", "[[a|b[", "[[a%41|", "//[[", "[[a{", "[[a [b] ", "[http://a&lt;"],
)  # fmt: skip
def test_time_is_linear(unit: str) -> None:
    """Clean 400 KB of the worst repetitions in much less time than a quadratic algorithm would take.

    The best of three tries: on a busy machine a single one can take many times its share.
    """
    texts = [(unit * (size // len(unit) + 1))[:size] for size in (100_000, 400_000)]
    best = [float("inf"), float("inf")]
    gc.disable()  # it would walk through all that the tests before have left
    try:
        for _ in range(3):
            for number, wikitext in enumerate(texts):
                start = time.process_time()
                CLEANER.clean(wikitext)
                best[number] = min(best[number], time.process_time() - start)
            if best[1] < 8 * best[0] + 0.2:
                return
    finally:
        gc.enable()
    raise AssertionError(f"100 KB take {best[0]:.3f} s, 400 KB {best[1]:.3f} s")


@pytest.mark.parametrize(("opening", "closing"), [("{{", "}}"), ("{{lang|x|", "}}"), ("[[a|", "]]"), ("{|\n|", "\n|}")])
def test_a_hundred_thousand_nested(opening: str, closing: str) -> None:
    start = time.process_time()
    CLEANER.clean("a" + opening * 100_000 + "deep" + closing * 100_000)
    assert time.process_time() - start < 5


def test_what_is_nested_too_deep_is_dropped_and_said() -> None:
    shallow = CLEANER.clean("{{lang|x|" * 50 + "deep" + "}}" * 50)
    assert (shallow.text, shallow.exceeded_limit) == ("deep", "")
    deep = CLEANER.clean("a" + "{{lang|x|" * 5000 + "deep" + "}}" * 5000)
    assert deep.text == "a"
    assert "deeper than 60" in deep.exceeded_limit


def test_such_a_page_is_left_out_and_listed() -> None:
    from charlm.text.document import PageCounts
    from charlm.text.dump.articles import clean_pages
    from charlm.text.dump.elements import SiteInfo
    from charlm.text.dump.pages import Page

    pages = [
        Page(str(i), 0, title, False, "wikitext", text)
        for i, (title, text) in enumerate({"Deep": "a" + "{{lang|x|" * 100 + "b" + "}}" * 100, "Flat": "c"}.items())
    ]
    page_counts = PageCounts()
    assert [document.title for document in clean_pages(pages, SiteInfo(), "drop", page_counts)] == ["Flat"]
    assert page_counts.dropped == {"limit": 1}
    assert "page 0 (Deep)" in page_counts.notes[0]


def test_no_pattern_shows_an_argument_twice() -> None:
    """Sixty nested templates that double their argument would fill the memory."""
    import re
    import tomllib
    from importlib.resources import files

    for file in files("charlm.text.wikitext").joinpath("languages").iterdir():
        for pattern in tomllib.loads(file.read_text("utf-8")).get("templates", {}):
            fields = [key for field in re.findall(r"\{([^{}]+)\}", pattern) for key in field.strip("^_").split("|")]
            assert len(fields) == len(set(fields)), (file.name, pattern)
