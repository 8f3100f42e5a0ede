"""Reading dumps: real ones to the page, damaged ones never in silence, hostile ones not at all."""

import bz2
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.errors import DataError, UsageError
from charlm.text.dump import Dump, Page, read_dump

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
    return list(read_dump(path))


# Real dumps: the counts are those of the data set's own README.


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "pages", "articles", "redirects", "excerpt"),
    [
        ("ltgwiki-2017-09-pages-articles.xml.bz2", 2004, 1050, 195, False),
        ("enwiki-2022-fragment.xml.bz2", 251, 250, 112, True),
        ("enwiki-table-markup.xml.bz2", 5, 5, 0, False),
        ("simplewiki-small.xml.bz2", 7, 6, 0, False),
        ("enwiki-pages-articles-sample.xml.bz2", 3, 3, 1, False),
        ("split-parts/pages-articles-sample4.xml-p4606p5340.bz2", 0, 0, 0, True),
        ("split-parts/pages-articles-sample1.xml.bz2", 8, 2, 0, False),
        ("minidumps/ru.xml.bz2", 1, 1, 0, False),
        ("minidumps/ur.xml.bz2", 4, 4, 0, False),
        ("edge-cases/fowiki-two-pages.xml.bz2", 2, 1, 0, False),
        ("edge-cases/article-pyrus.xml", 1, 1, 1, False),
        ("edge-cases/article-pyrus.xml.bz2", 1, 1, 1, False),
        ("edge-cases/article-pyrus-utf16.xml", 1, 1, 1, False),
        ("edge-cases/article-pyrus-utf16.xml.bz2", 1, 1, 1, False),
        ("edge-cases/article-pear.xml", 1, 1, 0, False),
        ("edge-cases/article-pear-0.10.xml", 1, 1, 0, False),
        ("edge-cases/pair-0.10.xml", 2, 1, 0, False),
        ("edge-cases/mwxml-history-dump.xml", 2, 1, 0, False),
    ],
)
def test_page_counts(shared_data: Path, name: str, pages: int, articles: int, redirects: int, excerpt: bool) -> None:
    read_bytes: list[int] = []
    path = shared_data / "mediawiki" / name
    dump = Dump(path, read_bytes.append)
    found = list(dump.pages())
    assert len(found) == pages
    assert sum(page.namespace == 0 for page in found) == articles
    assert sum(page.redirect for page in found) == redirects
    assert dump.excerpt is excerpt
    assert sum(read_bytes) == path.stat().st_size


@pytest.mark.real_data
def test_ltgwiki_to_the_character(shared_data: Path) -> None:
    folder = shared_data / "mediawiki"
    dump = Dump(folder / "ltgwiki-2017-09-pages-articles.xml.bz2")
    assert dump.siteinfo.dbname == "ltgwiki"
    assert dump.siteinfo.language == "ltg"
    assert dump.siteinfo.namespaces[14] == "Kategoreja"
    single = list(dump.pages())
    assert sum(len(page.text) for page in single) == 2_301_426
    assert {page.model for page in single} == {"wikitext", "css", "javascript", "Scribunto"}
    multistream = list(read_dump(folder / "ltgwiki-2017-09-repacked-pages-articles-multistream.xml.bz2"))
    assert multistream == single


@pytest.mark.real_data
def test_last_revision_of_a_history(shared_data: Path) -> None:
    pages = list(read_dump(shared_data / "mediawiki/edge-cases/mwxml-history-dump.xml"))
    assert [(page.title, page.namespace, page.text) for page in pages] == [
        ("Foo", 0, "Revision 2 text"), ("Bar", 1, "Revision 3 text"),
    ]  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("suffix", ["gz", "xz", "7z", "lzma", "xml_invalid.7z"])
def test_other_formats_are_named(shared_data: Path, suffix: str) -> None:
    name = f"article-pyrus.{suffix}" if "invalid" in suffix else f"article-pyrus.xml.{suffix}"
    with pytest.raises(DataError, match=r"\.xml\.bz2 or a \.xml"):
        Dump(shared_data / "mediawiki/edge-cases" / name)


@pytest.mark.real_data
def test_memory_is_bounded(shared_data: Path) -> None:
    """10 MB of XML, read while holding one page at a time (lxml's own memory is freed with the elements)."""
    path = shared_data / "mediawiki/enwiki-2022-fragment.xml.bz2"
    largest = max(len(page.text) for page in read_dump(path))
    tracemalloc.start()
    for _ in read_dump(path):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * largest + (2 << 20)


# bz2: every damage is found.


def packed(num_streams: int = 3) -> bytes:
    rng = random.Random(7)
    pages = [page(n, "".join(rng.choices("abcdefgh ", k=400))) for n in range(num_streams * 4)]
    whole = export(*pages)
    step = len(whole) // num_streams + 1
    return b"".join(bz2.compress(whole[i : i + step], 1) for i in range(0, len(whole), step))


def stream_starts(content: bytes) -> list[int]:
    return [i for i in range(len(content)) if content.startswith(b"BZh1", i)]


PACKED = packed()


def test_all_streams_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.bz2"
    path.write_bytes(PACKED)
    assert len(stream_starts(PACKED)) == 3
    assert [page.id for page in read_dump(path)] == [str(n) for n in range(12)]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, len(PACKED) - 1))
def test_cut_anywhere(tmp_path: Path, cut: int) -> None:
    """A cut inside a stream is an error with the offset; one between two streams is an excerpt, and said."""
    path = tmp_path / "d.bz2"
    path.write_bytes(PACKED[:cut])
    if cut in stream_starts(PACKED):
        dump = Dump(path)
        assert len(list(dump.pages())) < 12
        assert dump.excerpt
        return
    with pytest.raises(DataError, match=r"byte \d|none of the four"):
        list(read_dump(path))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(PACKED) - 1), mask=st.integers(1, 255))
def test_one_flipped_byte(tmp_path: Path, position: int, mask: int) -> None:
    """An error, or (bits that carry no data, such as the padding and the block size) exactly the same pages."""
    damaged = bytearray(PACKED)
    damaged[position] ^= mask
    path = tmp_path / "d.bz2"
    path.write_bytes(bytes(damaged))
    try:
        pages = list(read_dump(path))
    except DataError as error:
        assert "byte " in str(error) or "none of the four" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert [page.id for page in pages] == [str(n) for n in range(12)]
        assert sum(len(page.text) for page in pages) == 12 * 400


@pytest.mark.parametrize("junk", [b"junk", b"\0" * 10, b"BZ", b"BZh9junk", b"<mediawiki>"])
def test_trailing_junk(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "d.bz2"
    path.write_bytes(PACKED + junk)
    with pytest.raises(DataError, match=f"{len(PACKED):,}"):
        list(read_dump(path))


@pytest.mark.real_data
def test_real_multistream_damage_is_located(shared_data: Path, tmp_path: Path) -> None:
    content = (shared_data / "mediawiki/ltgwiki-2017-09-repacked-pages-articles-multistream.xml.bz2").read_bytes()
    path = tmp_path / "d.bz2"
    damaged = bytearray(content)
    damaged[400_000] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(DataError, match=r"stream that starts at byte ([\d,]+), before byte ([\d,]+)") as caught:
        list(read_dump(path))
    start, before = (int(word.rstrip(",;").replace(",", "")) for word in str(caught.value).split() if word[0].isdigit())
    assert start <= 400_000 < before <= start + 200_000
    path.write_bytes(content[:500_000])
    with pytest.raises(DataError, match="ends at byte 500,000"):
        list(read_dump(path))


# XML: what is malformed or hostile is refused, what is merely odd is understood.


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
    with pytest.raises(DataError, match="declared as"):
        read(tmp_path, b'<?xml version="1.0" encoding="UTF-7"?>' + plain)


def test_malformed_xml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 5"):
        read(tmp_path, export(page(1), "\n\n", "<page><title>x</page>"))
    for broken in (export(page(1, "\x01")), export(page(1)) + b"<more/>", b"<html><page></page></html>", b"<"):
        with pytest.raises(DataError):
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
    for cut in range(whole.index(b"<page>"), len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        dump = Dump(path)
        ids = [page.id for page in dump.pages()]
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


def test_a_page_of_many_megabytes(tmp_path: Path) -> None:
    text = "0123456789" * 1_200_000
    assert [len(found.text) for found in read(tmp_path, export(page(1, text), page(2)))] == [len(text), 4]


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        Dump(tmp_path / "absent.bz2")
    (tmp_path / "empty.bz2").touch()
    with pytest.raises(DataError, match="is empty"):
        Dump(tmp_path / "empty.bz2")
