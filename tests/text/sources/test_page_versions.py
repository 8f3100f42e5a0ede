"""Versions of one wiki page: the newest is kept, or all of them, and never in two splits."""

import bz2
import hashlib
import itertools
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.data.corpus import Corpus
from charlm.data.documents import read_parts
from charlm.data.row_builder import RowOptions
from charlm.data.selection import select_documents
from charlm.data.settings import CorpusSettings
from charlm.data.staging import stage
from charlm.text.build import build_source
from charlm.text.document import Document, PageCounts, PageVersion, page_version
from charlm.text.dump.pages import PageReader
from charlm.text.dump.plan import plan_dump
from charlm.text.reading.unpacking import XmlChunk
from charlm.text.settings import MixSettings, WikipediaSettings
from charlm.text.sources import wikipedia as wikipedia_module
from charlm.text.split import SPLITS, RepeatedPages, SplitRouter
from charlm.workflows.corpus_identity import find_prepared
from charlm.workflows.prepare import prepare
from tests.workspaces import snapshot

Versions = Literal["newest", "all"]
FILLER = [(f"9{number}", "0", ((1, f"Filler page number {number} about the sea. " * 9),)) for number in range(8)]


def revision(number: int | None, text: str) -> str:
    identifier = f"<id>{number}</id>" if number is not None else ""
    return f"<revision>{identifier}<contributor><id>7</id></contributor><text>{text}</text></revision>"


def element(identifier: str, namespace: str, revisions: Sequence[tuple[int | None, str]], title: str = "") -> str:
    content = "".join(revision(number, text) for number, text in revisions)
    return f"<page><title>{title or 'T' + identifier}</title><ns>{namespace}</ns><id>{identifier}</id>{content}</page>"


def dump(*pages: str, wiki: str = "dewiki", filler: bool = True) -> bytes:
    site = f"<siteinfo><dbname>{wiki}</dbname></siteinfo>" if wiki else ""
    others = "".join(element(*page) for page in FILLER) if filler else ""
    return f'<mediawiki version="0.11" xml:lang="de">{site}{"".join(pages)}{others}</mediawiki>'.encode()


def put(folder: Path, *contents: bytes) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.xml" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return tuple(map(str, paths))


def prepared(folder: Path, inputs: Sequence[str], versions: Versions = "newest", workers: int = 1) -> Corpus:
    source = WikipediaSettings(input=tuple(inputs), versions=versions)
    settings = CorpusSettings(source=source, split="60/40")
    return prepare(settings, build_source(source), folder, workers=workers)


def texts_by_split(corpus: Corpus) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for split in corpus.splits:
        texts = found.setdefault(split, {})
        for part in read_parts(corpus.directory / "documents", split):
            texts[part.document.id] = texts.get(part.document.id, "") + part.document.text
    return found


def texts(corpus: Corpus) -> list[str]:
    """The texts of all documents but the filler, without cuts."""
    whole: dict[str, str] = {}
    for documents in texts_by_split(corpus).values():
        for identifier, text in documents.items():
            whole[identifier] = whole.get(identifier, "") + text
    return sorted(text for text in whole.values() if not text.startswith("Filler"))


ONE, TWO, THREE = ((1, "The first."), (2, "The second."), (3, "The third."))
CASES: dict[str, tuple[list[bytes], list[str], dict[str, int]]] = {
    "a page element for each revision": (
        [dump(*(element("4", "0", [each]) for each in (ONE, TWO, THREE)))],
        ["The third."],
        {"older version": 2},
    ),
    "page elements in any order": (
        [dump(*(element("4", "0", [each]) for each in (TWO, THREE, ONE)))],
        ["The third."],
        {"older version": 2},
    ),
    "revisions of one element, the newest last": ([dump(element("4", "0", [ONE, TWO, THREE]))], ["The third."], {}),
    "revisions of one element, the newest first": ([dump(element("4", "0", [THREE, TWO, ONE]))], ["The third."], {}),
    "revisions of one element, the newest in the middle": (
        [dump(element("4", "0", [ONE, THREE, TWO]))],
        ["The third."],
        {},
    ),
    "two dumps": (
        [dump(element("4", "0", [ONE])), dump(element("4", "0", [TWO]), filler=False)],
        ["The second."],
        {"older version": 1},
    ),
    "a renamed page": (
        [dump(element("4", "0", [ONE], "Old name")), dump(element("4", "0", [TWO], "New name"), filler=False)],
        ["The second."],
        {"older version": 1},
    ),
    "a page that has become a redirect": (
        [dump(element("4", "0", [ONE])), dump(element("4", "0", [(2, "#REDIRECT [[T5]]")]), filler=False)],
        [],
        {"older version": 1, "redirect": 1},
    ),
    "a page that has left the articles": (
        [dump(element("4", "0", [ONE])), dump(element("4", "2", [TWO]), filler=False)],
        [],
        {"older version": 1, "namespace": 1},
    ),
    "a page that was emptied": (
        [dump(element("4", "0", [ONE])), dump(element("4", "0", [(2, " ")]), filler=False)],
        [],
        {"older version": 1, "empty": 1},
    ),
    "a redirect that has become an article": (
        [dump(element("4", "0", [(1, "#REDIRECT [[T5]]")])), dump(element("4", "0", [TWO]), filler=False)],
        ["The second."],
        {"redirect": 1},
    ),
    "one dump twice": (
        [dump(element("4", "0", [ONE])), dump(element("4", "0", [ONE]), filler=False)],
        ["The first."],
        {"duplicate": 1},
    ),
    "equal ids in two wikis": (
        [dump(element("4", "0", [ONE])), dump(element("4", "0", [TWO]), wiki="frwiki", filler=False)],
        ["The first.", "The second."],
        {},
    ),
    "equal ids where the wiki is unknown": (
        [
            dump(element("4", "0", [ONE], "River"), element("5", "0", [TWO], "Sea"), wiki=""),
            dump(
                element("4", "0", [THREE], "River"),
                element("5", "0", [(4, "The fourth.")], "Hill"),
                wiki="",
                filler=False,
            ),
        ],
        ["The fourth.", "The second.", "The third."],
        {"older version": 1},
    ),
    "ids of a dump that was written by hand": (
        [dump(*(element("1", "0", [each], each[1]) for each in (ONE, THREE, TWO, (4, "#REDIRECT [[T5]]"))))],
        ["The first.", "The second.", "The third."],
        {"redirect": 1},
    ),
    "unknown revisions are all kept": (
        [dump(element("4", "0", [(None, "The first.")]), element("4", "0", [(None, "The second.")]))],
        ["The first.", "The second."],
        {},
    ),
    "pages without an id are all kept": (
        [dump(element("", "0", [ONE]), element("", "0", [TWO]))],
        ["The first.", "The second."],
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_newest_version_is_kept_in_any_order_of_the_inputs(case: str, tmp_path: Path) -> None:
    contents, expected, dropped = CASES[case]
    for number, order in enumerate(itertools.permutations(put(tmp_path / "dumps", *contents))):
        corpus = prepared(tmp_path / f"corpus-{number}", order)
        assert texts(corpus) == expected
        counts = corpus.metadata["documents"]
        assert counts["dropped"] == dropped
        assert counts["pages"] == counts["kept"] + sum(dropped.values())


@pytest.mark.parametrize("case", CASES)
def test_all_versions_of_a_page_are_in_one_split(case: str, tmp_path: Path) -> None:
    contents, _, _ = CASES[case]
    corpus = prepared(tmp_path / "corpus", put(tmp_path / "dumps", *contents), "all")
    assert set(CASES[case][1]) <= set(texts(corpus))
    if case.startswith(("a page element", "page elements", "revisions")):
        assert texts(corpus) == ["The first.", "The second.", "The third."]
    if not any(words in case for words in ("equal ids", "without an id", "by hand")):
        splits = [
            name
            for name, found in texts_by_split(corpus).items()
            if any(text.startswith("The ") for text in found.values())
        ]
        assert len(splits) <= 1
    counts = corpus.metadata["documents"]
    assert counts["pages"] == counts["kept"] + sum(counts["dropped"].values())
    assert "older version" not in counts["dropped"]


def test_a_setting_of_a_later_charlm_is_recorded_only_where_it_differs(tmp_path: Path) -> None:
    inputs = put(tmp_path / "dumps", dump(element("4", "0", [ONE])))
    corpus = prepared(tmp_path / "corpus", inputs)
    assert "versions" not in corpus.metadata["settings"]["source"]
    settings = CorpusSettings(source=WikipediaSettings(input=inputs), split="60/40")
    assert find_prepared(settings, corpus.directory) is not None
    assert prepared(tmp_path / "all", inputs, "all").metadata["settings"]["source"]["versions"] == "all"


def many_pages(num_pages: int, num_versions: int) -> list[str]:
    """A page element for each version, the versions of a page far apart."""
    return [
        element(str(page), "0", [(1000 * version + page, f"Page {page} as it was in the year {version}. " * 40)])
        for version in range(num_versions)
        for page in range(1, num_pages + 1)
    ]


@pytest.mark.parametrize("versions", ["newest", "all"])
def test_workers_and_ranges_do_not_change_the_corpus(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = many_pages(40, 3)
    whole = dump(*pages, filler=False)
    head, _, _ = whole.partition(b"<page>")
    streams = [head, *("".join(pages[start : start + 10]).encode() for start in range(0, 120, 10)), b"</mediawiki>"]
    path = tmp_path / "0.xml"
    path.write_bytes(b"".join(bz2.compress(stream) for stream in streams))
    assert len(plan_dump(path, 1).ranges) > 4
    expected = prepared(tmp_path / "one", [str(path)], versions)
    assert prepared(tmp_path / "two", [str(path)], versions, workers=2).fingerprint == expected.fingerprint
    monkeypatch.setattr(wikipedia_module, "plan_dump", lambda path, **_: plan_dump(path, 1))
    in_ranges = prepared(tmp_path / "ranges", [str(path)], versions)
    assert in_ranges.fingerprint == expected.fingerprint
    assert snapshot(in_ranges.directory) == snapshot(expected.directory)
    assert in_ranges.metadata["documents"]["kept"] == (40 if versions == "newest" else 120)


def test_shards_of_a_killed_attempt_still_outdate_the_older_dump(tmp_path: Path) -> None:
    contents, _, dropped = CASES["a page that has become a redirect"]
    source = WikipediaSettings(input=put(tmp_path / "dumps", *contents))
    for _ in range(2):  # the second time, all shards are found on disk
        shards = list(stage(build_source(source), tmp_path / "staged", RowOptions(), 1))
        selection = select_documents(shards, ["60/40"], {})
        assert dict(selection.page_counts.dropped) == dropped


def test_a_subset_has_at_most_one_version_of_a_page(tmp_path: Path) -> None:
    inputs = put(tmp_path / "dumps", dump(*many_pages(40, 3), filler=False))
    source = WikipediaSettings(input=inputs, max_characters=60_000)
    corpus = prepare(CorpusSettings(source=source, split="60/40"), build_source(source), tmp_path / "corpus")
    kept = texts(corpus)
    assert 5 < len(kept) <= 40
    assert all("in the year 2" in text for text in kept)
    assert sum(map(len, kept)) <= 60_000


def test_one_wiki_in_two_sources_of_a_mixture(tmp_path: Path) -> None:
    old, new, other = put(
        tmp_path / "dumps",
        dump(element("4", "0", [ONE]), element("5", "0", [TWO])),
        dump(element("4", "0", [THREE]), filler=False),
        dump(element("5", "0", [(9, "The page of another wiki.")]), wiki="ltgwiki", filler=False),
    )
    mix = MixSettings(sources=tuple(WikipediaSettings(input=(path,)) for path in (old, new, other)))
    corpus = prepare(CorpusSettings(source=mix, split="60/40"), build_source(mix), tmp_path / "corpus")
    assert texts(corpus) == ["The page of another wiki.", "The second.", "The third."]
    assert corpus.metadata["documents"]["dropped"] == {"older version": 1}


def test_a_short_newest_version_is_counted_as_short(tmp_path: Path) -> None:
    inputs = put(
        tmp_path / "dumps", dump(element("4", "0", [(1, "The first, long version.")]), element("4", "0", [TWO]))
    )
    source = WikipediaSettings(input=inputs)
    settings = CorpusSettings(source=source, split="60/40", min_characters=15)
    corpus = prepare(settings, build_source(source), tmp_path / "corpus")
    assert texts(corpus) == []
    assert corpus.metadata["documents"]["dropped"] == {"older version": 1, "short": 1}


@pytest.mark.real_data
def test_page_elements_of_the_cases(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "wikitext-cases/f01_page_elements_per_revision.xml"
    corpus = prepared(tmp_path / "newest", [str(path)])
    assert texts(corpus) == [
        "Another page.",
        "The harbour lies in the north of the town and was built in 1850 by the council and the guild.",
    ]
    assert corpus.metadata["documents"] == {
        "pages": 4, "kept": 2, "dropped": {"older version": 2}, "near_identical": 0,
    }  # fmt: skip
    found = texts_by_split(prepared(tmp_path / "all", [str(path)], "all"))
    assert [sum("harbour" in text for text in documents.values()) for documents in found.values()] == [3, 0]


# ---- readers and routers


def read(content: bytes, *, all_versions: bool) -> list[tuple[str, int, bool, str]]:
    chunks = iter([XmlChunk(content[start : start + 7], start) for start in range(0, len(content), 7)])
    reader = PageReader(Path("dump.xml"), chunks, all_versions=all_versions)
    return [(page.id, page.revision, page.redirect, page.text) for page in reader]


def test_every_revision_is_a_page_if_all_versions_are_wanted() -> None:
    history = [ONE, (2, "#REDIRECT [[X]]"), THREE]
    tagged = element("4", "0", history).replace("<revision>", "<redirect title='X'/><revision>", 1)
    content = dump(tagged, element("5", "0", []), element("6", "0", [TWO]), wiki="", filler=False)
    assert read(content, all_versions=True) == [
        ("4", 0, False, "The first."), ("4", 0, True, "#REDIRECT [[X]]"), ("4", 0, False, "The third."),
        ("5", 0, False, ""), ("6", 0, False, "The second."),
    ]  # fmt: skip
    assert read(content, all_versions=False) == [
        ("4", 3, True, "The third."), ("5", 0, False, ""), ("6", 2, False, "The second."),
    ]  # fmt: skip


@given(st.permutations(range(1, 9)))
def test_the_newest_revision_is_found_wherever_it_stands(order: list[int]) -> None:
    content = dump(element("4", "0", [(number, f"Text {number}.") for number in order]), filler=False)
    assert read(content, all_versions=False) == [("4", 8, False, "Text 8.")]


def page_key(wiki: str, page: str, title: str) -> int:
    return page_version(wiki, page, title, 1).page_key


def test_pages_of_two_wikis_have_different_keys() -> None:
    keys = [page_key(wiki, page, "T") for wiki in ("dewiki", "frwiki", "") for page in ("1", "11")]
    assert len(set(keys)) == 6
    assert page_key("dewiki", "1", "Old") == page_key("dewiki", "1", "New") != 0
    assert page_key("", "1", "Old") != page_key("", "1", "New")
    assert page_key("dewiki", "", "T") == 0
    assert all(-(2**63) <= key < 2**63 for key in keys)


def test_counts_of_dropped_versions_add_up() -> None:
    counts, other = PageCounts(), PageCounts()
    counts.drop("redirect", PageVersion(5, 7, 9))
    other.drop("empty")
    other.drop("redirect", PageVersion(6, 0, 9))  # an unknown revision outdates nothing
    counts.add(other)
    assert counts.dropped == {"redirect": 2, "empty": 1}
    assert counts.dropped_versions.tolist() == [5, 7, 9]


def _split_as(name: str, documents: Sequence[Document]) -> Mapping[str, Sequence[tuple[str, int]]] | None:
    return {documents[0].id: [("valid", len(documents[0].text))]} if name == "like" and documents else None


@pytest.mark.parametrize("method", ["hash", "position", "like"])
@given(pages=st.lists(st.integers(1, 6), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_versions_follow_the_first_one_and_nothing_else_moves(method: str, pages: list[int], seed: int) -> None:
    documents = [
        Document(
            hashlib.sha256(f"{seed} {number}".encode()).hexdigest(), "", "x" * (20 + number), version=PageVersion(page)
        )
        for number, page in enumerate(pages)
    ]
    sizes = {
        key: sum(len(document.text) for document in documents if document.version.page_key == key)
        for key in sorted(pages)
    }
    keys = [key for key in sizes if pages.count(key) > 1]
    repeated = RepeatedPages(array("q", keys), array("q", [sizes[key] for key in keys]))
    total = sum(len(document.text) for document in documents)
    routers = [
        SplitRouter(
            dict(zip(SPLITS, (60, 20, 20), strict=True)), method, total, _split_as(method, documents), repeated_pages
        )
        for repeated_pages in (repeated, None)
    ]
    split_of_page: dict[int, str] = {}
    for document in documents:
        routed, alone = (
            [(name, p.part, p.is_last_part, p.document.text) for name, p in r.route(document)] for r in routers
        )
        assert "".join(text for *_, text in routed) == document.text
        if document.version.page_key in keys:
            assert len(routed) == 1
            assert routed[0][0] == split_of_page.setdefault(document.version.page_key, routed[0][0])
        elif method != "position":
            assert routed == alone


def test_by_position_the_splits_have_their_sizes_wherever_the_versions_are() -> None:
    """Two dumps after each other, all versions kept: all first versions are in the first half of the text."""
    documents = [Document(f"{number}", "", "x" * 10, version=PageVersion(1 + number % 100)) for number in range(200)]
    repeated = RepeatedPages(array("q", range(1, 101)), array("q", [20] * 100))
    router = SplitRouter(dict(zip(SPLITS, (60, 20, 20), strict=True)), "position", 2000, None, repeated)
    sizes: dict[str, int] = dict.fromkeys(SPLITS, 0)
    for document in documents:
        for name, part in router.route(document):
            sizes[name] += len(part.document.text)
    assert sizes == {"train": 1200, "valid": 400, "test": 400}
