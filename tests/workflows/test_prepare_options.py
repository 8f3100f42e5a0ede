"""What `charlm prepare` can be told, through the command line: where text comes from, and what is done to it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fault_server import FaultServer
from tests.mirror import DATE, serve_wiki, small_dump
from tests.processes import Commands

NEWER = "20261201"
NAME = f"xxwiki-{DATE}-pages-articles-multistream.xml.bz2"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        serve_wiki(server, "xxwiki", small_dump("xxwiki"))
        yield server


@pytest.fixture
def commands_there(commands: Commands, server: FaultServer, tmp_path: Path) -> Commands:
    """Commands that download from the server of the tests instead of Wikimedia's, with their own cache."""
    return replace(commands, environment={"CHARLM_MIRROR": server.url(), "CHARLM_CACHE": str(tmp_path / "cache")})


def metadata(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "corpus.json").read_text(encoding="utf-8"))


def test_refresh_asks_again_and_discard_tidies_up(
    commands_there: Commands, server: FaultServer, tmp_path: Path
) -> None:
    prepare = ("prepare", "--wiki", "xxwiki", "--date", "latest")
    assert commands_there(*prepare).code == 0
    asked = len(server.requests)
    serve_wiki(server, "xxwiki", small_dump("xxwiki", seed=1), NEWER)
    again = commands_there(*prepare)
    assert (again.code, again.stderr) == (0, "data/xxwiki is already prepared\n")
    assert len(server.requests) == asked
    again = commands_there(*prepare, "--refresh")
    assert again.stderr == (
        f"data/xxwiki is already prepared from the dump of {DATE}; add --overwrite to take the one of {NEWER}\n"
    )
    assert commands_there(*prepare, "--refresh", "--overwrite", "--discard-dump").code == 0
    assert metadata(tmp_path / "data/xxwiki")["origin"]["date"] == NEWER
    assert not [path for path in (tmp_path / "cache/dumps/xxwiki" / NEWER).iterdir() if "articles" in path.name]
    assert (tmp_path / "cache/dumps/xxwiki" / DATE / NAME).is_file(), "the older one is another corpus's"


def test_discard_dump_deletes_the_download_of_a_corpus_that_is_there(commands_there: Commands, tmp_path: Path) -> None:
    prepare = ("prepare", "--wiki", "xxwiki", "--date", DATE)
    assert commands_there(*prepare).code == 0
    assert (tmp_path / "cache/dumps/xxwiki" / DATE / NAME).is_file()
    again = commands_there(*prepare, "--discard-dump")
    assert (again.code, again.stderr) == (0, "data/xxwiki is already prepared\n")
    assert not (tmp_path / "cache/dumps/xxwiki" / DATE / NAME).exists()


def test_discard_dump_deletes_the_dump_of_the_corpus_and_no_newer_one(
    commands_there: Commands, server: FaultServer, tmp_path: Path
) -> None:
    prepare = ("prepare", "--wiki", "xxwiki", "--date", "latest")
    assert commands_there(*prepare).code == 0
    serve_wiki(server, "xxwiki", small_dump("xxwiki", seed=1), NEWER)
    assert commands_there(*prepare, "--out", "data/newer").code == 0
    assert metadata(tmp_path / "data/newer")["origin"]["date"] == NEWER
    assert commands_there(*prepare, "--discard-dump").code == 0
    dumps = tmp_path / "cache/dumps/xxwiki"
    assert not (dumps / DATE / NAME).exists()
    assert (dumps / NEWER / NAME.replace(DATE, NEWER)).is_file()


def test_some_characters_of_a_dump(commands_there: Commands, tmp_path: Path) -> None:
    prepare = ("prepare", "--wiki", "xxwiki", "--max-characters", "20000")
    assert commands_there(*prepare).code == 0
    counts = metadata(tmp_path / "data/xxwiki")
    characters = sum(split["characters"] for split in counts["splits"].values())
    assert 18_000 < characters <= 20_000
    pages = counts["documents"]
    assert pages["pages"] == pages["kept"] + sum(pages["dropped"].values())
    other = commands_there("prepare", "--wiki", "xxwiki", "--max-characters", "20001")
    assert other.code == 2
    assert "source.max_characters: 20000 -> 20001" in other.stderr


def test_bytes_that_are_no_text(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_bytes("почти всё ".encode() * 200 + b"\xff" + "хорошо. ".encode() * 50)
    refused = commands("prepare", "--source", "text", "--input", "novel.txt")
    assert refused.code == 3
    assert "offset 3600" in refused.stderr
    assert commands("prepare", "--source", "text", "--input", "novel.txt", "--errors", "replace").code == 0
    assert metadata(tmp_path / "data/novel")["documents"]["notes"]


def test_an_input_that_has_changed(commands: Commands, tmp_path: Path) -> None:
    prepare = ("prepare", "--source", "text", "--input", "novel.txt")
    (tmp_path / "novel.txt").write_text("ещё не всё. " * 200, encoding="utf-8")
    assert commands(*prepare).code == 0
    assert commands(*prepare).code == 0
    (tmp_path / "novel.txt").write_text("теперь всё. " * 200, encoding="utf-8")
    changed = commands(*prepare)
    assert changed.code == 2
    message = "the input has changed since data/novel was prepared (novel.txt has changed); add --overwrite"
    assert message in changed.stderr
    assert commands(*prepare, "--overwrite").code == 0
    assert commands(*prepare, "--split-like", "novel").code == 2, "it is not split like another corpus"


def test_a_mixture_in_a_config(commands_there: Commands, tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("Все счастливые семьи похожи друг на друга. " * 200, encoding="utf-8")
    (tmp_path / "mix.toml").write_text(
        '[corpus.source]\ntype = "mix"\n[[corpus.source.sources]]\ntype = "wikipedia"\nwiki = "xxwiki"\n'
        '[[corpus.source.sources]]\ntype = "text"\ninput = ["novel.txt"]\n',
        encoding="utf-8",
    )
    assert commands_there("prepare", "--config", "mix.toml").code == 0
    found = metadata(tmp_path / "data/xxwiki+novel")
    assert found["origin"]["sources"]["xxwiki"]["date"] == DATE
    assert found["documents"]["pages"] == 61
    wrong = commands_there("prepare", "--config", "mix.toml", "--set", "corpus.source.weights=[1,2,3]")
    assert wrong.code == 2
    assert "3 weights for 2 sources" in wrong.stderr


def test_a_cluster_that_is_not_there(commands_there: Commands, tmp_path: Path) -> None:
    refused = commands_there("prepare", "--wiki", "xxwiki", "--dask", "tcp://127.0.0.1:9")
    assert refused.code == 4
    assert "no dask scheduler answers at tcp://127.0.0.1:9" in refused.stderr
    assert not (tmp_path / "cache").exists(), "nothing was downloaded before"
