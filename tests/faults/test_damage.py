"""Damaged and hostile data: one line and exit code 3, before any of the data is used."""

import bz2
import json
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from charlm import storage
from charlm.data.corpus import compute_fingerprint
from tests.processes import Commands
from tests.workspaces import DATA, RUN, snapshot, steps, weights

LONGER = ("train", "--config", "tiny", "--set", "training.max_steps=30")
LAST = RUN / "checkpoints" / "step-000000020"
READERS = {
    "eval": ("eval", "--checkpoint", "last"),
    "sample": ("sample", "--checkpoint", "last", "--length", "5"),
    "train": LONGER,
}


def flip(path: Path, chance: random.Random) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def delete(path: Path, chance: random.Random) -> None:
    del chance
    path.unlink()


DAMAGE: dict[str, Callable[[Path, random.Random], None]] = {"flip": flip, "truncate": truncate, "delete": delete}


def sign(directory: Path) -> None:
    """Make the manifest match a changed checkpoint, as an attacker would."""
    storage.write_manifest(directory, {"format": 1})


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**storage.read_json(path), **changes}), encoding="utf-8")


class Canary:
    """An object that creates a file when pickle reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


# ---- the corpus


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("name", "command"),
    [
        *((name, "train") for name in ("train.npy", "train.documents.npy", "valid.npy", "valid.documents.npy")),
        *((name, "eval") for name in ("test.npy", "test.documents.npy", "vocab.json")),
    ],
)
def test_a_damaged_store(workspace: Commands, name: str, command: str, damage: str) -> None:
    path = workspace.folder / DATA / name
    DAMAGE[damage](path, random.Random(name))
    before = snapshot(workspace.folder / RUN / "checkpoints")
    line = workspace.fail(3, *READERS[command])
    assert str(DATA / name) in line
    assert "--overwrite" in line
    assert snapshot(workspace.folder / RUN / "checkpoints") == before


def test_preparing_again_repairs_a_damaged_store(workspace: Commands) -> None:
    expected = workspace.json("eval")
    truncate(workspace.folder / DATA / "test.npy", random.Random(0))
    workspace.fail(3, "eval")
    workspace.succeed("prepare", "--workers", "1", "--config", "tiny", "--overwrite")
    assert workspace.json("eval") == expected


def test_any_bit_of_the_corpus_card(workspace: Commands) -> None:
    """Many flips are reported, some are harmless (a name in a list), none is a bug or a crash."""
    path = workspace.folder / DATA / "corpus.json"
    whole = path.read_bytes()
    chance = random.Random(1)
    refused = 0
    for _ in range(15):
        path.write_bytes(whole)
        flip(path, chance)
        ended = workspace("eval")
        assert ended.code in (0, 2, 3), ended
        assert "a bug in charlm" not in ended.stderr
        refused += ended.code != 0
    assert refused > 5


def test_another_corpus_under_the_same_name(workspace: Commands) -> None:
    (workspace.folder / "texts" / "00.txt").write_text("совсем другие слова\n" * 200, encoding="utf-8")
    workspace.succeed("prepare", "--workers", "1", "--config", "tiny", "--overwrite")
    assert "fingerprint differs" in workspace.fail(3, *READERS["train"])
    assert "data/texts is another" in workspace.fail(3, *READERS["eval"])
    workspace.succeed(*READERS["sample"])


def test_arrays_that_hold_pickles(workspace: Commands) -> None:
    """A hostile corpus with correct hashes."""
    data, canary = workspace.folder / DATA, workspace.folder / "canary"
    array = np.empty(1, dtype=object)
    array[0] = Canary(canary)
    np.save(data / "test.npy", array, allow_pickle=True)
    metadata = storage.read_json(data / "corpus.json")
    metadata["files"]["test.npy"] = {
        "bytes": (data / "test.npy").stat().st_size,
        "sha256": storage.sha256(data / "test.npy"),
    }
    change_json(data / "corpus.json", files=metadata["files"], fingerprint=compute_fingerprint(metadata["files"]))
    assert "test.npy is damaged" in workspace.fail(3, "eval", "--data", "texts")
    assert not canary.exists()


@pytest.mark.parametrize("name", ["corpus.json", "vocab.json"])
def test_a_corpus_of_a_later_format(workspace: Commands, name: str) -> None:
    data = workspace.folder / DATA
    change_json(data / name, format=99)
    metadata = storage.read_json(data / "corpus.json")
    metadata["files"]["vocab.json"] = {
        "bytes": (data / "vocab.json").stat().st_size,
        "sha256": storage.sha256(data / "vocab.json"),
    }
    change_json(data / "corpus.json", files=metadata["files"], fingerprint=compute_fingerprint(metadata["files"]))
    line = workspace.fail(3, *READERS["eval"])
    assert f"{name} has format 99" in line
    assert "upgrade charlm" in line


# ---- the checkpoint


FILES = ("model.safetensors", "model.json", "vocab.json", "training.safetensors", "training.json")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint(workspace: Commands, name: str, damage: str) -> None:
    DAMAGE[damage](workspace.folder / LAST / name, random.Random(name))
    for command in ("train", "sample"):
        line = workspace.fail(3, *READERS[command])
        assert str(LAST / name) in line
        assert "use another checkpoint" in line


def test_training_resumes_from_the_checkpoint_before_a_damaged_one(workspace: Commands) -> None:
    """As the message says, once the damaged one is deleted."""
    workspace.succeed(*LONGER, "--out", "runs/whole")
    flip(workspace.folder / LAST / "training.safetensors", random.Random(0))
    workspace.fail(3, *LONGER)
    workspace.succeed("sample", str(RUN), "--checkpoint", "10", "--length", "5")
    storage.remove_tree(workspace.folder / LAST)
    assert "from step 10" in workspace.succeed(*LONGER).stderr
    assert weights(workspace.folder / RUN) == weights(workspace.folder / "runs" / "whole")


def test_any_bit_of_the_manifest(workspace: Commands) -> None:
    path = workspace.folder / LAST / "manifest.json"
    whole = path.read_bytes()
    chance = random.Random(2)
    refused = 0
    for _ in range(15):
        path.write_bytes(whole)
        flip(path, chance)
        ended = workspace(*READERS["sample"])
        assert ended.code in (0, 3), ended
        assert "a bug in charlm" not in ended.stderr
        refused += ended.code == 3
    assert refused > 8


def test_a_checkpoint_without_a_manifest_is_ignored(workspace: Commands) -> None:
    (workspace.folder / LAST / "manifest.json").unlink()
    assert "it has 10" in workspace.fail(2, "sample", "--checkpoint", "20")
    assert "not a complete checkpoint" in workspace.fail(3, "sample", str(LAST))
    assert "from step 10" in workspace.succeed("train", "--config", "tiny").stderr
    assert steps(workspace.folder / RUN) == [10, 20]


@pytest.mark.parametrize("name", FILES)
def test_pickles_are_never_opened(workspace: Commands, name: str) -> None:
    canary = workspace.folder / "canary"
    path = workspace.folder / LAST / name
    if name.endswith(".safetensors"):
        torch.save({"weights": torch.zeros(3), "more": Canary(canary)}, path)
    else:
        path.write_bytes(pickle.dumps(Canary(canary)))
    sign(workspace.folder / LAST)
    line = workspace.fail(3, *READERS["train"])
    assert str(LAST / name) in line
    assert not canary.exists()


def header(content: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(content) if length is None else length) + content


HOSTILE_WEIGHTS = {
    "empty": b"",
    "a header of 2**62 bytes": header(b"{}", 1 << 62),
    "a header of 90 MB that is not there": header(b"{}", 90_000_000),
    "no JSON": header(b"\xff" * 64),
    "tensors out of bounds": header(b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'),
    "overlapping tensors": header(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    )
    + bytes(4),
    "a shape that overflows": header(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
}


@pytest.mark.parametrize("content", HOSTILE_WEIGHTS.values(), ids=HOSTILE_WEIGHTS)
@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors"])
def test_hostile_weights(workspace: Commands, name: str, content: bytes) -> None:
    (workspace.folder / LAST / name).write_bytes(content)
    sign(workspace.folder / LAST)
    assert str(LAST / name) in workspace.fail(3, *READERS["train"])


def test_weights_that_are_not_finite_or_do_not_fit_the_model(workspace: Commands) -> None:
    path = workspace.folder / LAST / "model.safetensors"
    whole = safetensors.torch.load_file(path)
    name = next(iter(whole))
    poisoned = {**whole, name: whole[name].clone().index_fill_(0, torch.tensor([1]), float("nan"))}
    for tensors, complaint in (
        (poisoned, f"{name} holds values that are not finite"),
        ({**whole, name: whole[name][:-1].clone()}, f"does not fit model.json: {name}"),
        ({**whole, "more": torch.zeros(1)}, "does not fit model.json: more"),
        ({key: value for key, value in whole.items() if key != name}, f"does not fit model.json: {name}"),
    ):
        path.write_bytes(safetensors.torch.save(tensors))
        sign(workspace.folder / LAST)
        assert complaint in workspace.fail(3, *READERS["sample"])


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"body": {"hidden_size": 10**6}}},
        {"settings": {"body": {"hidden_size": 10**30}}},
        {"settings": {"body": {"cell": {"type": "perceptron"}}}},
        {"settings": []},
        {"settings": None},
        {"vocab_size": 10**12},
        {"vocab_size": -1},
        {"vocab_size": "many"},
        {"direction": "sideways"},
        {"trained_on": None},
        {"trained_on": {}},
        {"format": "1"},
    ],
    ids=str,
)
def test_a_model_that_is_described_wrongly(workspace: Commands, changes: dict[str, Any]) -> None:
    change_json(workspace.folder / LAST / "model.json", **changes)
    sign(workspace.folder / LAST)
    workspace.fail(3, *READERS["eval"])


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "twenty"},
        {"validations": 7},
        {"validations": {"history": 7}},
        {"seconds": None},
        {"tokens": []},
        {"corpus": "another"},
    ],
    ids=str,
)
def test_a_training_state_that_is_described_wrongly(workspace: Commands, changes: dict[str, Any]) -> None:
    change_json(workspace.folder / LAST / "training.json", **changes)
    sign(workspace.folder / LAST)
    workspace.fail(3, *READERS["train"])


@pytest.mark.parametrize("name", ["manifest.json", "model.json", "vocab.json"])
def test_a_checkpoint_of_a_later_format(workspace: Commands, name: str) -> None:
    change_json(workspace.folder / LAST / name, format=99)
    if name != "manifest.json":
        sign(workspace.folder / LAST)
    line = workspace.fail(3, *READERS["sample"])
    assert "has format 99" in line
    assert "upgrade charlm" in line


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00" * 40, '{"step": Infinity}', '{"step": "x"}', "[" * 50_000])
@pytest.mark.parametrize("name", ["best.json", "experiment.toml"])
def test_a_damaged_run_directory(workspace: Commands, name: str, content: str) -> None:
    (workspace.folder / RUN / name).write_text(content, encoding="utf-8")
    command = ("sample", "--length", "3") if name == "best.json" else LONGER
    ended = workspace(*command)
    assert ended.code in (2, 3), ended  # an empty experiment.toml has other settings
    assert name in ended.stderr or "was trained with other settings" in ended.stderr


def test_torn_metrics_are_cut_back(workspace: Commands) -> None:
    path = workspace.folder / RUN / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "train", "step": 25, "tok\xd0')
    workspace.succeed(*LONGER)
    found = [json.loads(line)["step"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert found == sorted(found)
    assert path.read_bytes().startswith(whole)
    assert found[-1] == 30


# ---- inputs of prepare


def page(number: int) -> str:
    text = f"'''Статья {number}''' о том, как [[мы]] из у за ещё. " * 30
    return (
        f"<page><title>Статья {number}</title><ns>0</ns><id>{number}</id>"
        f"<revision><model>wikitext</model><text>{text}</text></revision></page>"
    )


@pytest.fixture
def dump(commands: Commands) -> Path:
    """Three streams, as in a multistream dump."""
    path = commands.folder / "xxwiki-20240801-pages-articles.xml.bz2"
    pieces = ("<mediawiki xml:lang='ru'>", "".join(map(page, range(40))), "</mediawiki>")
    path.write_bytes(b"".join(bz2.compress(piece.encode()) for piece in pieces))
    commands.succeed("prepare", "--workers", "1", "--input", path.name, "--out", "data/whole")
    return path


def test_a_flipped_byte_in_a_dump(commands: Commands, dump: Path) -> None:
    whole = dump.read_bytes()
    chance = random.Random(3)
    for number in range(8):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        dump.write_bytes(damaged)
        workers = str(1 + number % 2)
        ended = commands("prepare", "--workers", workers, "--input", dump.name, "--out", f"data/{number}")
        if ended.code == 0:  # bzip2 does not use this bit
            for split in ("train", "valid", "test"):
                names = [Path(f"data/{place}/{split}.npy") for place in ("whole", str(number))]
                assert len({(commands.folder / name).read_bytes() for name in names}) == 1
            continue
        assert ended.code == 3, ended
        assert "byte" in ended.error or "neither" in ended.error
        assert dump.name in ended.error
        assert not (commands.folder / "data" / str(number)).exists()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("cut.xml.bz2", bz2.compress(b"<mediawiki>" + page(1).encode())[:-9], "byte"),
        ("junk.xml.bz2", bz2.compress(b"<mediawiki></mediawiki>") + b"junk", "byte"),
        ("doctype.xml", b"<!DOCTYPE m [<!ENTITY a 'b'>]><mediawiki></mediawiki>", "DOCTYPE"),
        ("page.html", b"<!doctype html><html></html>", "page.html"),
        ("other.xml", b"<rss><page></page></rss>", "not a MediaWiki export"),
        ("empty.xml", b"", "empty"),
        ("notes.txt", "просто текст".encode(), "notes.txt"),
    ],
)
def test_a_file_that_is_not_a_dump(commands: Commands, name: str, content: bytes, complaint: str) -> None:
    (commands.folder / name).write_bytes(content)
    line = commands.fail(3, "prepare", "--input", name)
    assert complaint in line
    assert name in line


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no text"),
        (b"\xef\xbb\xbf", "no text"),
        (b"\xff\xfe", "byte 0xff at offset 0"),
        ("слова и".encode()[:-1], "byte 0xd0 at offset 11"),
        (b"a" * 10_000, "1 different characters"),
        (b"ab", "too few"),
    ],
)
def test_a_file_that_is_not_a_corpus(commands: Commands, content: bytes, complaint: str) -> None:
    (commands.folder / "input.txt").write_bytes(content)
    line = commands.fail(3, "prepare", "--source", "text", "--input", "input.txt")
    assert complaint in line
    assert not (commands.folder / "data" / "input").exists()


def test_a_file_name_that_is_not_utf8(commands: Commands) -> None:
    (commands.folder / "texts").mkdir()
    (commands.folder / "texts" / "\udcd0\udcd2.txt").write_text("имя из КОИ-8", encoding="utf-8")
    assert "is not UTF-8; rename" in commands.fail(3, "prepare", "--source", "text", "--input", "texts")


# ---- training that diverges or needs too much memory


def test_training_that_diverges(workspace: Commands) -> None:
    fast = "--set training.optimizer.lr=1e38 --set training.clip_norm=0 --set training.schedule.warmup_steps=0".split()
    ended = workspace("train", "--config", "tiny", "--out", "runs/wild", *fast)
    assert ended.code == 7
    assert ended.stderr.count("the update is skipped") == 3
    assert "3 steps in a row were not finite (none was saved yet); lower training.optimizer.lr" in ended.error
    assert steps(workspace.folder / "runs" / "wild") == []


def test_a_model_beyond_all_memory(workspace: Commands) -> None:
    line = workspace.fail(
        5, "train", "--config", "tiny", "--out", "runs/huge", "--set", "model.body.hidden_size=1000000"
    )
    assert "does not fit into memory; lower model.body.hidden_size" in line
