"""A subset has the same articles from every kind of file, never too many, and downloads no more than it needs."""

import bz2
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.data.settings import CorpusSettings
from charlm.errors import DataError, NetworkError, SettingsError
from charlm.text.build import build_source
from charlm.text.document import Document
from charlm.text.download.retry import RetryPolicy
from charlm.text.settings import WikipediaSettings
from charlm.text.sources.wikipedia import WikipediaSource
from charlm.workflows.prepare import prepare
from tests.fault_server import FaultServer, drop_after, etag
from tests.text.dump.test_pages import export, page
from tests.text.dump.test_plan import HEAD, INDEX, MULTISTREAM

SINGLE = "mediawiki/ltgwiki-2017-09-pages-articles.xml.bz2"
DATE = "20170901"
STEM = f"ltgwiki-{DATE}-pages-articles-multistream"
LIMIT = 500_000
QUICK = RetryPolicy(delays=(0, 0), sleep=lambda _: None, notify=lambda _: None)


def publish(server: FaultServer, files: Mapping[str, bytes]) -> None:
    """Serve the files of one dump as dumps.wikimedia.org does."""
    entries = {
        name: {"size": len(content), "url": f"/ltgwiki/{DATE}/{name}", "sha1": hashlib.sha1(content).hexdigest()}
        for name, content in files.items()
    }
    status = {"jobs": {"articlesmultistreamdump": {"status": "done", "files": entries}}, "version": "0.8"}
    server.files |= {f"/ltgwiki/{DATE}/{name}": content for name, content in files.items()}
    server.files[f"/ltgwiki/{DATE}/dumpstatus.json"] = json.dumps(status).encode()
    server.files["/ltgwiki/"] = f'<a href="{DATE}/">{DATE}/</a>'.encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.delenv("CHARLM_MIRROR", raising=False)
    with FaultServer() as server:
        yield server


@pytest.fixture
def ltg(server: FaultServer, shared_data: Path) -> FaultServer:
    files = {f"{STEM}.xml.bz2": (shared_data / MULTISTREAM).read_bytes()}
    publish(server, files | {f"{STEM}-index.txt.bz2": (shared_data / INDEX).read_bytes()})
    return server


def remote(server: FaultServer, cache: Path, limit: int = LIMIT, seed: int = 0, **values: Any) -> WikipediaSource:
    wiki = WikipediaSettings(
        language="ltg", mirrors=(server.url(),), max_characters=limit, subset_seed=seed, **values
    )  # fmt: skip
    return WikipediaSource(wiki, cache=cache, retry_policy=QUICK)


def local(path: Path, limit: int = LIMIT, seed: int = 0) -> WikipediaSource:
    return WikipediaSource(WikipediaSettings(input=(str(path),), max_characters=limit, subset_seed=seed))


def documents_of(source: WikipediaSource, limit: int = LIMIT) -> list[Document]:
    """All documents; checks that every page is counted and that there are not too many characters."""
    found = list(source.documents())
    assert sum(len(document.text) for document in found) <= limit
    assert source.page_counts.pages == len(found) + source.page_counts.dropped.total()
    return found


def characters_of(documents: list[Document]) -> int:
    return sum(len(document.text) for document in documents)


def bytes_sent(server: FaultServer, name: str) -> int:
    return sum(length for path, _, length in server.sent if path.endswith(name))


def bytes_chosen(source: WikipediaSource, content: bytes) -> int:
    """Bytes of the streams that corpus.json names, measured by the heads in the file."""
    heads = [found.start() for found in HEAD.finditer(content)]
    ends = dict(zip(heads, [*heads[1:-1], len(content), len(content)], strict=True))
    return sum(ends[start] - start for start in source.origin()["files"][0]["streams"])


@pytest.mark.real_data
def test_only_the_chosen_streams_are_fetched(ltg: FaultServer, tmp_path: Path, shared_data: Path) -> None:
    content = (shared_data / MULTISTREAM).read_bytes()
    source = remote(ltg, tmp_path)
    plan = source.download_plan()
    assert plan is not None
    assert plan.description == f"500,000 characters of ltgwiki of {DATE} (an estimate)"
    assert 0.5 < plan.num_bytes / bytes_chosen_when_read(source, content) < 1.5
    documents = documents_of(source)
    assert characters_of(documents) > 0.98 * LIMIT
    assert [document.id for document in documents] == sorted((d.id for d in documents), key=in_file(shared_data))
    sent = bytes_sent(ltg, ".xml.bz2")
    assert sent <= 1.3 * bytes_chosen(source, content)
    assert bytes_sent(ltg, "index.txt.bz2") == (shared_data / INDEX).stat().st_size
    assert source.download_plan() is None
    assert documents_of(source) == documents
    # The same subset again, another seed, and a larger subset, which contains the streams of the smaller one.
    ltg.requests.clear()
    assert documents_of(remote(ltg, tmp_path, date=DATE)) == documents
    assert not ltg.requests
    assert documents_of(remote(ltg, tmp_path, seed=1)) != documents
    larger = remote(ltg, tmp_path, 600_000)
    assert set(larger.resolved_settings()) == set()
    assert characters_of(documents_of(larger, 600_000)) > 590_000
    assert {*source.origin()["files"][0]["streams"]} < {*larger.origin()["files"][0]["streams"]}
    assert bytes_sent(ltg, ".xml.bz2") <= len(content)  # no byte twice
    # Both are available offline.
    ltg.files.clear()
    ltg.requests.clear()
    assert documents_of(remote(ltg, tmp_path, date=DATE)) == documents
    with pytest.raises(NetworkError):
        list(remote(ltg, tmp_path / "elsewhere", date=DATE).documents())


def bytes_chosen_when_read(source: WikipediaSource, content: bytes) -> int:
    source.fetch()
    return bytes_chosen(source, content)


def in_file(shared_data: Path) -> Any:
    order = re.findall(r"<page>.*?<id>(\d+)</id>", bz2.decompress((shared_data / SINGLE).read_bytes()).decode(), re.S)
    return {number: place for place, number in enumerate(order)}.__getitem__


@pytest.mark.real_data
def test_the_choice_does_not_depend_on_where_the_dump_lies(ltg: FaultServer, tmp_path: Path, shared_data: Path) -> None:
    """In ranges, whole in the cache, local with an index, without one, with a wrong one."""
    ranges = remote(ltg, tmp_path / "ranges")
    documents = documents_of(ranges)
    whole = WikipediaSource(
        WikipediaSettings(language="ltg", mirrors=(ltg.url(),)), cache=tmp_path / "whole", retry_policy=QUICK
    )
    whole.fetch()
    ltg.requests.clear()
    cached = remote(ltg, tmp_path / "whole", date=DATE)
    assert documents_of(cached) == documents
    assert not ltg.requests
    assert cached.origin() == ranges.origin()
    indexed = local(shared_data / MULTISTREAM)
    assert documents_of(indexed) == documents
    path = tmp_path / "d-multistream.xml.bz2"
    shutil.copyfile(shared_data / MULTISTREAM, path)
    for wrong in (bz2.compress(b"7:1:A\n"), bz2.compress(b"no index\n"), None):
        if wrong is not None:
            path.with_name("d-multistream-index.txt.bz2").write_bytes(wrong)
        else:
            path.with_name("d-multistream-index.txt.bz2").unlink()
        scanned = local(path)
        assert documents_of(scanned) == documents
        assert scanned.origin()["files"][0]["streams"] == indexed.origin()["files"][0]["streams"]


@pytest.mark.real_data
def test_any_number_of_workers_gives_the_same_bytes(shared_data: Path, tmp_path: Path) -> None:
    source = WikipediaSettings(input=(str(shared_data / MULTISTREAM),), max_characters=LIMIT)
    for workers in (1, 2):
        prepare(CorpusSettings(source=source), build_source(source), tmp_path / str(workers), workers=workers)
    one, two = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).rglob("*")) if path.is_file()}
        for name in ("1", "2")
    )
    assert one == two
    assert json.loads(one["corpus.json"])["settings"]["source"]["max_characters"] == LIMIT


@pytest.mark.real_data
def test_a_dump_with_less_gives_all_of_it(shared_data: Path, tmp_path: Path) -> None:
    everything = list(WikipediaSource(WikipediaSettings(input=(str(shared_data / MULTISTREAM),))).documents())
    assert documents_of(local(shared_data / MULTISTREAM, 10**9), 10**9) == everything
    assert documents_of(local(shared_data / SINGLE, 10**9), 10**9) == everything


@pytest.mark.real_data
def test_of_a_single_stream_pages_are_chosen_by_chance(shared_data: Path) -> None:
    limit = 60_000
    everything = {d.id for d in WikipediaSource(WikipediaSettings(input=(str(shared_data / SINGLE),))).documents()}
    source = local(shared_data / SINGLE, limit)
    documents = documents_of(source, limit)
    assert characters_of(documents) > 0.8 * limit
    assert source.page_counts.pages == 2004
    assert source.page_counts.dropped["max_characters"] > 500
    places = [place for place, number in enumerate(everything) if number in {d.id for d in documents}]
    assert len(places) == len(documents) < len(everything) / 5
    ids = [d.id for d in documents]
    assert sorted(ids, key=in_file(shared_data)) == ids
    assert {d.id for d in documents_of(local(shared_data / SINGLE, limit, 1), limit)} != set(ids)
    last = max(map(in_file(shared_data), ids))
    assert last > 1_000  # not the first pages of the file


@pytest.mark.real_data
def test_parts_with_an_index_each(server: FaultServer, shared_data: Path, tmp_path: Path) -> None:
    content = (shared_data / MULTISTREAM).read_bytes()
    heads = [found.start() for found in HEAD.finditer(content)]
    header, footer, middle = content[: heads[1]], content[heads[-1] :], heads[12]
    parts = {"1.xml-p1p999.bz2": content[:middle] + footer, "2.xml-p1000p9999.bz2": header + content[middle:]}
    files: dict[str, bytes] = {}
    for name, part in parts.items():
        starts = [found.start() for found in HEAD.finditer(part)][1:-1]
        files[STEM + name] = part
        files[f"{STEM}-index{name.replace('.xml', '.txt')}"] = bz2.compress(
            "".join(f"{start}:{start + n}:T\n" for start in starts for n in range(100)).encode()
        )
    publish(server, files)
    source = remote(server, tmp_path / "cache", 100_000)
    documents = documents_of(source, 100_000)
    first, second = (set(entry["streams"]) for entry in source.origin()["files"])
    assert first
    assert second
    folder = tmp_path / "local"
    folder.mkdir()
    for name, part in parts.items():
        (folder / (STEM + name)).write_bytes(part)
    paths = tuple(str(path) for path in sorted(folder.iterdir(), reverse=True))
    both = WikipediaSource(WikipediaSettings(input=paths, max_characters=100_000))
    assert documents_of(both, 100_000) == documents
    assert 0 < bytes_sent(server, "p999.bz2") < 0.7 * len(parts["1.xml-p1p999.bz2"])


XML = export(*(page(n, f"{n} " + "".join(random.Random(n).choices("abcdefgh ", k=300))) for n in range(40)))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.sets(st.integers(1, len(XML) - 1), max_size=30),
    limit=st.integers(400, 20_000),
    seed=st.integers(),
)
def test_streams_may_begin_anywhere(tmp_path: Path, cuts: set[int], limit: int, seed: int) -> None:
    """Streams cut as by pbzip2: every page belongs to exactly one stream."""
    path = tmp_path / "d.bz2"
    edges = [0, *sorted(cuts), len(XML)]
    path.write_bytes(b"".join(bz2.compress(XML[a:b], 1) for a, b in itertools.pairwise(edges)))
    everything = list(WikipediaSource(WikipediaSettings(input=(str(path),))).documents())
    assert len(everything) == 40
    documents = documents_of(local(path, limit, seed), limit)
    assert documents == [document for document in everything if document in documents]
    whole = characters_of(everything)
    assert characters_of(documents) > min(limit, whole) - 310
    assert (documents == everything) is (limit >= whole)


@pytest.mark.real_data
def test_what_arrives_damaged_is_fetched_again_and_never_kept(
    ltg: FaultServer, tmp_path: Path, shared_data: Path
) -> None:
    whole = documents_of(remote(ltg, tmp_path / "whole"))
    path = f"/ltgwiki/{DATE}/{STEM}.xml.bz2"
    content = bytearray(ltg.files[path])
    for place in range(2_000, len(content), 20_000):  # in every stream
        content[place] ^= 4
    good, ltg.files[path] = ltg.files[path], bytes(content)
    with pytest.raises(DataError, match="corrupt bz2"):
        documents_of(remote(ltg, tmp_path / "cache"))
    ltg.files[path] = good
    assert documents_of(remote(ltg, tmp_path / "cache")) == whole
    # Damage on the disk is noticed, and the range is downloaded again.
    ltg.requests.clear()
    extents = sorted((tmp_path / "cache").rglob("streams/*/*-*"))
    assert len(extents) > 10
    for extent in extents[::3]:
        extent.write_bytes(bytes([*extent.read_bytes()[:-9], 0, *extent.read_bytes()[-8:]]))
    extents[1].write_bytes(b"torn")
    assert documents_of(remote(ltg, tmp_path / "cache", date=DATE)) == whole
    assert 0 < len(ltg.requests) <= 2 + len(extents)


@pytest.mark.real_data
def test_a_network_that_breaks_off_is_gone_on_with(ltg: FaultServer, tmp_path: Path, shared_data: Path) -> None:
    expected = documents_of(remote(ltg, tmp_path / "whole"))
    sent = bytes_sent(ltg, ".xml.bz2")
    attempts = 0
    draw = random.Random(3)
    while True:
        attempts += 1
        ltg.script.clear()
        for _ in range(3):  # at most three streams, then nothing but failures
            ltg.script.append(drop_after(10**9))
        ltg.script += [drop_after(draw.randrange(2))] * 60
        try:
            found = documents_of(remote(ltg, tmp_path / "cache", date=DATE if attempts > 1 else "latest"))
            break
        except NetworkError:
            assert attempts < 40
    ltg.script.clear()
    assert found == expected
    assert attempts > 3
    assert bytes_sent(ltg, ".xml.bz2") < 2.5 * sent  # once above, and once here with little waste


@pytest.mark.real_data
def test_killed_and_resumed(ltg: FaultServer, tmp_path: Path, shared_data: Path) -> None:
    command = [
        sys.executable, "-m", "charlm", "prepare", "--language", "ltg", "--workers", "1", "--json",
        "--set", f"corpus.source.max_characters={LIMIT}", "--set", f'corpus.source.mirrors=["{ltg.url()}"]',
    ]  # fmt: skip

    def start(name: str) -> subprocess.Popen[bytes]:
        (tmp_path / name).mkdir(exist_ok=True)
        environment = {**os.environ, "CHARLM_CACHE": str(tmp_path / name / "cache"), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, cwd=tmp_path / name, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    with start("whole") as process:
        assert process.communicate(timeout=120)[0]
    ltg.sent.clear()
    ltg.requests.clear()
    ltg.pace = 400_000  # bytes a second
    for streams in (2, 9):  # killed while it fetches
        with start("killed") as process:
            end = time.monotonic() + 60
            while len(ltg.requests) < 3 + streams and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.005)
            process.kill()
        ltg.requests.clear()
    ltg.pace = 0
    with start("killed") as process:
        assert process.communicate(timeout=120)[0]
    killed, whole = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "data").rglob("*") if path.is_file()}
        for name in ("killed", "whole")
    )
    assert killed == whole
    assert bytes_sent(ltg, ".xml.bz2") < 1.3 * 773_177


def test_what_cannot_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "d.xml"
    path.write_bytes(export(page(1, "a" * 100), page(2, "b" * 100)))
    with pytest.raises(SettingsError, match="max_characters = 99 is less than the first article has"):
        list(local(path, 99).documents())
    assert len(documents_of(local(path, 100), 100)) == 1
    assert len(documents_of(local(path, 200), 200)) == 2
    path.write_bytes(export())
    assert documents_of(local(path, 10), 10) == []


def test_the_server_s_file_changes_between_two_streams(server: FaultServer, tmp_path: Path) -> None:
    """A file given by URL must stay the same version: no subset mixes two dumps."""
    streams = [export(end="")] + [page(n, f"{n} " * 200).encode() for n in range(30)] + [b"</mediawiki>"]
    content = [b"".join(bz2.compress(xml, 1) for xml in (*streams[:-1], streams[-1] + extra)) for extra in (b"", b" ")]
    lines, offset = "", len(bz2.compress(streams[0], 1))
    for n, xml in enumerate(streams[1:-1]):
        lines += f"{offset}:{n}:T{n}\n"
        offset += len(bz2.compress(xml, 1))
    server.files["/d-multistream.xml.bz2"] = content[0]
    server.files["/d-multistream-index.txt.bz2"] = bz2.compress(lines.encode())
    given = WikipediaSettings(input=(server.url("/d-multistream.xml.bz2"),), max_characters=2_000)

    def source(limit: int) -> WikipediaSource:
        asked = given.model_copy(update={"max_characters": limit})
        return WikipediaSource(asked, cache=tmp_path, retry_policy=QUICK)

    assert len(documents_of(source(2_000), 2_000)) >= 3
    server.files["/d-multistream.xml.bz2"] = content[1]
    assert etag(content[0]) != etag(content[1])
    with pytest.raises(NetworkError):
        list(source(8_000).documents())
    changed = source(8_000)
    changed.refresh()
    assert len(documents_of(changed, 8_000)) > 10
