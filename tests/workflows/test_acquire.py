"""Before a corpus is read: resolved once, said, asked, downloaded."""

import contextlib
import io
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from charlm.data.settings import CorpusSettings
from charlm.errors import NetworkError, StorageError, UsageError
from charlm.text.download.retry import RetryPolicy
from charlm.text.settings import WikipediaSettings
from charlm.workflows import acquire
from charlm.workflows.corpus_directory import working_directory
from charlm.workflows.corpus_identity import find_prepared
from charlm.workflows.prepare import prepare
from charlm.workflows.progress import download_bar
from tests.fault_server import FaultServer, answer, drop_after, serve
from tests.mirror import serve_wiki, small_dump

OLD, NEW = "20261001", "20261101"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FaultServer]:
    with FaultServer() as server:
        monkeypatch.setenv("CHARLM_MIRROR", server.url())
        monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / "cache"))
        serve_wiki(server, "xxwiki", small_dump("xxwiki"), OLD)
        yield server


SETTINGS = CorpusSettings(source=WikipediaSettings(language="xx", mirrors=()))


@contextlib.contextmanager
def no_bar(total: int) -> Generator[Callable[[int], None], None, None]:
    assert total > 0
    yield lambda _: None


def fetch(out: Path, *, yes: bool = True) -> tuple[acquire.Source, list[str]]:
    notes: list[str] = []
    source = acquire.open_source(SETTINGS, out)
    acquire.fetch(source, SETTINGS, out, note=notes.append, confirm=lambda: yes, show=no_bar)
    return source, notes


def test_one_line_before_a_download_says_bytes_disk_and_both_paths(server: FaultServer, tmp_path: Path) -> None:
    out = tmp_path / "data" / "xxwiki"
    _, notes = fetch(out)
    size = len(small_dump("xxwiki"))
    assert len(notes) == 1
    for part in (f"{size / 1e3:.3g} kB", f"{7 * size / 1e3:.3g} kB of disk", str(tmp_path / "cache"), str(out)):
        assert part in notes[0]


def test_a_rerun_keeps_to_the_dump_it_began_with(server: FaultServer, tmp_path: Path) -> None:
    out = tmp_path / "data" / "xxwiki"
    fetch(out)  # and then the process dies
    serve_wiki(server, "xxwiki", small_dump("xxwiki", seed=1), NEW)
    source, notes = fetch(out)
    assert source.resolved_settings() == {"date": OLD}
    assert notes == []
    corpus = prepare(SETTINGS, source, out)
    assert corpus.metadata["origin"]["date"] == OLD
    assert not working_directory(out).exists()
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == []


def remake(server: FaultServer, date: str) -> None:
    serve_wiki(server, "xxwiki", small_dump("xxwiki", seed=1), date)


def remove(server: FaultServer, date: str) -> None:
    for path in [path for path in server.files if date in path]:
        del server.files[path]
    serve_wiki(server, "xxwiki", small_dump("xxwiki", seed=1), NEW)


@pytest.mark.parametrize(
    ("change", "what", "date"),
    [(remake, "bytes instead of", OLD), (remove, "does not exist (404)", NEW)],
    ids=["made again", "removed"],
)
def test_a_half_finished_download_of_a_dump_that_was_replaced(
    server: FaultServer, tmp_path: Path, change: Callable[[FaultServer, str], None], what: str, date: str
) -> None:
    """The error names --refresh, which begins again with the files that are there; no part of the old ones is left."""
    out = tmp_path / "data" / "xxwiki"
    server.script += [serve, serve, drop_after(5000), answer(403)]
    with pytest.raises(NetworkError, match="403"):
        fetch(out)
    change(server, OLD)
    with pytest.raises(NetworkError) as raised:
        fetch(out)
    assert what in str(raised.value)
    assert f"if the dump of {OLD} was replaced since it was found, add --refresh" in str(raised.value)
    source = acquire.open_source(SETTINGS, out, refresh=True)
    acquire.fetch(source, SETTINGS, out, note=lambda _: None, confirm=lambda: True, show=no_bar)
    corpus = prepare(SETTINGS, source, out)
    assert corpus.metadata["origin"]["date"] == date
    (folder,) = (path for path in (tmp_path / "cache" / "dumps" / "xxwiki").iterdir() if path.name == date)
    assert not list(folder.glob("*.part*"))


def test_a_half_finished_download_goes_on_beside_a_newer_dump(server: FaultServer, tmp_path: Path) -> None:
    out = tmp_path / "data" / "xxwiki"
    server.script += [serve, serve, drop_after(5000), answer(403)]
    with pytest.raises(NetworkError, match="403"):
        fetch(out)
    serve_wiki(server, "xxwiki", small_dump("xxwiki", seed=1), NEW)
    server.requests.clear()
    source, _ = fetch(out)
    assert [request.headers.get("range") for request in server.requests] == ["bytes=5000-"]
    assert source.resolved_settings() == {"date": OLD}


def test_a_prepared_corpus_needs_no_server(server: FaultServer, tmp_path: Path) -> None:
    out = tmp_path / "data" / "xxwiki"
    source, _ = fetch(out)
    made = prepare(SETTINGS, source, out)
    server.requests.clear()
    found = find_prepared(SETTINGS, out)
    assert found is not None
    assert found.fingerprint == made.fingerprint
    assert server.requests == []


def test_a_no_downloads_nothing(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acquire, "BIG_DOWNLOAD", 10)
    with pytest.raises(UsageError, match="nothing was downloaded"):
        fetch(tmp_path / "xxwiki", yes=False)
    assert not any(request.path.endswith(".bz2") for request in server.requests)


def test_an_unwritable_output_is_said_before_any_request(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        fetch(tmp_path / "file" / "xxwiki")
    assert server.requests == []


def test_an_unknown_wiki_is_a_network_error_with_a_cure(server: FaultServer, tmp_path: Path) -> None:
    settings = CorpusSettings(source=WikipediaSettings(language="qq", mirrors=()))
    with pytest.raises(NetworkError, match=r"qqwiki; .*--language"):
        acquire.open_source(settings, tmp_path / "out").download_plan()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_shows_speed_and_time_left_and_begins_where_the_last_time_ended(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = small_dump("xxwiki", 1500)
    size = len(dump)
    serve_wiki(server, "xxwiki", dump, OLD)
    out = tmp_path / "xxwiki"
    source = acquire.open_source(SETTINGS, out)
    plan = source.download_plan()
    assert plan is not None
    present = size // 2
    half = plan.directory / f"xxwiki-{OLD}-pages-articles-multistream.xml.bz2.part"
    half.write_bytes(dump[:present])
    server.pace = size  # bytes a second: half a second for what is left
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    acquire.fetch(source, SETTINGS, out, note=lambda _: None, confirm=lambda: True, show=download_bar)
    assert server.sent_twice(f"/xxwiki/{OLD}/{half.name.removesuffix('.part')}") == 0
    shown = [line for line in terminal.getvalue().split("\r") if "%" in line]
    percents = [int(line.partition("%")[0].rpartition(" ")[2]) for line in shown]
    assert percents[0] == 50
    assert percents == sorted(percents)
    assert 90 <= percents[-1] <= 100
    num_bytes, _, times = shown[-1].partition("[")
    assert f"/{size / 1e3:.3g}" in num_bytes
    assert re.search(r"<00:00, .*B/s", times)


def test_waits_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with download_bar(100) as show:
        show(0)
        show(10)
        RetryPolicy().notify("nobody answers")
        show(100)
    assert "nobody answers\n" in [line.lstrip() for line in re.split(r"\r|(?<=\n)", terminal.getvalue())]


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with download_bar(100) as show:
        show(0)
        show(100)
    assert capsys.readouterr().err == ""
