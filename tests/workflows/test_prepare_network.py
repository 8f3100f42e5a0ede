"""`charlm prepare` over a network: from nothing to a corpus, killed on its way, told no, and without any network."""

import hashlib
import json
import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificate import make_certificate
from tests.fault_server import Fault, FaultServer, answer, drop_after, redirect, serve
from tests.faults.test_kills import kill_at_random, timed
from tests.mirror import in_parts, serve_run, serve_wiki, small_dump
from tests.processes import Commands, serving, until
from tests.rare_faults import damaged, flipped
from tests.workspaces import snapshot

OLDER, DATE, NEWER = "20261020", "20261101", "20261120"
DUMP = small_dump("xxwiki")
NAME = f"xxwiki-{DATE}-pages-articles-multistream.xml.bz2"
PATH = f"/xxwiki/{DATE}/{NAME}"
LTG = Path("mediawiki/ltgwiki-2017-09-repacked-pages-articles-multistream.xml.bz2")


@pytest.fixture(scope="module")
def certificate_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a certificate may be put that the commands trust."""
    return tmp_path_factory.mktemp("trust") / "certificate.pem"


@pytest.fixture
def certificate(certificate_file: Path, tmp_path: Path) -> Path:
    return shutil.copyfile(make_certificate(tmp_path), certificate_file)


@pytest.fixture(scope="module")
def address(certificate_file: Path) -> Iterator[str]:
    """Commands that know no cache but the one in their folder, and no mirror but those of the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CHARLM_MIRROR", "CHARLM_CONTACT"):
            patch.delenv(name, raising=False)
        patch.setenv("CHARLM_CACHE", "cache")
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate_file))
        with serving() as address:
            yield address


@pytest.fixture
def commands(address: str, tmp_path: Path) -> Commands:
    return Commands(address, tmp_path)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        serve_wiki(server, "xxwiki", small_dump("xxwiki", seed=1), OLDER)
        serve_wiki(server, "xxwiki", DUMP, DATE)
        yield server


def prepare(*mirrors: str, language: str | None = "xx", date: str = "latest") -> list[str]:
    """The arguments."""
    roots = ", ".join(f'"{mirror}"' for mirror in mirrors)
    what = [*([] if language is None else ["--language", language]), "--date", date, "--workers", "1"]
    return ["prepare", *what, "--set", f"corpus.source.mirrors=[{roots}]"]


def corpus(folder: Path) -> dict[str, bytes | None]:
    """Every byte of the corpora that stand there, whole or not."""
    return snapshot(folder / "data")


# The Latgalian Wikipedia, from nothing


@pytest.fixture(scope="module")
def latgalian(shared_data: Path) -> dict[str, bytes]:
    dump = (shared_data / LTG).read_bytes()
    index = (shared_data / LTG.with_name(LTG.name.replace(".xml", "-index.txt"))).read_bytes()
    return in_parts(dump, index, f"ltgwiki-{DATE}-pages-articles-multistream")


@pytest.fixture
def wikimedia(latgalian: dict[str, bytes]) -> Iterator[FaultServer]:
    """A finished run, an older one, and one that is going on."""
    with FaultServer() as server:
        for date, status in ((OLDER, "done"), (NEWER, "in-progress")):
            serve_run(server, "ltgwiki", date, {}, status=status)
        serve_run(server, "ltgwiki", DATE, latgalian)
        yield server


@pytest.mark.real_data
def test_from_nothing_to_a_corpus(
    commands: Commands, wikimedia: FaultServer, latgalian: dict[str, bytes], shared_data: Path
) -> None:
    ended = commands.succeed(*prepare(wikimedia.url(), language="ltg"))
    parts = [name for name in latgalian if "-index" not in name]
    assert [request.path for request in wikimedia.requests] == [
        "/ltgwiki/", f"/ltgwiki/{NEWER}/dumpstatus.json", f"/ltgwiki/{DATE}/dumpstatus.json",
        *(f"/ltgwiki/{DATE}/{name}" for name in parts),
    ]  # fmt: skip
    assert all(request.headers["user-agent"].startswith("charlm/") for request in wikimedia.requests)
    assert wikimedia.most_at_once <= 2
    cache = commands.folder / "cache" / "dumps" / "ltgwiki" / DATE
    assert {path.name for path in cache.iterdir()} - {".lock"} == {"dump.json", *parts}
    assert all((cache / name).read_bytes() == latgalian[name] for name in parts)
    total = sum(len(latgalian[name]) for name in parts)
    assert f"downloading ltgwiki of {DATE}: {total / 1e3:.3g} kB to cache/dumps/ltgwiki/{DATE}, then" in ended.stderr
    metadata = json.loads((commands.folder / "data/ltgwiki/corpus.json").read_bytes())
    assert metadata["documents"]["pages"] == 2004
    assert metadata["documents"]["kept"] > 700
    assert metadata["origin"]["date"] == DATE
    status = json.loads(wikimedia.files[f"/ltgwiki/{DATE}/dumpstatus.json"])
    known = status["jobs"]["articlesmultistreamdump"]["files"]
    assert {file["name"]: file["sha1"] for file in metadata["origin"]["files"]} == {n: known[n]["sha1"] for n in parts}
    # the same dump in one file has the same documents
    commands.succeed("prepare", "--source", "wikipedia", "--input", str(shared_data / LTG), "--out", "data/whole")
    whole = json.loads((commands.folder / "data/whole/corpus.json").read_bytes())
    assert whole["documents"] == metadata["documents"]
    assert whole["fingerprint"] == metadata["fingerprint"]


@pytest.mark.real_data
def test_offline_afterwards(commands: Commands, wikimedia: FaultServer) -> None:
    arguments = prepare(wikimedia.url(), language="ltg")
    commands.succeed(*arguments)
    before = corpus(commands.folder)
    wikimedia.requests.clear()
    wikimedia.stop()
    again = commands.succeed(*arguments)
    assert again.stderr == "data/ltgwiki is already prepared\n"
    assert corpus(commands.folder) == before
    shutil.rmtree(commands.folder / "data")  # from the cache alone
    dated = prepare(wikimedia.url(), language="ltg", date=DATE)
    assert commands.succeed(*dated).stderr == ""
    after = corpus(commands.folder)
    assert {path for path in before if before[path] != after[path]} == {"ltgwiki/corpus.json"}  # latest, or the date
    assert wikimedia.requests == []


KILLS_OF_A_DOWNLOAD = 5


@pytest.mark.real_data
@pytest.mark.parametrize("lives", [2, pytest.param(25, marks=pytest.mark.faults)])
def test_killed_at_random(commands: Commands, wikimedia: FaultServer, latgalian: dict[str, bytes], lives: int) -> None:
    """Killed while it downloads, then while it reads or whatever it does; in the end nothing tells of it."""
    wikimedia.pace = 2e6  # bytes a second
    paths = [f"/ltgwiki/{DATE}/{name}" for name in latgalian if "-index" not in name]
    total = sum(len(wikimedia.files[path]) for path in paths)
    arguments = tuple(prepare(wikimedia.url(), language="ltg"))
    longest = timed(commands, *arguments)
    expected = corpus(commands.folder)
    chance = random.Random(lives)
    kills = twice = 0
    for _ in range(lives):
        for folder in ("data", "cache"):
            shutil.rmtree(commands.folder / folder)
        wikimedia.sent.clear()
        for share in sorted(chance.random() for _ in range(KILLS_OF_A_DOWNLOAD)):
            with commands.start(*arguments) as process:
                until(lambda reached=share * total: sum(map(wikimedia.sent_once, paths)) >= reached)
                process.send(signal.SIGKILL)
            kills += 1
            files = (commands.folder / "cache").rglob("*.bz2")
            assert all(path.read_bytes() == latgalian[path.name] for path in files)
        kills += kill_at_random(commands, arguments, chance, longest)
        commands.succeed(*arguments)
        assert corpus(commands.folder) == expected
        assert not any((commands.folder / "cache").rglob("*.part*"))
        twice = sum(map(wikimedia.sent_twice, paths))
        assert twice <= KILLS_OF_A_DOWNLOAD << 17  # what the sockets held: far below a megabyte a kill
    assert kills >= KILLS_OF_A_DOWNLOAD * lives
    print(f"{kills} kills, {twice:,} of {total:,} bytes fetched twice in the last life")  # noqa: T201 - with -s


# What a small wiki's server may do


@dataclass(frozen=True)
class Refusal:
    """What the server does to its requests, in order, and how the command ends."""

    script: Sequence[Fault]
    code: int
    error: str
    """The last line on stderr, after `charlm: error: `."""
    arguments: Sequence[str] = ()


FILE = f"{{url}}/xxwiki/{DATE}/{NAME}"
SHA1 = hashlib.sha1(DUMP).hexdigest()
REFUSALS = {
    "no such language": Refusal(
        [], 2, "corpus.source.language = 'russian' is not a valid language; did you mean ru (Russian)?",
        ["--language", "russian"],
    ),
    "no such code": Refusal(
        [], 4, "there are no dumps of a wiki named pt_brwiki; did you mean pt (Portuguese)?", ["--language", "pt-br"]
    ),
    "no code": Refusal(
        [], 2, "corpus.source.language = 'русский' is not a valid language; did you mean ru (Russian)?",
        ["--language", "русский"],
    ),
    "no such wiki": Refusal(
        [], 4,
        "there are no dumps of a wiki named ruwikisorce; did you mean ruwikisource (Russian Wikisource)?",
        ["--wiki", "ruwikisorce"],
    ),
    "no such date": Refusal(
        [], 4, f"xxwiki has no dump of 20250101; there are {DATE}, {OLDER}; or use latest", ["--date", "20250101"]
    ),
    "no name": Refusal(
        [answer(403)], 4,
        "{url}/xxwiki/ refuses programs that do not identify their user (403); "
        "set corpus.source.contact or CHARLM_CONTACT to your e-mail address or home page",
    ),
    "too busy": Refusal(
        [answer(429, Retry_After="3600")], 4,
        "{url}/xxwiki/ asks to wait 3,600 seconds (429); run the same command again after that time",
    ),
    "a login page for the listing": Refusal(
        [answer(200, b"<html>Welcome")], 4,
        "xxwiki: no dumps are listed, perhaps because of a proxy or login page; "
        "try again later, or set CHARLM_MIRROR to another mirror",
    ),
    "a login page for the status": Refusal(
        [serve, answer(200, b"<html>Welcome")], 4,
        f"xxwiki/{DATE}/dumpstatus.json has an unexpected form, perhaps that of a proxy or login page; "
        "open it in a browser, and check corpus.source.mirrors",
    ),
    "a login page for the dump": Refusal(
        [serve, serve, answer(200, b"<html>Welcome", Content_Type="text/html")], 4,
        FILE + " returned another kind of file, perhaps the page of a proxy or login; open it in a browser",
    ),
    "another length": Refusal(
        [serve, serve, answer(200, b"BZh")], 4,
        FILE + f" has 3 bytes instead of {len(DUMP):,}; try again later, or set CHARLM_MIRROR to another mirror",
    ),
    "a flipped bit": Refusal(
        [serve, serve, damaged], 3,
        f"{NAME} is damaged: its sha1 is {hashlib.sha1(flipped(DUMP)).hexdigest()} instead of {SHA1}; "
        "run the same command to download it again, or set CHARLM_MIRROR to another mirror",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_no_corpus(commands: Commands, server: FaultServer, name: str) -> None:
    refusal = REFUSALS[name]
    server.script += refusal.script
    language = None if "--wiki" in refusal.arguments else "xx"
    ended = commands(*prepare(server.url(), language=language), *refusal.arguments)
    assert ended.error == "charlm: error: " + refusal.error.format(url=server.url())
    assert (ended.code, ended.stdout) == (refusal.code, "")
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") <= 2  # what is downloaded, and what went wrong
    assert corpus(commands.folder).keys() <= {".xxwiki.partial", ".xxwiki.partial/.resolved.json"}
    assert not list((commands.folder / "cache").rglob("*.bz2"))
    if len(refusal.script) == 3:  # what the failed download has left is no hindrance
        commands.succeed(*prepare(server.url()))


def test_waits_are_told(commands: Commands, server: FaultServer) -> None:
    server.script += [answer(503, Retry_After="0"), serve, serve, drop_after(5000)]
    started = time.monotonic()
    lines = commands.succeed(*prepare(server.url())).stderr.splitlines()
    assert [line for line in lines if "trying again" in line] == [
        f"{server.host}: the server is busy (503); trying again in 0 s, 1 of 5",
        f"{server.host}: the connection broke off; trying again in 1 s, 1 of 5",
    ]
    assert time.monotonic() - started > 1
    assert server.requests[-1].headers["range"] == "bytes=5000-"
    assert server.sent_twice(PATH) == 0


def test_a_mirror_mends_what_another_damaged(commands: Commands, server: FaultServer) -> None:
    with FaultServer() as mirror:
        mirror.files.update(server.files)
        server.script += [serve, serve, damaged]
        ended = commands.succeed(*prepare(server.url(), mirror.url()))
        assert f"; trying {mirror.host} next\n" in ended.stderr
        assert [request.path for request in mirror.requests] == [PATH]
    assert (commands.folder / "cache/dumps/xxwiki" / DATE / NAME).read_bytes() == DUMP


def test_encryption_is_not_given_up(commands: Commands, server: FaultServer, certificate: Path) -> None:
    with FaultServer(certificate) as safe:
        safe.files.update(server.files)
        safe.script += [serve, serve, redirect(server.url(PATH))]
        ended = commands(*prepare(safe.url()))
        assert ended.code == 4
        assert ended.error == (
            f"charlm: error: {safe.url(PATH)} redirects to {server.url(PATH)}, which is not encrypted; "
            "set CHARLM_MIRROR to another mirror"
        )
        assert server.requests == []
        commands.succeed(*prepare(safe.url()))


def test_offline_from_the_first_moment(commands: Commands, server: FaultServer) -> None:
    """What is waited for is said at once, and Ctrl-C ends the wait."""
    server.stop()
    with commands.start(*prepare(server.url())) as process:
        first = f"no answer from {server.host} (Connection refused); trying again in 1 s, 1 of 5\n"
        until(lambda: first in process.err.text, timeout=20)
        process.send(signal.SIGINT)
        ended = process.wait(timeout=10)
    assert ended.code == 130
    assert corpus(commands.folder) == {}


@pytest.mark.faults
def test_offline_for_half_a_minute(commands: Commands, server: FaultServer) -> None:
    commands.succeed(*prepare(server.url()))
    shutil.rmtree(commands.folder / "data")
    server.stop()
    ended = commands(*prepare(server.url()))
    nobody = f"no answer from {server.host} (Connection refused)"
    cure = f"check the network and run the same command again; or use a dump that was found before: --date {DATE}"
    assert ended.code == 4
    assert ended.stderr.splitlines() == [
        *(f"{nobody}; trying again in {2**number} s, {number + 1} of 5" for number in range(5)),
        f"charlm: error: {nobody}, 6 times; {cure}",
    ]
    commands.succeed(*prepare(server.url(), date=DATE))
