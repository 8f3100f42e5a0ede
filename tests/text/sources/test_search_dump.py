"""Search dumps of Wikimedia (CirrusSearch): index lines are skipped, articles are read, other sources name the cure."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charlm.data.settings import CorpusSettings
from charlm.errors import CharlmError, DataError
from charlm.text.build import build_source
from charlm.text.document import Document, page_version
from charlm.text.settings import HubSettings, MixSettings, TextSettings, WikipediaSettings
from charlm.text.sources.hub.source import HubSource
from charlm.workflows.prepare import prepare
from tests.processes import Commands
from tests.text.sources.test_page_versions import dump, element, texts

Lines = list[dict[str, Any]]


def pair(identifier: int | str, text: str | None, **fields: Any) -> Lines:
    """The two lines of a page, with the fields that real ones have."""
    page = {
        "template": ["Template:Stub"], "content_model": "wikitext", "opening_text": None, "wiki": "enwiki",
        "auxiliary_text": [], "language": "en", "title": f"T{identifier}", "text": text, "defaultsort": False,
        "timestamp": "2024-01-01T00:00:00Z", "redirect": [{"namespace": 0, "title": "R"}], "version": 7,
        "version_type": "external", "namespace": 0, "namespace_text": "", "text_bytes": 9, "incoming_links": 1,
    }  # fmt: skip
    return [{"index": {"_type": "_doc", "_id": str(identifier)}}, page | fields]


def without(lines: Lines, *names: str) -> Lines:
    return [{name: value for name, value in line.items() if name not in names} for line in lines]


def encoded(lines: Lines) -> bytes:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def put(folder: Path, name: str, lines: Lines) -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(encoded(lines))
    return str(folder / name)


def source(*inputs: str, **values: Any) -> HubSource:
    return HubSource(HubSettings(input=inputs, **values))


TWO = pair(12, "A ship is a vessel.") + pair(3, "A harbour is a place.")
DOCUMENTS = [("12", "T12", "A ship is a vessel."), ("3", "T3", "A harbour is a place.")]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "enwiki-20240101-cirrussearch-content.json.gz": gzip.compress,
    "enwiki-20240101-cirrussearch-content.json": bytes,
    "enwiki_content-20260816-00000.json.bz2": bz2.compress,
    "dump.jsonl.xz": lzma.compress,
    "in-two-streams.json.gz": lambda content: gzip.compress(content[:99]) + gzip.compress(content[99:]),
}


@pytest.mark.parametrize("name", PACKERS)
def test_articles_of_a_dump_in_any_packing(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(PACKERS[name](encoded(TWO)))
    reader = source(str(path))
    assert [(document.id, document.title, document.text) for document in reader.documents()] == DOCUMENTS
    assert (reader.page_counts.pages, dict(reader.page_counts.dropped)) == (2, {})


CASES: dict[str, tuple[Lines, list[tuple[str, str, str]], dict[str, int]]] = {
    "index lines of older dumps": ([{"index": {"_type": "page", "_id": "5"}}, pair(5, "a")[1]], [("5", "T5", "a")], {}),
    "index lines of newer dumps": (
        [{"index": {"_index": "enwiki_content", "_id": 5}}, pair(5, "a")[1]], [("5", "T5", "a")], {},
    ),
    "other namespaces": (
        pair(1, "a") + pair(2, "b", namespace=4, namespace_text="Wikipedia") + pair(3, "c", namespace=100),
        [("1", "T1", "a")], {"namespace": 2},
    ),
    "other content models": (pair(1, "{}", content_model="json") + pair(2, "b"), [("2", "T2", "b")], {"model": 1}),
    "pages without text": (
        pair(1, None) + pair(2, "") + without(pair(3, "x"), "text") + pair(4, "d"), [("4", "T4", "d")], {"empty": 3},
    ),
    "few fields": (
        without(pair(1, "a"), "wiki", "version", "namespace", "content_model", "title"), [("1", "", "a")], {},
    ),
    "fields of changing types": (
        pair(1, "a") + pair(2, "b", defaultsort="B", redirect=[], ores_articletopics=["x"], version="9"),
        [("1", "T1", "a"), ("2", "T2", "b")], {},
    ),
    "scripts and escapes": (pair(1, "Корабль\u2028🙂 \"x\"\\ \n"), [("1", "T1", "Корабль\u2028🙂 \"x\"\\ \n")], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_pages_are_kept_or_counted(case: str, tmp_path: Path) -> None:
    lines, expected, dropped = CASES[case]
    reader = source(put(tmp_path, "dump.json", lines))
    assert [(document.id, document.title, document.text) for document in reader.documents()] == expected
    assert dict(reader.page_counts.dropped) == dropped
    assert reader.page_counts.pages == len(lines) // 2


def test_another_field_may_be_the_text(tmp_path: Path) -> None:
    path = put(tmp_path, "dump.json", pair(1, "all", opening_text="the beginning") + TWO)
    assert [document.text for document in source(path, column="opening_text").documents()] == ["the beginning"]
    by_title = source(path, column="text", id_column="title", title_column="timestamp")
    assert next(iter(by_title.documents())).id == "T1"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([TWO[0], TWO[1], TWO[3]], "row 3 is a page without an index line"),
        ([TWO[0], TWO[2], TWO[3]], "row 1 is an index line without its page"),
        ([TWO[0], TWO[1], TWO[2]], "ends with an index line without its page"),
        ([TWO[0]], "ends with an index line without its page"),
        ([TWO[0], TWO[1], TWO[1], TWO[1]], "row 3 is a page without an index line"),
    ],
)
def test_lines_that_do_not_pair_are_refused_with_the_cure(lines: Lines, message: str, tmp_path: Path) -> None:
    path = put(tmp_path, "dump.json", lines)
    with pytest.raises(DataError, match=f"{message}.*; give the whole dump, or cut it after an even number of lines"):
        list(source(path).documents())


def test_a_cut_download_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "dump.json.gz"
    path.write_bytes(gzip.compress(encoded(TWO))[:-20])
    with pytest.raises(DataError, match=r"ends at byte .*damaged"):
        list(source(str(path)).documents())


@pytest.mark.parametrize("kind", [WikipediaSettings, TextSettings])
@pytest.mark.parametrize("name", PACKERS)
def test_other_sources_say_how_to_read_it(
    kind: type[WikipediaSettings | TextSettings], name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(PACKERS[name](encoded(TWO)))
    with pytest.raises(CharlmError, match=r"JSON.*--source hub"):
        list(build_source(kind(input=(str(path),))).documents())


@pytest.mark.parametrize(
    "content", ['{"text": "a"}\n', '[{"text": "a"}]', '\n {"index": 5}', '{"index": {"_type": "x"}}']
)
def test_other_json_is_a_text_as_before_but_no_dump(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    assert [d.text for d in build_source(TextSettings(input=(str(path),))).documents()] == [content]
    with pytest.raises(DataError, match=r"holds JSON.*--source hub"):
        list(build_source(WikipediaSettings(input=(str(path),))).documents())


def test_a_column_called_index_makes_no_search_dump(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", [{"index": {"_id": 1}, "text": "a"}, {"index": 2, "text": "b"}])
    assert list(source(path).documents()) == [Document("0", "", "a"), Document("1", "", "b")]


def test_versions_in_two_dumps_of_both_kinds(tmp_path: Path) -> None:
    """The version of a page is its revision id, so that a search dump and a dump of wikitext fit together."""
    old = put(tmp_path / "old", "dump.json", pair(4, "The first.", version=1) + pair(5, "The second.", version=2))
    new = put(tmp_path / "new", "dump.json", pair(4, "The third.", version=3) + pair(6, "The sixth.", namespace=2))
    wikitext = tmp_path / "dump.xml"
    wikitext.write_bytes(dump(element("5", "0", [(9, "The ninth.")]), element("6", "0", [(1, "x")]), wiki="enwiki"))
    for number, inputs in enumerate([(old, new), (new, old)]):
        mix = MixSettings(sources=(HubSettings(input=inputs), WikipediaSettings(input=(str(wikitext),))))
        corpus = prepare(CorpusSettings(source=mix, split="60/40"), build_source(mix), tmp_path / f"corpus-{number}")
        assert texts(corpus) == ["The ninth.", "The third."]
        assert corpus.metadata["documents"]["dropped"] == {"namespace": 1, "older version": 3}
    (first, *_) = source(old).documents()
    assert first.version == page_version("enwiki", "4", "", 1)._replace(title_key=0)


def test_prepare_reads_a_search_dump(tmp_path: Path, commands: Commands) -> None:
    lines = [line for number in range(40) for line in pair(number, f"The text of page {number}. " * 9)]
    name = "enwiki-20240101-cirrussearch-content.json.gz"
    (tmp_path / name).write_bytes(gzip.compress(encoded(lines + pair(99, "Talk.", namespace=1))))
    documents = commands.json("prepare", "--source", "hub", "--input", name, "--out", "corpus")["documents"]
    assert (documents["pages"], documents["kept"], documents["dropped"]) == (41, 40, {"namespace": 1})
