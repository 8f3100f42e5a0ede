"""`charlm compress` and `charlm decompress`: real files by a real run, whole or not at all."""

import contextlib
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlm import storage
from charlm.data.documents import read_parts
from charlm.evaluation.baselines.split_text import END_OF_DOCUMENT
from tests.processes import Channel, Commands, assert_one_error
from tests.workspaces import DATA, RUN

FILES = {
    "empty": b"",
    "one byte": b"\xff",
    "text": "Мы из неё, café 東京 🙂 съешь!\n".encode() * 70,
    "latin-1": "Où est le café? ".encode("latin-1") * 30,
    "random": random.Random(0).randbytes(1500),
    "a mixture": b"\x89PNG\0" + "они съешь ".encode() * 30 + bytes(range(256)) + b"\xd0",
}
CHECKPOINT = RUN / "checkpoints/step-000000020"


@pytest.fixture(scope="module")
def prepared(toured: Commands, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A folder with a run whose integer model is there, and with `FILES`."""
    folder = shutil.copytree(toured.folder, tmp_path_factory.mktemp("compress") / "folder")
    commands = toured.within(folder)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    commands.succeed("compress", "--prepare")
    return commands


@pytest.fixture
def folder(prepared: Commands) -> Iterator[Path]:
    """The folder of `prepared`, without what a test has made."""
    before = {*prepared.folder.iterdir()}
    yield prepared.folder
    for path in {*prepared.folder.iterdir()} - before:
        storage.remove_tree(path)


@pytest.mark.parametrize("name", FILES)
def test_every_file_comes_back(prepared: Commands, folder: Path, name: str) -> None:
    packed = prepared.json("compress", "tiny-texts", name)
    archive = folder / f"{name}.charlm"
    assert (packed["run"], packed["archive"]) == (str(RUN), archive.name)
    assert (packed["bytes"], packed["archive_bytes"]) == (len(FILES[name]), archive.stat().st_size)
    assert packed["archive_bytes"] <= len(FILES[name]) * 1.001 + 64
    unpacked = prepared.json("decompress", archive.name, "--out", "again")
    assert (folder / "again").read_bytes() == FILES[name]
    assert (unpacked["run"], unpacked["model"]) == ("tiny-texts", packed["model"])


def test_a_row_of_baselines_has_the_size_of_an_archive_of_the_split(prepared: Commands, folder: Path) -> None:
    chosen = 'baselines=[{type="bz2"}, {type="archive", run="tiny-texts", lanes=2}]'
    rows = {row["model"]: row for row in prepared.json("baseline", "texts", "--set", chosen)["rows"]}
    parts = read_parts(prepared.folder / DATA / "documents", "test")
    split = b"".join(part.document.text.encode() + END_OF_DOCUMENT * part.is_last_part for part in parts)
    (folder / "split").write_bytes(split)
    alone = prepared.json("compress", "tiny-texts", "split", "--lanes", "2", "--out", "alone")
    whole = prepared.json("compress", "tiny-texts", "split", "--lanes", "2", "--out", "whole", "--embed")
    for name, num_bytes in (
        ("archive by tiny-texts", alone["archive_bytes"]),
        ("archive by tiny-texts, with model", alone["archive_bytes"] + whole["model_bytes"]),
    ):
        assert rows[name]["nats"] == pytest.approx(8 * num_bytes * math.log(2))
    prepared.fail(2, "baseline", "texts", "--set", 'baselines=[{type="archive", run="nowhere"}]')


def test_the_output_has_the_name_of_the_file_and_replaces_nothing(prepared: Commands, folder: Path) -> None:
    assert not prepared.succeed("compress", "text").stderr
    assert "text.charlm exists; add --overwrite" in prepared.fail(2, "compress", "text")
    assert "text exists; add --overwrite" in prepared.fail(2, "decompress", "text.charlm")
    (folder / "text.charlm").rename(folder / "other.charlm")
    prepared.succeed("decompress", "other.charlm")
    assert (folder / "other").read_bytes() == FILES["text"]
    first = (folder / "other.charlm").read_bytes()
    prepared.succeed("compress", "text", "--out", "other.charlm", "--overwrite", "--no-verify")
    assert (folder / "other.charlm").read_bytes() == first
    (folder / "other.charlm").rename(folder / "nameless")
    assert "give --out FILE" in prepared.fail(2, "decompress", "nameless")
    assert "is the input itself" in prepared.fail(2, "compress", "text", "--out", "text", "--overwrite")


def test_lanes_are_those_that_were_asked_for(prepared: Commands, folder: Path) -> None:
    for lanes in ("1", "2"):
        prepared.succeed("compress", "text", "--lanes", lanes, "--out", lanes)
    assert (folder / "1").read_bytes() != (folder / "2").read_bytes()
    assert prepared.json("decompress", "2", "--out", "again")["lanes"] == 2
    assert (folder / "again").read_bytes() == FILES["text"]


def test_pipes_both_ways(prepared: Commands, folder: Path) -> None:
    out = Channel()
    ended = prepared("compress", "-", stdin=FILES["text"], out=out)
    assert (ended.code, ended.stderr) == (0, "")
    (folder / "it.charlm").write_bytes(out.content)
    prepared.succeed("compress", "text")
    assert (folder / "text.charlm").read_bytes() == out.content
    again = Channel()
    assert prepared("decompress", "-", stdin=out.content, out=again).code == 0
    assert again.content == FILES["text"]
    assert prepared("decompress", "it.charlm", "--out", "-", out=(again := Channel())).code == 0
    assert again.content == FILES["text"]
    for line in ("compress text --out -", "decompress it.charlm --out -"):
        ended = prepared(*line.split(), out=Channel(80))
        assert (ended.code, ended.stdout) == (2, "")
        assert "the output is not for a terminal; name a file with --out" in ended.error
        assert "give --out FILE" in prepared.fail(2, *line.split(), "--json")


def test_an_archive_that_holds_its_model_needs_no_run(prepared: Commands, folder: Path, tmp_path: Path) -> None:
    packed = prepared.json("compress", "text", "--embed")
    bare = prepared.json("compress", "text", "--out", "bare")["archive_bytes"]
    assert packed["archive_bytes"] == pytest.approx(bare + packed["model_bytes"], abs=64)
    shutil.move(folder / "text.charlm", tmp_path)
    elsewhere = prepared.within(tmp_path)
    assert elsewhere.json("decompress", "text.charlm")["model"] == packed["model"]
    assert (tmp_path / "text").read_bytes() == FILES["text"]
    assert "text.charlm holds its model; leave RUN" in elsewhere.fail(
        2, "decompress", "bundled", "text.charlm", "--out", "x"
    )
    content = bytearray((tmp_path / "text.charlm").read_bytes())
    content[5000] ^= 1
    (tmp_path / "text.charlm").write_bytes(content)
    assert "damaged in its header" in elsewhere.fail(3, "decompress", "text.charlm", "--overwrite")


def test_another_model_is_refused_and_both_are_named(prepared: Commands, folder: Path, tmp_path: Path) -> None:
    model = prepared.json("compress", "text", "--checkpoint", "10")["model"]
    line = prepared.fail(3, "decompress", "text.charlm", "--overwrite")
    assert f"was compressed with the model {model} of 'tiny-texts', and tiny-texts is the model " in line
    assert (folder / "text").read_bytes() == FILES["text"]
    prepared.succeed("decompress", "text.charlm", "--checkpoint", "10", "--out", "again")
    assert (folder / "again").read_bytes() == FILES["text"]
    shutil.move(folder / "text.charlm", tmp_path)
    line = prepared.within(tmp_path).fail(2, "decompress", "text.charlm")
    assert f"needs the model {model} of the run 'tiny-texts', which is not here; name the run" in line


def test_damage_is_said_and_leaves_nothing(prepared: Commands, folder: Path) -> None:
    prepared.succeed("compress", "text")
    archive = (folder / "text.charlm").read_bytes()
    middle = len(archive) // 2
    damaged = {
        "is empty": b"",
        "is no archive": b"PK\x03\x04" + archive[4:],
        "is incomplete: it breaks off in block 1": archive[:middle],
        "is damaged in block 1: ": archive[:middle] + bytes([archive[middle] ^ 16]) + archive[middle + 1 :],
        "is damaged in its end: more data follow": archive + b"\0",
    }
    for words, content in damaged.items():
        (folder / "x.charlm").write_bytes(content)
        assert f"x.charlm {words}" in prepared.fail(3, "decompress", "x.charlm")
        assert not (folder / "x").exists()


def test_what_a_run_must_be(prepared: Commands, folder: Path) -> None:
    assert "no FILE is given; give one" in prepared.fail(2, "compress")
    assert "give one: `charlm compress tiny-texts FILE`" in prepared.fail(2, "compress", "tiny-texts")
    assert "there is no file nowhere" in prepared.fail(2, "compress", "nowhere")
    assert "texts is a folder" in prepared.fail(2, "decompress", "texts", "--out", "x")
    for option in ("--embed", "--no-verify", "--lanes=2", "--out=x"):
        assert "has no effect with --prepare" in prepared.fail(2, "compress", "--prepare", option)


def test_a_run_is_prepared_once(workspace: Commands) -> None:
    made = workspace.json("compress", "--prepare")
    path = workspace.folder / made["path"]
    assert path == workspace.folder / CHECKPOINT / "integer.safetensors"
    content = path.read_bytes()
    assert workspace.json("compress", "--prepare") == made
    path.unlink()
    workspace.succeed("compress", "texts/00.txt")
    assert path.read_bytes() == content
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    line = workspace.fail(3, "compress", "texts/00.txt", "--overwrite")
    assert "integer.safetensors" in line
    assert "prepare the checkpoint again with `charlm compress --prepare`" in line
    assert workspace.json("compress", "--prepare") == made
    assert path.read_bytes() == content
    (path.parent / "model.safetensors").write_bytes(b"cut")
    workspace.fail(3, "compress", "--prepare")
    assert path.read_bytes() == content, "another file's damage is no reason to remove it"


def test_the_bundled_model_compresses_where_there_is_no_run(commands: Commands) -> None:
    (commands.folder / "file").write_bytes(b"the built-in function\n" * 9)
    cached = Commands(commands.address, commands.folder, {"CHARLM_CACHE": str(commands.folder / "cache")})
    assert "the bundled model" in cached.succeed("compress", "file").stderr
    assert cached.json("decompress", "file.charlm", "--out", "again")["run"] == "bundled"
    assert (commands.folder / "again").read_bytes() == b"the built-in function\n" * 9
    assert [path.suffix for path in (commands.folder / "cache/integer").iterdir()] == [".safetensors"]


def test_the_proved_score_is_what_an_archive_pays(prepared: Commands, folder: Path) -> None:
    text = "\n".join(random.Random(1).choices("мы из неё café он съешь".split(), k=1200))
    (folder / "long").write_text(text, encoding="utf-8")
    proved = prepared.json("eval", "--text", "long", "--proved")["proved"]
    packed = prepared.json("compress", "long")
    expected = proved["bits_per_byte"] * len(text.encode()) / 8
    assert abs(packed["archive_bytes"] - expected) < 0.0002 * expected + 64
    assert (packed["lanes"], packed["model"]) == (proved["lanes"], proved["model"])
    more = prepared.json("eval", "--text", "long", "--proved", "--lanes", "4")["proved"]
    assert more["lanes"] == 4
    assert more["nats"] != proved["nats"]
    shown = prepared.succeed("eval", "--proved").stdout
    assert re.search(r"^proved bits per character +\d", shown, re.MULTILINE)


def test_the_proved_score_is_of_the_same_text_as_that_in_floats(prepared: Commands) -> None:
    """It may be better, by counts of the text so far, and it is hardly worse."""
    found = prepared.json("eval", "--proved")
    assert found["proved"]["bits_per_character"] < found["bits_per_character"] + 0.02
    for key in ("tokens", "characters", "words", "bytes"):
        assert found["proved"][key] == found[key]


# ---- faults


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_a_full_disk_leaves_no_file(prepared: Commands, folder: Path, command: str) -> None:
    prepared.succeed("compress", "random", "--out", "random.charlm")
    line = (command, "random" if command == "compress" else "random.charlm", "--out", "new")
    assert "cannot write new" in prepared.fail(5, *line, file_size=1000)
    assert not [path for path in folder.iterdir() if "new" in path.name]


@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=pytest.mark.faults)])
def test_a_killed_process_leaves_no_part_under_the_name(prepared: Commands, folder: Path, kills: int) -> None:
    chance = random.Random(kills)
    prepared.succeed("compress", "text", "--out", "whole")
    contents = {"compress": (folder / "whole").read_bytes(), "decompress": FILES["text"]}
    lines = {"compress": ("compress", "text", "--out", "new"), "decompress": ("decompress", "whole", "--out", "new")}
    longest: dict[str, float] = {}
    for command, line in lines.items():
        start = time.monotonic()
        prepared.succeed(*line)
        longest[command] = time.monotonic() - start
        (folder / "new").unlink()
    for _ in range(kills):
        command = chance.choice([*lines])
        with prepared.start(*lines[command]) as process:
            time.sleep(chance.uniform(0, longest[command]))
            with contextlib.suppress(ProcessLookupError):
                process.send(signal.SIGKILL)
            assert process.wait().code in (0, -signal.SIGKILL)
        if (folder / "new").exists():
            assert (folder / "new").read_bytes() == contents[command]
            (folder / "new").unlink()
    prepared.succeed(*lines["compress"])
    assert (folder / "new").read_bytes() == contents["compress"]
    assert [path.name for path in folder.iterdir() if "new" in path.name] == ["new"]


def test_ctrl_c_ends_it(prepared: Commands, folder: Path) -> None:
    os.mkfifo(folder / "endless")
    with prepared.start("compress", "endless", "--out", "new") as process, open(folder / "endless", "wb"):
        time.sleep(0.3)
        process.send(signal.SIGINT)
        ended = process.wait()
    assert ended.code == 130
    assert_one_error(ended.stderr)
    assert not [path for path in folder.iterdir() if "new" in path.name]


@pytest.mark.faults
def test_a_reader_that_ends_early_is_no_error(prepared: Commands, folder: Path) -> None:
    prepared.succeed("compress", "random")
    script = '"$0" -m charlm decompress random.charlm --out - | true; exit ${PIPESTATUS[0]}'
    ended = subprocess.run(["bash", "-c", script, sys.executable], cwd=folder, capture_output=True, timeout=120)
    assert ended.returncode in (0, 141)
    assert ended.stderr == b""


def test_a_run_with_a_long_name_is_found(prepared: Commands, folder: Path, tmp_path: Path) -> None:
    """An archive has room for 64 bytes of the name, which are 32 Cyrillic letters."""
    name = "модель-" * 6
    place = prepared.within(shutil.copytree(prepared.folder, tmp_path / "workspace"))
    (place.folder / "runs" / "tiny-texts").rename(place.folder / "runs" / name)
    (place.folder / "text").write_text("одна строка", encoding="utf-8")
    place.succeed("compress", name, "text")
    (place.folder / "text").unlink()
    place.succeed("decompress", "text.charlm")
    assert (place.folder / "text").read_text(encoding="utf-8") == "одна строка"
