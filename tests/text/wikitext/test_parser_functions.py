"""Parser functions show what MediaWiki 1.39 shows, in the words of the wiki's language."""

import pytest

from charlm.text.wikitext import Cleaner, clean

NAMESPACES = {0: "", 1: "Talk", 2: "User", 3: "User talk", 6: "File", 10: "Template", 14: "Category"}
CLEANER = Cleaner("en", NAMESPACES)

EXAMPLES = {
    "The word is {{lc:LOUD}} here, {{uc:quiet}} there and {{ucfirst:ship}} again. It has {{#expr: 2 + 3}} masts. It is "
    "{{#if: yes | shown | hidden }} and {{#ifeq: a | b | same | different }}. There are 2 {{plural:2|ship|ships}}. "
    "Number {{padleft:7|3|0}}. The title is {{FULLPAGENAME}}.": (
        "The word is loud here, QUIET there and Ship again. It has 5 masts. It is shown and different. There are 2 "
        "ships. Number 007. The title is Foo bar/Baz."
    ),
    "{{lc: ABC }}x {{uc:straße}} {{ucfirst:éa}} {{lcfirst:SHIP}} {{LC:Ä}}": "abcx STRASSE Éa sHIP ä",
    "{{padleft:7|3|0}} {{padleft:7|3}} {{padleft:abc|8|xyz}} {{padright:7|3|0}} {{padright:7|5|ab}} "
    "{{padleft:1234|3}}": (
        "007 007 xyzxyabc 700 7abab 1234"
    ),
    "{{padleft:7|3|}} {{padleft:7|x|0}} {{padleft:7}}": "7 7 7",
    "{{plural:1|ship|ships}} {{plural:0|ship|ships}} {{plural:1.5|a|b}} {{plural:1,000|a|b}} {{plural:2|only}} "
    "{{plural:3|a|b|3=three}} {{plural:x|a|b}} {{plural:-1|a|b}}": "ship ships b b only three b a",
    "{{#if: |a|b}}{{#if: x|a|b}}{{#if: x|a}}{{#if: |a}}{{#if:x}}.": "baa.",
    "{{#if:<!-- c -->|a|b}} {{#if:<nowiki/>|a|b}} {{#if:<ref>x</ref>|a|b}} {{#if:{{{1|}}}|a|b}}": "b a a b",
    "{{#ifeq:1|1.0|y|n}} {{#ifeq:01|1|y|n}} {{#ifeq:a|A|y|n}} {{#ifeq:1e2|100|y|n}} {{#ifeq: a | a |y|n}} "
    "{{#ifeq:&amp;|&|y|n}} {{#ifeq:||y|n}}{{#ifeq:a|b|y}}.": "y y n y y y y.",
    "{{#switch:b|a=1|b=2|3}} {{#switch:c|a=1|b|c=2|3}} {{#switch:z|a=1|#default=9|b=2}} {{#switch:z|a=1|b=2|last}} "
    "{{#switch:1|01=x|y}} {{#switch:|=empty|y}} {{#switch:a|a}} {{#switch:q|#default|a=5}} {{#switch:b|a|b}}": (
        "2 2 9 last x empty a 5 b"
    ),
    "x{{#switch:z|a=1|last|b=2}}y {{#switch: a | a = x = y | b }}": "xy x = y",
    "{{#ifexpr:1>2|a|b}} {{#ifexpr:1 &gt; 0|a|b}} {{#ifexpr:|a|b}} {{#ifexpr: 3 mod 2 |a}}{{#ifexpr:bad|a|b}}": (
        "b a b a"
    ),
    "{{urlencode:x y/ä~-_.}} {{urlencode:x y|PATH}} {{urlencode:x y/ä:(a)|WIKI}} {{anchorencode:[[a|b c]]}}": (
        "x+y%2F%C3%A4%7E-_. x%20y x_y/%C3%A4:(a) b_c"
    ),
    "{{PAGENAME}}, {{FULLPAGENAME}}, {{BASEPAGENAME}}, {{SUBPAGENAME}}, {{ROOTPAGENAME}}, {{NAMESPACENUMBER}}, "
    "{{PAGENAMEE}}, {{TALKPAGENAME}}, {{ARTICLEPAGENAME}}, {{TALKSPACE}}": (
        "Foo bar/Baz, Foo bar/Baz, Foo bar/Baz, Foo bar/Baz, Foo bar/Baz, 0, "
        "Foo_bar/Baz, Talk:Foo bar/Baz, Foo bar/Baz, Talk"
    ),
    "x{{NAMESPACE}}{{SUBJECTSPACE}}y": "xy",
    "{{PAGENAME:Talk:x y}} {{FULLPAGENAME:talk:x y/z}} {{BASEPAGENAME:Talk:a/b/c}} {{SUBPAGENAME:Talk:a/b/c}} "
    "{{ROOTPAGENAME:Talk:a/b/c}} {{NAMESPACE:Talk:x}} {{NAMESPACENUMBER:Talk:x}} {{TALKPAGENAME:x}} {{PAGENAME:foo}} "
    "{{SUBJECTPAGENAME:Talk:x}} {{BASEPAGENAME:a/b}}": "X y Talk:X y/z A/b c A Talk 1 Talk:X Foo X A/b",
    "{{formatnum:1234567.891}} {{formatnum:-5}} {{formatnum:1234|NOSEP}} {{formatnum:1,234.5|R}} {{formatnum:abc}}": (
        "1,234,567.891 −5 1234 1234.5 abc"
    ),
    "{{gender:Nobody|he|she|they}} {{gender:Nobody|he|she}} {{gender:x|one}}": "they he one",
    "x {{#ifeq:a|a|{{uc:é}}|n}} y {{#if:x|{{#if:y|[[a|b]]}}}}": "x É y b",
    "{{lc:&Eacute;<nowiki>{{X}}</nowiki>A}}": "É{{X}}a".replace("É", "é"),
    "a\n{{#if:x|* b}}\nc": "a\n\n- b\n\nc",
    "{{#if:x|\n<pre>\na\nb\n</pre>}}": " a\n b",
    "a {{#time:Y}}{{CURRENTYEAR}}{{#invoke:X|y}}{{ lc :A}}{{lc|A}}{{#if}} b": "a b",
    "{{#switch:1|[[a|b|c]]=x|1=[[d|e|f]]}}": "e|f",
}  # fmt: skip

OTHER_LANGUAGES = {
    ("ru", "Корабль ({{Шаблон:lang-en|ship}}) плывёт. {{шаблон:nobr|10 узлов}} хода. {{Lang-en|ship}}."): (
        "Корабль (англ. ship) плывёт. 10 узлов хода. англ. ship."
    ),
    ("ru", "'''{{PAGENAME}}''' и {{НАЗВАНИЕ_СТРАНИЦЫ}} тут, {{большими_буквами:я}}, {{#если:|a|б}}"): (
        "Титул и Титул тут, Я, б"
    ),
    ("ru", "1 {{plural:1|узел|узла|узлов}}, 2 {{plural:2|узел|узла|узлов}}"): "1 узел, 2 узла",
    ("ru", "12 {{множественное_число:12|узел|узла|узлов}}, {{plural:1.5|узел|узла|узлов|доли}}"): "12 узлов, доли",
    ("uk", "21 {{plural:21|вузол|вузли|вузлів}}, 25 {{plural:25|вузол|вузли|вузлів}}, {{formatnum:1234567,5|R}}"): (
        "21 вузол, 25 вузлів, 1234567.5"
    ),
    ("fr", "{{plural:0|nœud|nœuds}} {{plural:1.5|nœud|nœuds}} {{plural:2|nœud|nœuds}} {{Modèle:nobr|x}}"): (
        "nœud nœud nœuds x"
    ),
    ("ja", "{{plural:2|船|船々}} {{ページ名}} {{大文字:a}} {{#もし:x|甲|乙}} {{Template:nobr|x}}"): "船々 Титул A 甲 x",
    ("de", "{{Vorlage:nowrap|10 Knoten}} {{SEITENNAME}} {{GROSS:ä}} {{vorlage:Nowrap|x}} {{seitenname}}"): (
        "10 Knoten Титул Ä x"
    ),
    ("es", "{{Plantilla:nowrap|x}} {{NOMBREDEPAGINA}} {{mayus:ñ}}"): "x Титул Ñ",
    ("he", "{{תבנית:nowrap|x}} {{שם הדף}} {{#תנאי:|א|ב}}"): "x Титул ב",
    ("tr", "{{Şablon:nowrap|x}} {{SAYFAADI}} {{ucfirst:istanbul}} {{lcfirst:ISPARTA}}"): "x Титул İstanbul ıSPARTA",
    ("zh", "{{模板:nowrap|x}} {{樣板:nowrap|y}} {{#if:a|是|否}}"): "x y 是",
    ("xx", "{{Template:nowrap|x}} {{template:Nowrap|y}} {{PAGENAME}} {{SEITENNAME}}"): "x y Титул",
}  # fmt: skip


@pytest.mark.parametrize("wikitext", EXAMPLES)
def test_examples(wikitext: str) -> None:
    assert CLEANER.clean(wikitext, "Foo bar/Baz").text == EXAMPLES[wikitext]


@pytest.mark.parametrize(("code", "wikitext"), OTHER_LANGUAGES)
def test_names_in_other_languages(code: str, wikitext: str) -> None:
    assert clean(wikitext, code, {10: "Шаблон"}, title="Титул").text == OTHER_LANGUAGES[code, wikitext]


def test_padding_has_a_limit() -> None:
    assert len(clean("{{padleft:7|100000|0}}").text) == 500
