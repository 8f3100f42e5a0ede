"""XML to pages: malformed or hostile XML is an error, unusual XML is understood."""

import re
import tracemalloc
from pathlib import Path

import pytest

from charlm.errors import DataError
from charlm.text.dump.pages import DumpReader, Page

SITEINFO = """<siteinfo><sitename>W</sitename><dbname>dewiki</dbname><base>https://de.wikipedia.org/wiki/Start</base>
<namespaces><namespace key="-2">Medium</namespace><namespace key="0" /><namespace key="6">Datei</namespace>
<namespace key="14">Kategorie</namespace></namespaces></siteinfo>"""


def page(number: int, text: str = "text", *, title: str = "", extra: str = "<ns>0</ns>") -> str:
    revision = f"<revision><id>9{number}</id><text>{text}</text></revision>"
    return f"<page><title>{title or f'T{number}'}</title>{extra}<id>{number}</id>{revision}</page>"


def export(*pages: str, version: str = "0.11", end: str = "</mediawiki>", siteinfo: str = SITEINFO) -> bytes:
    namespace = f"http://www.mediawiki.org/xml/export-{version}/"
    return f'<mediawiki xmlns="{namespace}" xml:lang="de">{siteinfo}{"".join(pages)}{end}'.encode()


def read(tmp_path: Path, content: bytes) -> list[Page]:
    path = tmp_path / "dump.xml"
    path.write_bytes(content)
    return list(DumpReader(path))


@pytest.mark.real_data
def test_ltgwiki_to_the_character(shared_data: Path) -> None:
    folder = shared_data / "mediawiki"
    dump = DumpReader(folder / "ltgwiki-2017-09-pages-articles.xml.bz2")
    assert dump.siteinfo.dbname == "ltgwiki"
    assert dump.siteinfo.language == "ltg"
    assert dump.siteinfo.namespaces[14] == "Kategoreja"
    single = list(dump)
    assert sum(len(page.text) for page in single) == 2_301_426
    assert {page.model for page in single} == {"wikitext", "css", "javascript", "Scribunto"}


@pytest.mark.real_data
def test_last_revision_of_a_history(shared_data: Path) -> None:
    pages = list(DumpReader(shared_data / "mediawiki/edge-cases/mwxml-history-dump.xml"))
    assert [(page.title, page.namespace, page.text) for page in pages] == [
        ("Foo", 0, "Revision 2 text"), ("Bar", 1, "Revision 3 text"),
    ]  # fmt: skip


@pytest.mark.real_data
def test_memory_is_bounded(shared_data: Path) -> None:
    """10 MB of XML, read while holding one page at a time (lxml's own memory is freed with the elements)."""
    path = shared_data / "mediawiki/enwiki-2022-fragment.xml.bz2"
    largest = max(len(page.text) for page in DumpReader(path))
    tracemalloc.start()
    for _ in DumpReader(path):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * largest + (2 << 20)


def test_doctype_and_entities_are_refused(tmp_path: Path) -> None:
    plain = export(page(1))
    bomb = '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    for prolog in ("<!DOCTYPE mediawiki>", bomb, f"<?xml version='1.0'?>\n<!-- x -->\n{bomb}", "\ufeff <!DOCTYPE x>"):
        with pytest.raises(DataError, match="DOCTYPE"):
            read(tmp_path, prolog.encode() + plain)
    for codec in ("utf-16-le", "utf-16-be", "utf-16"):
        with pytest.raises(DataError, match="DOCTYPE"):
            read(tmp_path, (f"<!-- ⴭ><mediawiki -->{bomb}" + plain.decode()).encode(codec))
    with pytest.raises(DataError):
        read(tmp_path, export(page(1, "&undeclared;")))
    with pytest.raises(DataError, match="declares the encoding UTF-7"):
        read(tmp_path, b'<?xml version="1.0" encoding="UTF-7"?>' + plain)


@pytest.mark.parametrize("text", ["&#xD800;", "&#0;", "\x00", "\udc80", "\udced\udca0\udc80"])
def test_what_is_no_text_is_refused(tmp_path: Path, text: str) -> None:
    """Surrogates, NUL and invalid UTF-8 are errors: they neither enter a corpus nor shorten it."""
    content = export(page(1), page(2, "TEXT"), page(3)).replace(b"TEXT", text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="malformed XML in line"):
        read(tmp_path, content)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declared", [True, False])
def test_encodings(tmp_path: Path, codec: str, declared: bool) -> None:
    """With and without a byte order mark, with and without a declaration."""
    xml = export(page(1, "Café 𝔸 שלום " * 9_000), page(2)).decode()
    declaration = f'<?xml version="1.0" encoding="{codec[:6].strip("-").upper()}"?>' if declared else ""
    if codec[-2:] in ("le", "be") and not declared:
        xml = "\ufeff" + xml  # XML in UTF-16 has the one or the other
    found = read(tmp_path, (declaration + xml).encode(codec))
    assert [page.text for page in found] == ["Café 𝔸 שלום " * 9_000, "text"]


def test_a_foreign_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a MediaWiki export but <html>"):
        read(tmp_path, b"<html><page></page></html>")


def test_malformed_xml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 5"):
        read(tmp_path, export(page(1), "\n\n", "<page><title>x</page>"))
    for broken in (export(page(1, "\x01")), export(page(1)) + b"<more/>", b"<"):
        with pytest.raises(DataError, match=r"before byte [\d,]+"):
            read(tmp_path, broken)


def test_huge_comment_and_attribute_are_refused(tmp_path: Path) -> None:
    long = "x" * 1_100_000
    for hostile in (
        export(page(1), f"<!--{long}-->", page(2)),
        export(f'<page a="{long}"><title>t</title></page>'),
        f'<mediawiki a="{long}"></mediawiki>'.encode(),
        f"<!--{long}-->".encode() + export(page(1)),
    ):
        with pytest.raises(DataError, match=r"1,[01]00,000"):
            read(tmp_path, hostile)


def test_excerpt_gives_its_whole_pages(tmp_path: Path) -> None:
    whole = export(page(1), page(2), page(3))
    path = tmp_path / "d.xml"
    ends = [found.end() for found in re.finditer(b"</page>", whole)]
    for cut in {*range(whole.index(b"<page>"), len(whole) - 1, 7), *ends}:
        path.write_bytes(whole[:cut])
        dump = DumpReader(path)
        ids = [page.id for page in dump]
        assert len(ids) == whole[:cut].count(b"</page>")
        assert dump.excerpt


@pytest.mark.parametrize("version", ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.10", "0.11"])
def test_every_export_version(tmp_path: Path, version: str) -> None:
    assert [found.text for found in read(tmp_path, export(page(1, "a &amp; b"), version=version))] == ["a & b"]


def test_odd_but_valid(tmp_path: Path) -> None:
    pages = read(
        tmp_path,
        export(
            page(1, title="Datei:A.jpg", extra=""),
            page(2, title="Category:B", extra=""),
            page(3, title="Star Trek: C", extra=""),
            page(4, "#WEITERLEITUNG [[Ziel]]"),
            page(5, " \n#перенаправление: [[Цель]]"),
            page(6, "#1 of the list"),
            page(7, extra='<ns>0</ns><redirect title="X" />'),
            "<page><title>No revision</title><ns>0</ns><id>8</id></page>",
            page(9).replace("</revision>", "<model>css</model></revision>"),
            page(10).replace("<text>text</text>", '<text deleted="deleted" />'),
        ),
    )
    assert [found.namespace for found in pages[:3]] == [6, 14, 0]
    assert [found.redirect for found in pages] == [False] * 3 + [True, True, False, True] + [False] * 3
    assert [found.text for found in pages[7:]] == ["", "text", ""]
    assert [found.model for found in pages[7:]] == ["wikitext", "css", "wikitext"]
    assert [found.id for found in read(tmp_path, export(page(1), siteinfo=""))] == ["1"]
    assert read(tmp_path, b"<mediawiki/>") == []
    assert [found.text for found in read(tmp_path, export(page(1, "a<!-- c -->b<?pi d?>c<![CDATA[<d>]]>")))] == [
        "abc<d>"
    ]


def test_several_revisions_and_slots(tmp_path: Path) -> None:
    """The last revision counts, with its own model, and its main slot (0.11 puts other slots into `<content>`)."""
    first = "<revision><model>css</model><text>old</text></revision>"
    last = "<revision><model> wikitext </model><text>new</text><content><text>slot</text></content></revision>"
    deleted = '<revision><text deleted="deleted" /></revision>'
    one, two = (f"<page><title>T</title><ns>0</ns><id>1</id>{first}{end}</page>" for end in (last, last + deleted))
    assert [(found.model, found.text) for found in read(tmp_path, export(one, two))] == [
        ("wikitext", "new"), ("wikitext", ""),
    ]  # fmt: skip


def test_a_page_of_many_megabytes(tmp_path: Path) -> None:
    text = "0123456789" * 1_200_000
    assert [len(found.text) for found in read(tmp_path, export(page(1, text), page(2)))] == [len(text), 4]
