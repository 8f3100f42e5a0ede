"""Finding the dump of some settings on a server laid out like dumps.wikimedia.org."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlm.errors import NetworkError, SettingsError
from charlm.storage import cache_directory
from charlm.text.download.retry import RetryPolicy
from charlm.text.settings import WikipediaSettings
from charlm.text.wikimedia.releases import licence, mirrors, resolve, user_agent, wiki_name
from tests.fault_server import FaultServer, answer

JOB = "articlesmultistreamdump"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in ("CHARLM_MIRROR", "CHARLM_CONTACT", "CHARLM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def entry(wiki: str, date: str, name: str, size: int = 5) -> dict[str, object]:
    return {"size": size, "url": f"/{wiki}/{date}/{name}", "md5": "0" * 32, "sha1": "1" * 40}


def add_run(server: FaultServer, wiki: str, date: str, status: str = "done") -> None:
    """One dated run, its status file in the real format, and the listing of the wiki's dates."""
    stem = f"{wiki}-{date}-pages-articles-multistream"
    names = (f"{stem}.xml.bz2", f"{stem}-index.txt.bz2")
    files = {name: entry(wiki, date, name) for name in names}
    jobs = {JOB: {"status": status, "updated": "2024-08-03 15:04:06", "files": files}, "pagetable": {"status": "done"}}
    server.files[f"/{wiki}/{date}/dumpstatus.json"] = json.dumps({"jobs": jobs, "version": "0.8"}).encode()
    dates = sorted(
        path.split("/")[2] for path in server.files if path.startswith(f"/{wiki}/2") and path.count("/") == 3
    )
    lines = "".join(f'<a href="{date}/">{date}/</a>   21-Aug-2024 02:04    -\n' for date in dates)
    server.files[f"/{wiki}/"] = (
        f'<html><body><h1>Index of /{wiki}/</h1><hr><pre><a href="../">../</a>\n{lines}<a href="latest/">latest/</a>\n'
    ).encode()


def settings(server: FaultServer, **values: str) -> WikipediaSettings:
    return WikipediaSettings(mirrors=(server.url(),), **values)  # pyright: ignore[reportArgumentType]


QUICK = RetryPolicy(sleep=lambda _: None, notify=lambda _: None)


def test_latest_is_the_newest_finished_run(server: FaultServer, tmp_path: Path) -> None:
    for date, status in (
        ("20240701", "done"),
        ("20240720", "done"),
        ("20240801", "in-progress"),
        ("20240820", "failed"),
    ):
        add_run(server, "simplewiki", date, status)
    dump = resolve(settings(server), cache=tmp_path, retry_policy=QUICK)
    assert (dump.wiki, dump.date) == ("simplewiki", "20240720")
    assert [file.name for file in dump.files] == ["simplewiki-20240720-pages-articles-multistream.xml.bz2"]
    assert dump.files[0].urls == (server.url("/simplewiki/20240720/" + dump.files[0].name),)
    assert (dump.files[0].size, dump.files[0].sha1) == (5, "1" * 40)
    assert dump.files[0].index is not None
    assert dump.files[0].index.name == "simplewiki-20240720-pages-articles-multistream-index.txt.bz2"
    assert dump.directory == tmp_path / "dumps/simplewiki/20240720"
    assert [r.path for r in server.requests] == [
        "/simplewiki/", "/simplewiki/20240820/dumpstatus.json", "/simplewiki/20240801/dumpstatus.json",
        "/simplewiki/20240720/dumpstatus.json",
    ]  # fmt: skip


def test_a_resolved_date_needs_no_network(server: FaultServer, tmp_path: Path) -> None:
    add_run(server, "simplewiki", "20240720")
    first = resolve(settings(server, date="20240720"), cache=tmp_path, retry_policy=QUICK)
    server.requests.clear()
    assert resolve(settings(server, date="20240720"), cache=tmp_path, retry_policy=QUICK) == first
    assert server.requests == []
    (first.directory / "dump.json").write_text("{damaged")
    assert resolve(settings(server, date="20240720"), cache=tmp_path, retry_policy=QUICK) == first
    assert len(server.requests) == 1


def test_a_missing_date_names_those_that_exist(server: FaultServer, tmp_path: Path) -> None:
    add_run(server, "simplewiki", "20240701")
    add_run(server, "simplewiki", "20240720")
    with pytest.raises(NetworkError, match=r"no dump of 20230101; there are 20240720, 20240701"):
        resolve(settings(server, date="20230101"), cache=tmp_path, retry_policy=QUICK)
    assert not list(tmp_path.rglob("*"))


def test_unknown_wiki_unfinished_run_and_nonsense(server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"no dumps of a wiki named xxwiki; check --language"):
        resolve(settings(server, language="xx"), cache=tmp_path, retry_policy=QUICK)
    add_run(server, "dewiki", "20240801", "in-progress")
    with pytest.raises(NetworkError, match="not finished"):
        resolve(settings(server, language="de", date="20240801"), cache=tmp_path, retry_policy=QUICK)
    with pytest.raises(NetworkError, match="none of its dumps"):
        resolve(settings(server, language="de"), cache=tmp_path, retry_policy=QUICK)
    server.files["/dewiki/20240801/dumpstatus.json"] = b"<html>login</html>"
    with pytest.raises(NetworkError, match="proxy or login"):
        resolve(settings(server, language="de", date="20240801"), cache=tmp_path, retry_policy=QUICK)
    for values in ({"date": "yesterday"}, {"language": "../etc"}, {"wiki": "Upper"}):
        with pytest.raises(SettingsError):
            resolve(settings(server, **values), cache=tmp_path, retry_policy=QUICK)


@pytest.mark.parametrize(
    ("values", "question"),
    [
        ({"language": "Bashkir"}, "did you mean ba (Bashkir)?"),
        ({"language": "latgalian"}, "did you mean ltg (Latgalian)?"),
        ({"language": "russian", "date": "20240801"}, "did you mean ru (Russian)?"),
        ({"wiki": "russianwikisource"}, "did you mean ruwikisource (Russian Wikisource)?"),
        ({"wiki": "commons"}, "did you mean commonswiki (Wikimedia Commons)?"),
    ],
)
def test_names_in_words_are_answered_without_the_network(
    server: FaultServer, tmp_path: Path, values: dict[str, str], question: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(settings(server, **values), cache=tmp_path, retry_policy=QUICK)
    assert caught.value.cure == question
    assert not server.requests


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"language": "pt-br"}, "there are no dumps of a wiki named pt_brwiki; did you mean pt (Portuguese)?"),
        (
            {"wiki": "enwikitionary"},
            "there are no dumps of a wiki named enwikitionary; did you mean enwiktionary (English Wiktionary)?",
        ),
        (
            {"language": "en-us", "date": "20240801"},
            "there are no dumps of a wiki named en_uswiki; did you mean en (English)?",
        ),
    ],
)
def test_unknown_wikis_are_asked_for_and_then_guessed(
    server: FaultServer, tmp_path: Path, values: dict[str, str], message: str
) -> None:
    with pytest.raises(NetworkError) as caught:
        resolve(settings(server, **values), cache=tmp_path, retry_policy=QUICK)
    assert str(caught.value) == message
    assert len(server.requests) >= 1
    wiki = wiki_name(settings(server, **values))
    add_run(server, wiki, "20240801")  # new wikis appear
    assert resolve(settings(server, **values), cache=tmp_path, retry_policy=QUICK).wiki == wiki


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"language": "русский"},
            "corpus.source.language = 'русский' is not a valid language; did you mean ru (Russian)?",
        ),
        (
            {"language": "../etc"},
            "corpus.source.language = '../etc' is not a valid language; write one like en, pt or zh-yue",
        ),
        (
            {"wiki": "ru.wikisource.org"},
            (
                "corpus.source.wiki = 'ru.wikisource.org' is not a valid wiki; "
                "did you mean ruwikisource (Russian Wikisource)?"
            ),
        ),
        ({"wiki": "???"}, "corpus.source.wiki = '???' is not a valid wiki; write one like ruwikisource"),
    ],
)
def test_what_cannot_be_a_name_is_not_asked_for(
    server: FaultServer, tmp_path: Path, values: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(settings(server, **values), cache=tmp_path, retry_policy=QUICK)
    assert str(caught.value) == message
    assert server.requests == []


def test_runs_that_have_no_articles_yet_are_passed_over(server: FaultServer, tmp_path: Path) -> None:
    add_run(server, "simplewiki", "20240701")
    for date, jobs in (("20240720", {}), ("20240801", {JOB: {"status": "waiting"}})):
        add_run(server, "simplewiki", date)
        server.files[f"/simplewiki/{date}/dumpstatus.json"] = json.dumps({"jobs": jobs}).encode()
    assert resolve(settings(server), cache=tmp_path, retry_policy=QUICK).date == "20240701"
    with pytest.raises(NetworkError, match=r"of simplewiki of 20240720 is not finished \(not started\)"):
        resolve(settings(server, date="20240720"), cache=tmp_path, retry_policy=QUICK)


def test_without_an_answer_the_dumps_of_the_cache_are_named(server: FaultServer, tmp_path: Path) -> None:
    for date in ("20240701", "20240720"):
        add_run(server, "simplewiki", date)
        resolve(settings(server, date=date), cache=tmp_path, retry_policy=QUICK)
    server.script += [answer(500)] * 6
    with pytest.raises(NetworkError, match=r"\(500\), 6 times; .*; or use .*: --date 20240720 or 20240701$"):
        resolve(settings(server), cache=tmp_path, retry_policy=QUICK)
    with pytest.raises(NetworkError, match="no dumps of a wiki named dewiki; check"):
        resolve(settings(server, wiki="dewiki"), cache=tmp_path, retry_policy=QUICK)


def test_file_names_cannot_leave_the_cache(server: FaultServer, tmp_path: Path) -> None:
    files = {"../../evil.bz2": entry("dewiki", "20240801", "x"), "dewiki-20240801-pages-articles.xml.bz2": {}}
    status = {"jobs": {JOB: {"status": "done", "files": files}}}
    server.files["/dewiki/20240801/dumpstatus.json"] = json.dumps(status).encode()
    with pytest.raises(NetworkError, match="no multistream files"):
        resolve(settings(server, language="de", date="20240801"), cache=tmp_path, retry_policy=QUICK)


def test_mirrors_in_order(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run(server, "simplewiki", "20240720")
    with FaultServer() as bare:
        monkeypatch.setenv("CHARLM_MIRROR", f" {bare.url()}/ {bare.url('/x')}")
        dump = resolve(settings(server), cache=tmp_path, retry_policy=QUICK)
        path = f"/simplewiki/20240720/{dump.files[0].name}"
        assert dump.files[0].urls == (bare.url(path), bare.url("/x" + path), server.url(path))
        assert [r.path for r in bare.requests][:2] == ["/simplewiki/", "/x/simplewiki/"]
    monkeypatch.setenv("CHARLM_MIRROR", "ftp.example")
    with pytest.raises(SettingsError, match="is not a URL"):
        mirrors(settings(server))


def test_mirrors_may_leave_out_hashes(server: FaultServer, tmp_path: Path) -> None:
    name = "dewiki-20240801-pages-articles-multistream.xml.bz2"
    status = {"jobs": {JOB: {"status": "done", "files": {name: {"url": "/x"}}}}}
    server.files["/dewiki/20240801/dumpstatus.json"] = json.dumps(status).encode()
    (file,) = resolve(settings(server, language="de", date="20240801"), cache=tmp_path, retry_policy=QUICK).files
    assert (file.size, file.sha1, file.md5, file.index) == (None, None, None, None)


def test_every_request_says_who_asks(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLM_CONTACT", "me@example.org")
    add_run(server, "simplewiki", "20240720")
    server.script += [answer(500)]
    resolve(settings(server), cache=tmp_path, retry_policy=QUICK)
    assert len(server.requests) == 3
    for request in server.requests:
        assert request.headers["user-agent"].startswith("charlm/")
        assert "me@example.org)" in request.headers["user-agent"]
    assert "you@example.org" in user_agent(settings(server, contact="you@example.org"))
    assert "me@" not in user_agent(settings(server, contact="you@example.org"))
    with pytest.raises(SettingsError):
        user_agent(settings(server, contact="a\r\nHost: b"))


@pytest.mark.real_data
@pytest.mark.parametrize(("wiki", "date"), [("enwiki", "20240801"), ("wikidatawiki", "20220401")])
def test_real_dumpstatus(server: FaultServer, shared_data: Path, tmp_path: Path, wiki: str, date: str) -> None:
    content = (shared_data / f"dump-metadata/{wiki}-{date}-dumpstatus.json").read_bytes()
    server.files[f"/{wiki}/{date}/dumpstatus.json"] = content
    dump = resolve(settings(server, wiki=wiki, date=date), cache=tmp_path, retry_policy=QUICK)
    listed = json.loads(content)["jobs"][JOB]["files"]
    expected = {name for name in listed if "-index" not in name}
    assert {file.name for file in dump.files} == expected
    first_pages = [int(file.name.rpartition("-p")[2].partition("p")[0]) for file in dump.files]
    assert first_pages == sorted(first_pages)
    assert first_pages[0] == 1
    assert sum(file.size or 0 for file in dump.files) == sum(listed[name]["size"] for name in expected)
    indexes = [file.index for file in dump.files if file.index]
    assert {index.name for index in indexes} == listed.keys() - expected
    for file, index in zip(dump.files, indexes, strict=True):
        assert index.name == file.name.replace("multistream", "multistream-index").replace(".xml", ".txt")
        assert (index.size, index.sha1, index.md5) == tuple(listed[index.name][key] for key in ("size", "sha1", "md5"))
        assert index.urls == (server.url(f"/{wiki}/{date}/{index.name}"),)
    server.requests.clear()
    assert resolve(settings(server, wiki=wiki, date=date), cache=tmp_path, retry_policy=QUICK) == dump
    assert server.requests == []


def test_names_of_wikis() -> None:
    cases = {
        "simple": "simplewiki",
        "zh-min-nan": "zh_min_nanwiki",
        "yue": "zh_yuewiki",
        "nb": "nowiki",
        "ru": "ruwiki",
    }
    for language, wiki in cases.items():
        assert wiki_name(WikipediaSettings(language=language)) == wiki
    assert wiki_name(WikipediaSettings(language="de", wiki="ruwikisource")) == "ruwikisource"


def test_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "charlm"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_directory().parts[-3:] == ("Library", "Caches", "charlm")
    monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"


def test_licence_changed_in_june_2023() -> None:
    assert licence("20230601") == "CC BY-SA 3.0"
    assert licence("20230620") == "CC BY-SA 4.0"
