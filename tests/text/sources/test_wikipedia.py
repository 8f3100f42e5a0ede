"""From the name of a wiki, or a file, to documents and counts of the pages that were left out."""

import bz2
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlm.errors import DataError, NetworkError, SettingsError, UsageError
from charlm.text.download.retry import RetryPolicy
from charlm.text.settings import WikipediaSettings
from charlm.text.sources.wikipedia import WikipediaSource
from tests.fault_server import FaultServer, drop_after
from tests.text.dump.test_pages import export, page

DATE = "20240720"
STEM = f"dewiki-{DATE}-pages-articles-multistream"
PARTS = {
    f"{STEM}2.xml-p5p99.bz2": bz2.compress(export(page(5, "fünf [[Datei:x.png|thumb]]"), page(6, "''sechs''"))),
    f"{STEM}1.xml-p1p4.bz2": bz2.compress(export(page(1, "eins", title="Ä b?"), page(2, "#WEITERLEITUNG [[T1]]"))),
    f"{STEM}-index1.txt-p1p4.bz2": bz2.compress(b"600:1:T1\n"),
}
QUICK = RetryPolicy(delays=(0, 0), sleep=lambda _: None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.delenv("CHARLM_MIRROR", raising=False)
    with FaultServer() as server:
        files = {
            name: {
                "size": len(content),
                "url": f"/dewiki/{DATE}/{name}",
                "md5": hashlib.md5(content).hexdigest(),
                "sha1": hashlib.sha1(content).hexdigest(),
            }
            for name, content in PARTS.items()
        }
        status = {"jobs": {"articlesmultistreamdump": {"status": "done", "files": files}}, "version": "0.8"}
        server.files |= {f"/dewiki/{DATE}/{name}": content for name, content in PARTS.items()}
        server.files[f"/dewiki/{DATE}/dumpstatus.json"] = json.dumps(status).encode()
        server.files["/dewiki/"] = f'<a href="{DATE}/">{DATE}/</a>'.encode()
        yield server


def source(server: FaultServer, cache: Path, **values: str) -> WikipediaSource:
    settings = WikipediaSettings(language="de", mirrors=(server.url(),), **values)  # pyright: ignore[reportArgumentType]
    return WikipediaSource(settings, cache=cache, retry_policy=QUICK)


def local(*paths: Path) -> WikipediaSource:
    return WikipediaSource(WikipediaSettings(input=tuple(str(path) for path in paths)))


def test_download_then_documents(server: FaultServer, tmp_path: Path) -> None:
    wikipedia = source(server, tmp_path)
    plan = wikipedia.download_plan()
    assert plan is not None
    names = [f"{STEM}1.xml-p1p4.bz2", f"{STEM}2.xml-p5p99.bz2"]
    assert plan.num_bytes == sum(len(PARTS[name]) for name in names)
    assert plan.directory == tmp_path / "dumps/dewiki" / DATE
    progress: list[int] = []
    server.script.append(drop_after(40))
    wikipedia.fetch(progress.append)
    assert progress[-1] == plan.num_bytes
    assert wikipedia.download_plan() is None
    documents = list(wikipedia.documents())
    assert [(d.id, d.title, d.text) for d in documents] == [
        ("1", "Ä b?", "eins"), ("5", "T5", "fünf"), ("6", "T6", "sechs"),
    ]  # fmt: skip
    assert documents[0].url == "https://de.wikipedia.org/wiki/Ä_b%3F"
    assert wikipedia.page_counts.pages == 4
    assert dict(wikipedia.page_counts.dropped) == {"redirect": 1}
    assert wikipedia.resolved_settings() == {"date": DATE}
    assert sorted(path.name for path in plan.directory.iterdir()) == sorted([".lock", "dump.json", *names])


def test_offline_with_a_verified_cache(server: FaultServer, tmp_path: Path) -> None:
    online = source(server, tmp_path)
    documents = list(online.documents())
    origin = online.origin()
    server.requests.clear()
    server.files.clear()
    offline = source(server, tmp_path, **online.resolved_settings())
    assert offline.download_plan() is None
    assert list(offline.documents()) == documents
    assert offline.origin() == origin
    assert server.requests == []


def test_origin_says_what_was_read(server: FaultServer, tmp_path: Path) -> None:
    wikipedia = source(server, tmp_path)
    list(wikipedia.documents())
    origin = wikipedia.origin()
    name = f"{STEM}1.xml-p1p4.bz2"
    assert origin["files"][0] == {
        "name": name, "bytes": len(PARTS[name]), "sha1": hashlib.sha1(PARTS[name]).hexdigest(),
    }  # fmt: skip
    assert origin["urls"][0] == server.url(f"/dewiki/{DATE}/{name}")
    assert {key: origin[key] for key in ("source", "wiki", "language", "date", "licence")} == {
        "source": "wikipedia", "wiki": "dewiki", "language": "de", "date": DATE, "licence": "CC BY-SA 4.0",
    }  # fmt: skip
    assert json.loads(json.dumps(origin)) == origin


def test_a_failed_download_leaves_no_documents(server: FaultServer, tmp_path: Path) -> None:
    name = f"/dewiki/{DATE}/{STEM}2.xml-p5p99.bz2"
    whole = server.files[name]
    server.files[name] = whole[:-1] + b"x"
    with pytest.raises(DataError, match="is damaged"):
        list(source(server, tmp_path).documents())
    server.files[name] = whole
    server.script += [drop_after(0)] * 3
    with pytest.raises(NetworkError):
        list(source(server, tmp_path, date=DATE).documents())
    assert len(list(source(server, tmp_path, date=DATE).documents())) == 3


def test_census_of_every_reason(tmp_path: Path) -> None:
    pages = [
        page(1, "kept"),
        page(2, "#REDIRECT [[T1]]"),
        page(3, extra="<ns>10</ns>"),
        page(4, extra='<ns>1</ns><redirect title="x" />'),
        page(5, "{}").replace("</revision>", "<model>json</model></revision>"),
        page(6, " \n"),
        page(7, "{{stub}}[[Kategorie:X]]"),
    ]
    path = tmp_path / "dewiki-20230601-x.xml"
    path.write_bytes(export(*pages, end=""))
    wikipedia = local(path)
    assert wikipedia.download_plan() is None
    for _ in range(2):  # a second run counts afresh
        documents = list(wikipedia.documents())
        page_counts = wikipedia.page_counts
        assert page_counts.pages == len(documents) + sum(page_counts.dropped.values()) == 7
        assert dict(page_counts.dropped) == {"redirect": 1, "namespace": 2, "model": 1, "empty": 1, "no text left": 1}
    origin = wikipedia.origin()
    assert wikipedia.page_counts.notes == [f"{path.name} is an excerpt: it ends without </mediawiki>"]
    assert origin["files"] == [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    ]
    assert (origin["wiki"], origin["date"], origin["licence"]) == ("dewiki", "20230601", "CC BY-SA 3.0")
    assert str(tmp_path) not in json.dumps(origin)


def test_missing_input(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        list(local(tmp_path / "absent.xml").documents())


@pytest.mark.real_data
def test_multistream_gives_the_same_documents(shared_data: Path) -> None:
    single = local(shared_data / "mediawiki/ltgwiki-2017-09-pages-articles.xml.bz2")
    multi = local(shared_data / "mediawiki/ltgwiki-2017-09-repacked-pages-articles-multistream.xml.bz2")
    documents = list(single.documents())
    assert list(multi.documents()) == documents
    assert multi.page_counts == single.page_counts
    assert single.page_counts.pages == 2004
    assert single.page_counts.dropped["namespace"] == 2004 - 1050
    assert len(documents) + single.page_counts.dropped.total() == 2004
    assert len(documents) > 850
    assert len({document.id for document in documents}) == len(documents)
    assert all(document.url.startswith("https://ltg.wikipedia.org/wiki/") for document in documents)


@pytest.mark.real_data
def test_every_script_of_the_minidumps(shared_data: Path) -> None:
    """One article in each of 100 languages: each keeps its text and loses its markup."""
    paths = [
        p
        for p in sorted((shared_data / "mediawiki/minidumps").glob("*.bz2"))
        if p.name[:8] not in ("wikidata", "commons.")
    ]
    wikipedia = local(*paths)
    documents = list(wikipedia.documents())
    assert wikipedia.page_counts.pages == len(documents) + wikipedia.page_counts.dropped.total()
    assert len(documents) > 100
    for document in documents:
        assert len(document.text) > 20, document.title
        assert "[[" not in document.text, document.title
        assert "{{" not in document.text, document.title
        assert "<ref" not in document.text, document.title


def test_formulas_are_kept_as_tex_where_the_settings_say_so(tmp_path: Path) -> None:
    path = tmp_path / "xwiki.xml"
    path.write_bytes(export(page(1, "Let &lt;math&gt;x^2&lt;/math&gt; be even.")))
    texts = [
        next(WikipediaSource(WikipediaSettings(input=(str(path),), math=math)).documents()).text
        for math in ("drop", "tex")
    ]
    assert "x^2" not in texts[0]
    assert "x^2" in texts[1]


# A file given by its URL.


NAME = "xwiki-20240801-pages-articles.xml.bz2"
THREE = [page(n, f"text {n} {'x' * 200}") for n in range(3)]
SINGLE_STREAM = bz2.compress(export(*THREE))
MULTISTREAM = b"".join(bz2.compress(xml) for xml in (export(end=""), *(p.encode() for p in THREE), b"</mediawiki>"))


def given(url: str, cache: Path, **values: int) -> WikipediaSource:
    return WikipediaSource(WikipediaSettings(input=(url,), **values), cache=cache, retry_policy=QUICK)  # pyright: ignore[reportArgumentType]


def test_a_url_is_downloaded_once_and_read_like_a_file(server: FaultServer, tmp_path: Path) -> None:
    server.files[f"/x/{NAME}"] = SINGLE_STREAM
    source = given(server.url(f"/x/{NAME}?a=b"), tmp_path)
    server.files[f"/x/{NAME}?a=b"] = SINGLE_STREAM
    plan = source.download_plan()
    assert plan is not None
    assert (plan.description, plan.num_bytes) == (NAME, len(SINGLE_STREAM))
    documents = list(source.documents())
    (tmp_path / NAME).write_bytes(SINGLE_STREAM)
    own = local(tmp_path / NAME)
    assert list(own.documents()) == documents
    ours = own.origin()
    assert source.origin() == ours | {"urls": [server.url(f"/x/{NAME}?a=b")]}
    server.files.clear()
    server.requests.clear()
    assert list(given(server.url(f"/x/{NAME}?a=b"), tmp_path).documents()) == documents
    assert server.requests == []


def test_a_url_that_gives_no_dump(server: FaultServer, tmp_path: Path) -> None:
    server.files[f"/{NAME}"] = b"<html>log in</html>"
    with pytest.raises(NetworkError, match="proxy or login"):
        list(given(server.url(f"/{NAME}"), tmp_path).documents())
    server.files["/x.xml"] = b"<html>log in</html>"
    with pytest.raises(DataError, match="is not a MediaWiki export but <html>"):
        list(given(server.url("/x.xml"), tmp_path).documents())
    with pytest.raises(NetworkError, match="does not exist"):
        list(given(server.url("/absent.xml.bz2"), tmp_path).documents())
    with pytest.raises(SettingsError, match="does not name a file"):
        given(server.url("/"), tmp_path).download_plan()


@pytest.mark.parametrize("content", [SINGLE_STREAM, MULTISTREAM], ids=["single", "multistream"])
@pytest.mark.parametrize("name", [NAME, NAME.replace("articles", "articles-multistream")])
def test_a_subset_of_a_url_without_index(server: FaultServer, tmp_path: Path, content: bytes, name: str) -> None:
    """Read in ranges if it has several streams, otherwise downloaded; offline afterwards."""
    server.files[f"/{name}"] = content
    url = server.url(f"/{name}")
    documents = list(given(url, tmp_path, max_characters=430).documents())
    assert len(documents) == 2
    assert (next(iter((tmp_path / "urls").iterdir())) / name).is_file() is (content is SINGLE_STREAM)
    server.files.clear()
    server.requests.clear()
    assert list(given(url, tmp_path, max_characters=430).documents()) == documents
    assert server.requests == []


# The cache: refreshed and emptied.


def test_refresh_asks_again_and_drops_what_has_changed(server: FaultServer, tmp_path: Path) -> None:
    documents = list(source(server, tmp_path).documents())
    first, second = (
        tmp_path / "dumps/dewiki" / DATE / f"{STEM}{part}" for part in ("1.xml-p1p4.bz2", "2.xml-p5p99.bz2")
    )
    first.write_bytes(first.read_bytes()[:-1] + b"x")  # as a failing disk may do
    wikipedia = source(server, tmp_path)
    assert wikipedia.download_plan() is None
    wikipedia.refresh()
    assert not first.exists()
    assert second.exists()
    assert list(wikipedia.documents()) == documents
    # A newer dump is found, and one that was made again under its old date.
    changed = bz2.compress(export(page(5, "fünf, neu")))
    path = f"/dewiki/{DATE}/{second.name}"
    server.files[f"/dewiki/{DATE}/dumpstatus.json"] = server.files[f"/dewiki/{DATE}/dumpstatus.json"].replace(
        hashlib.sha1(PARTS[second.name]).hexdigest().encode(), hashlib.sha1(changed).hexdigest().encode()
    ).replace(b'"size": %d' % len(PARTS[second.name]), b'"size": %d' % len(changed))  # fmt: skip
    server.files[path] = changed
    wikipedia = source(server, tmp_path, date=DATE)
    assert wikipedia.download_plan() is None
    wikipedia.refresh()
    assert [document.text for document in wikipedia.documents()] == ["eins", "fünf, neu"]
    assert wikipedia.resolved_settings() == {"date": DATE}


def test_refresh_without_an_answer_changes_nothing(server: FaultServer, tmp_path: Path) -> None:
    documents = list(source(server, tmp_path).documents())
    server.files.clear()
    offline = source(server, tmp_path, date=DATE)
    with pytest.raises(NetworkError):
        offline.refresh()
    assert list(source(server, tmp_path, date=DATE).documents()) == documents


def test_discard_removes_what_was_downloaded_and_nothing_else(server: FaultServer, tmp_path: Path) -> None:
    wikipedia = source(server, tmp_path)
    documents = list(wikipedia.documents())
    origin = wikipedia.origin()
    wikipedia.discard()
    directory = tmp_path / "dumps/dewiki" / DATE
    assert sorted(path.name for path in directory.iterdir()) == [".lock", "dump.json"]
    again = source(server, tmp_path, date=DATE)
    assert list(again.documents()) == documents
    assert again.origin() == origin
    # A file given by URL is deleted, a local file of the user is not.
    server.files[f"/{NAME}"] = SINGLE_STREAM
    by_url = given(server.url(f"/{NAME}"), tmp_path)
    assert len(list(by_url.documents())) == 3
    by_url.discard()
    assert list((tmp_path / "urls").iterdir()) == []
    server.files[f"/{NAME}"] = MULTISTREAM
    in_ranges = given(server.url(f"/{NAME}"), tmp_path, max_characters=430)
    assert len(list(in_ranges.documents())) == 2
    assert next(iter((tmp_path / "urls").iterdir())).joinpath("streams").is_dir()
    in_ranges.discard()
    assert list((tmp_path / "urls").iterdir()) == []
    (tmp_path / NAME).write_bytes(SINGLE_STREAM)
    own = local(tmp_path / NAME)
    assert len(list(own.documents())) == 3
    own.discard()
    own.refresh()
    assert (tmp_path / NAME).is_file()
