"""The cleaner shows what MediaWiki's parser shows: examples of each kind of markup, and the reported cases."""

import tomllib
from pathlib import Path

import pytest

from charlm.text.dump.pages import DumpReader
from charlm.text.wikitext import Cleaner

NAMESPACES = {
    "de": {6: "Datei", 14: "Kategorie"},
    "ru": {6: "Файл", 14: "Категория"},
    "ja": {6: "ファイル", 14: "カテゴリ"},
}
EXAMPLES = [
    (kind, *example)
    for kind, entry in tomllib.loads(Path(__file__).with_name("mediawiki.toml").read_text("utf-8")).items()
    for example in entry["examples"]
]
CASES = {
    "f02_block_markers_from_inline.xml": {
        "F01 hash in bold": "#Harbour is a movement of sailors.\n\nSecond paragraph.",
        "F02 star in italics": (
            "*wódr̥ is the reconstructed word for water.\n\n*kʷis and *kʷid are pronouns."
        ),
        "F03 item with reconstructed form": (
            "Forms:\n\n- *ph₂tḗr 'father'\n- *méh₂tēr 'mother'\n- *unmarked form\n- #1 in the charts"
            "\n- #2 in the autumn\n- *starred in a numbered list"
        ),
        "F04 label begins with hash": (
            "#ships was used a thousand times.\n\n*Sync is a band.\n\n#1 record of the year."
        ),
        "F05 quote begins with hash": "#MeToo began here.\n\n#Ships was the word.\n\n*Star*",
        "F06 entity at line start": (
            "*Sync is a band of five.\n\n#1 was their first record.\n\n|x| is the absolute value."
            "\n\n== not a heading ==\n\n*Note: a footnote."
        ),
        "F14 hash sup": "* marks a note.\n\n* Also a note.\n\n#3 of the series",
    },
    "f03_heading_in_template.xml": {
        "A02 heading in template argument": "First paragraph.\n\nLast paragraph.",
        "A03 heading in quote template": (
            "First paragraph.\n\nThe letter began:\n\n== Greeting ==\n\nMy dear friend.\n\nLast paragraph."
        ),
        "F16 dd in table template": "Hans was a ship.",
        "ja": "導入。\n\n終わり。",
    },
    "f04_variant_braces.xml": {
        "A01 iupac braces": (
            "Its systematic name is 4-(2-{4-[(3R)-bromo]piperidin-1-yl}-2-oxoethyl)piperidine, a white solid."
            "\n\nIn graph theory G-{v} denotes the graph without the vertex v."
        ),
        "F12 variants on the wiki": "The set A-{x} and B-{x, y}- and -{R|z}- end.",
        "F13 title braces": (
            "N-{2-[(4-amino)phenyl]ethyl}-N-methylacetamide is a drug. The range {1}-{5} is closed."
        ),
    },
    "f06_external_links.xml": {
        "A08 brackets in external label": "The study Le port [in French and its ships] was printed twice.",
        "A09 other protocols": (
            "It ran a gopher server, a chat channel, a repository, a subversion trunk, a magnet link, a telephone, a "
            "room, a file store, a matrix room and a place."
        ),
        "G04 ideographic blank": "港の歴史と船の歴史を参照。",
    },
    "f07_caption_bracket.xml": {
        "A10 caption ends with external link": (
            "The ship was built in 1900.\n\nThe second ship was built in 1910."
        ),
    },
    "f08_rule_with_text.xml": {
        "A12 rule and text": (
            "Before the rule.\n\nAfter the rule on the same line.\n\nAnother one.\n\nThe end."
        ),
    },
    "f09_unclosed_table.xml": {
        "A13 unclosed table": "Before the table.\n\n== Next section ==\n\nProse under the heading.",
    },
    "f13_zh_rules.xml": {
        "实体": "甲约翰 史密斯乙。", "分号": "丙一;二丁。", "和号": "戊《问&答》己。",
        "描述": "壬大陆：博客；臺灣：部落格；癸。",
    },
    "f14_empty_brackets.xml": {
        "F08 legit empty brackets": (
            "An empty pair of parentheses () marks a call without arguments, and square brackets [ ] an empty list."
            "\n\nThe quotation marks “ ” and « » are typographic. In the language two semicolons ;; end a phrase."
        ),
    },
    "f15_bar_at_line_start.xml": {
        "A23 pipe at line start": "The value of |x| is never negative.\n\nAfter.",
        "F07": (
            "|x| is the absolute value of x.\n\n|G| denotes the order of the group."
            "\n\n|x| is never negative.\n\nThe end."
        ),
    },
    "f20_four_quotes.xml": {"Q": "The ('' sign.\n\nTime''s cover."},
}  # fmt: skip


@pytest.mark.parametrize(("kind", "language", "wikitext", "text"), EXAMPLES)
def test_examples(kind: str, language: str, wikitext: str, text: str) -> None:
    cleaner = Cleaner(language, NAMESPACES.get(language, {6: "File", 14: "Category"}))
    assert cleaner.clean(wikitext, "Page").text == text, kind


def test_each_kind_has_examples_in_three_languages() -> None:
    for kind in {kind for kind, *_ in EXAMPLES} - {"language variants"}:  # few languages have variants
        mine = [(language, wikitext) for name, language, wikitext, _ in EXAMPLES if name == kind]
        assert len(mine) >= 5
        assert len({language for language, _ in mine}) >= 3


@pytest.mark.real_data
@pytest.mark.parametrize("file", CASES)
def test_reported_cases(file: str, shared_data: Path) -> None:
    dump = DumpReader(shared_data / "wikitext-cases" / file)
    cleaner = Cleaner(dump.siteinfo.language, dump.siteinfo.namespaces)
    texts = {page.title: cleaner.clean(page.text, page.title).text for page in dump if page.title in CASES[file]}
    assert texts == CASES[file]
