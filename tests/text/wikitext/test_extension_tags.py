"""Tags of MediaWiki's extensions show what a reader sees of them, in any case, closed or not."""

import pytest

from charlm.text.wikitext import Cleaner, clean
from charlm.text.wikitext.extension_tags import HIDDEN_TAGS, LABEL_TAGS, TRANSLATE_TAGS, UNSEEN_TAGS

EXAMPLES = {
    # Translate
    "<languages/>\n<translate>\n== Starting == <!--T:1-->\n\n<!--T:2-->\nYou can <tvar name=\"1\">"
    "[[Help:Links|link]]</tvar> pages and <tvar name=2>'''mark'''</> words.\n\n</translate>": (
        "== Starting ==\n\nYou can link pages and mark words."
    ),
    "* a\n<translate>\n* b\n</translate>\n* c": "- a\n- b\n- c",
    "<translate>Der <tvar|ship>''Kahn''</> und <tvar|sea>das Meer</>.</translate>": "Der Kahn und das Meer.",
    "a </> b": "a </> b",
    "<Translate nowrap>Один <TVAR name=x>два</TVAR></Translate>": "Один два",
    # tabs
    "Before the tabs.\n\n<tabber>\n|-|Early life=\nHe was born at sea.\n|-|Later life=\nHe moved inland.\n</tabber>\n\n"
    "After the tabs.": (
        "Before the tabs.\n\nEarly life\n\nHe was born at sea.\n\nLater life\n\nHe moved inland.\n\nAfter the tabs."
    ),
    "<tabber>甲=[[船|ふね]]\n|-|\n乙=海<ref>注</ref></tabber>": "甲\n\nふね\n\n乙\n\n海",
    "<tabbertransclude>\nPage one|First\n</tabbertransclude>x": "x",
    # pages of books
    'The opening sentence.\n\n<pages index="A book.djvu" include="12" onlysection="x"/>\n\n<pagelist 1=Cover />': (
        "The opening sentence."
    ),
    '<pages index="Книга.djvu" from=12 to=25 />': "",
    '<pagequality level="3" user="X" />Глава первая': "Глава первая",
    # lists and forms
    "Before. <dynamicpagelist>\ncategory=News\n</dynamicpagelist>\nAfter.": "Before. After.",
    "Before. <DynamicPageList>\ncategory=Новости\n</DynamicPageList> После.": "Before. После.",
    "a <inputbox>\ntype=search\n</inputbox> b <categorytree>Ships</categorytree> c <quiz>{x}</quiz>": "a b c",
    # pictures
    "a <chart definition=\"X.chart\" /> b <mapframe latitude=1>{}</mapframe> c <graph>{\"a\": 1}</graph> d": "a b c d",
    "Der Hafen <maplink zoom=9 text=\"Hamburg\">{}</maplink> und <maplink zoom=9/>Kiel": "Der Hafen Hamburg und Kiel",
    # labelled sections
    "<section begin=a/>first<section end=a/> second": "first second",
    "<Abschnitt Anfang=eins />Der erste Satz.<abschnitt Ende=eins /> Der zweite.": "Der erste Satz. Der zweite.",
    '<trecho começo="x" />Uma frase.<trecho fim="x" />': "Uma frase.",
    "<קטע התחלה=מבוא/>המשפט הראשון.<קטע סוף=מבוא/> המשפט השני.": "המשפט הראשון. המשפט השני.",
    # others
    "<poem>\none\n''two''\nthree\n</poem>": " one\n two\n three",
    "a<templatestyles src='X/styles.css' />b <indicator name=x>[[File:A.png]]</indicator>c": "ab c",
    "<langconvert from=sr-ec to=sr-el>Брод</langconvert> <phonos ipa='x'>ship</phonos>": "Брод ship",
    "a<includeonly>[[Category:X]]</includeonly>b<noinclude>c</noinclude><onlyinclude>d</onlyinclude>": "abcd",
    "<nowiki><translate></nowiki> <code>x</code> <קטעים>x": "<translate> x <קטעים>x",
}  # fmt: skip


@pytest.mark.parametrize("wikitext", EXAMPLES)
def test_examples(wikitext: str) -> None:
    assert clean(wikitext).text == EXAMPLES[wikitext]


@pytest.mark.parametrize("name", [*HIDDEN_TAGS, *UNSEEN_TAGS])
def test_hidden_tags_show_nothing_in_any_form(name: str) -> None:
    cleaner = Cleaner()
    for wikitext in (f"<{name} a=b>x [[y]]\n* z</{name}>", f"<{name.upper()} />", f"<{name}/>"):
        assert cleaner.clean(f"one {wikitext} two").text == "one two", wikitext
    assert cleaner.clean(f"one <{name}> two").text == "one two"  # never closed


@pytest.mark.parametrize("name", [*LABEL_TAGS, *TRANSLATE_TAGS])
def test_other_tags_show_their_content(name: str) -> None:
    cleaner = Cleaner()
    for wikitext in (
        f"<{name} a=b>[[x|two]]</{name}>",
        f"<{name.title()}>''two''</{name.upper()} >",
        f"<{name} a=b />two",
    ):
        assert cleaner.clean(f"one {wikitext} three").text == "one two three", wikitext


@pytest.mark.parametrize("name", [*HIDDEN_TAGS, *UNSEEN_TAGS, *LABEL_TAGS, *TRANSLATE_TAGS])
def test_longer_names_are_other_tags(name: str) -> None:
    assert clean(f"a <{name}s2> b").text == f"a <{name}s2> b"


def test_a_reference_in_an_argument_leaves_it_empty() -> None:
    assert clean("{{lang|de|<ref>x</ref>}}{{nihongo2|a|<ref>x</ref>}} {{convert|5<ref>x</ref>|km}}").text == (
        "a 5 kilometres (3.1 mi)"
    )
    assert clean("a [[Ship|<math>x</math>]].").text == "a."
