"""Every dump of the data set: the counts equal those in its README."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from charlm.errors import DataError
from charlm.text.dump.counts import count_pages
from charlm.text.settings import WikipediaSettings
from charlm.text.sources.wikipedia import WikipediaSource
from tests.processes import Commands

pytestmark = pytest.mark.real_data

UNREADABLE = (".7z", ".lzma", "-index.txt.bz2")
"""Other formats, and the index, which is not XML."""
EDGE_CASES = {  # what the README says in words: pages, articles, redirects
    "fowiki-two-pages.xml.bz2": (2, 1, 0),
    "article-pear-0.10.xml": (1, 1, 0),
    "article-pear.xml": (1, 1, 0),
    **dict.fromkeys((f"article-pyrus.xml{suffix}" for suffix in ("", ".bz2", ".gz", ".xz")), (1, 1, 1)),
    **dict.fromkeys(("article-pyrus-utf16.xml", "article-pyrus-utf16.xml.bz2"), (1, 1, 1)),
    "dummy-reflinks.xml": (2, 1, 0),
    "dummy-template.xml": (3, 1, 0),
    "mwxml-history-dump.xml": (2, 1, 0),
    "pair-0.10.xml": (2, 1, 0),
    "ltgwiki-2017-09-repacked-pages-articles-multistream.xml.bz2": (2004, 1050, 195),
}


@dataclass(frozen=True)
class Row:
    path: Path
    pages: int
    articles: int | None = None
    redirects: int | None = None
    characters: int | None = None
    version: str | None = None
    excerpt: bool | None = None


def number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1].replace(",", "")) if found else None


def readme_rows(data: Path) -> list[Row]:
    """`| path | bytes | what it is | ...`, and for the minidumps `| path | bytes | bytes unpacked | pages | ...`."""
    rows: list[Row] = []
    for line in (data / "README.md").read_text().splitlines():
        found = re.match(r"\| `(mediawiki/[^`]*)` \|([^|]*)\|([^|]*)\|([^|]*)\|", line)
        if not found or found[1].endswith(UNREADABLE) or "invalid" in found[1]:
            continue
        path, what = data / found[1], found[3]
        if path.parent.name == "minidumps":
            rows.append(Row(path, int(found[4])))
        elif path.name in EDGE_CASES:
            rows.append(Row(path, *EDGE_CASES[path.name]))
        else:
            pages = number(r"(\d[\d,]*) pages", what)
            assert pages is not None, line
            version = re.search(r"export-([\d.]+)", what)
            rows.append(
                Row(
                    path,
                    pages,
                    number(r"(\d[\d,]*) in ns 0", what),
                    number(r"(\d[\d,]*) redirects", what),
                    number(r"(\d[\d,]*) characters of wikitext", what),
                    version[1] if version else None,
                    "NOT well-formed" in what or "no closing tag" in what,
                )
            )
    return rows


def test_every_dump_to_the_page(shared_data: Path) -> None:
    rows = readme_rows(shared_data)
    folders = Counter(row.path.parent.name for row in rows)
    on_disk = [path for path in (shared_data / "mediawiki").rglob("*") if path.is_file()]
    assert {row.path for row in rows} == {
        path for path in on_disk if not path.name.endswith(UNREADABLE) and "invalid" not in path.name
    }
    assert folders["minidumps"] >= 120
    for row in rows:
        read_bytes: list[int] = []
        found = count_pages(row.path, read_bytes.append)
        counts = found.counts
        assert counts.pages == row.pages, row
        assert row.articles is None or counts.namespaces[0] == row.articles, row
        assert row.redirects is None or counts.redirects == row.redirects, row
        assert row.characters is None or counts.characters == row.characters, row
        assert row.version is None or found.plan.siteinfo.version == row.version, row
        assert row.excerpt is None or counts.excerpt == row.excerpt, row
        assert counts.namespaces.total() == counts.models.total() == counts.pages
        assert sum(read_bytes) == row.path.stat().st_size
        assert found.plan.multistream == ("multistream" in row.path.name)
        assert found.as_json()["note"] == (
            f"{row.path.name} is an excerpt: it ends without </mediawiki>" if counts.excerpt else ""
        )
        if "stub" in row.path.name:
            assert counts.empty == counts.pages


def test_pages_in_are_documents_out_and_drops(shared_data: Path) -> None:
    """For every file, also after cleaning."""
    for row in readme_rows(shared_data):
        if row.path.stat().st_size > 1_000_000:
            continue  # seconds each; tests/text/sources/test_wikipedia.py has one of them
        source = WikipediaSource(WikipediaSettings(input=(str(row.path),)))
        documents = list(source.documents())
        assert source.page_counts.pages == row.pages, row
        assert len(documents) + source.page_counts.dropped.total() == row.pages, row


def test_models_are_counted(shared_data: Path) -> None:
    counts = count_pages(shared_data / "mediawiki/ltgwiki-2017-09-pages-articles.xml.bz2").counts
    assert {model: counts.models[model] for model in ("Scribunto", "css", "javascript")} == {
        "Scribunto": 28, "css": 4, "javascript": 4,
    }  # fmt: skip
    assert counts.empty == 3


@pytest.mark.parametrize("name", ["xml.7z", "xml.lzma", "xml_invalid.7z"])
def test_other_formats_are_named(shared_data: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"give a \.xml\.bz2, \.xml\.xz, \.xml\.gz or \.xml file"):
        count_pages(shared_data / f"mediawiki/edge-cases/article-pyrus.{name}")


@pytest.mark.parametrize("name", ["stub-articles-sample.xml.gz", "pages-articles-sample4.xml-p4606p5340.bz2"])
def test_no_text_is_an_error_of_prepare(shared_data: Path, commands: Commands, name: str) -> None:
    path = shared_data / "mediawiki/split-parts" / name
    error = commands.fail(3, "prepare", "--input", str(path), "--out", "out")
    assert f"no text in {count_pages(path).counts.pages} pages" in error


def test_parts_in_the_order_of_their_pages(shared_data: Path) -> None:
    parts = sorted((shared_data / "mediawiki/split-parts").glob("pages-articles-sample*p*p*.bz2"), reverse=True)
    assert len(parts) == 12
    ordered = WikipediaSource(WikipediaSettings(input=tuple(map(str, parts)))).parts()
    assert [int(part.path.name.split("-p")[-1].split("p")[0]) for part in ordered] == sorted(
        int(path.name.split("-p")[-1].split("p")[0]) for path in parts
    )
    mixed = (parts[0], shared_data / "mediawiki/edge-cases/pair-0.10.xml", parts[1])
    unordered = WikipediaSource(WikipediaSettings(input=tuple(map(str, mixed)))).parts()
    assert tuple(part.path for part in unordered) == mixed
