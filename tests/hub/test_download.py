"""`hub:USER/NAME`: a model of the hub is a run, downloaded once, verified, and never unpickled."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charlm.errors import UsageError
from charlm.hub.address import HubAddress, parse_address
from tests.hub_server import HubDataset, HubServer
from tests.processes import Commands

SAMPLE = ("--length", "40", "--seed", "3")
NAME = "me/tiny"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as hub:
        yield hub


@pytest.fixture
def reader(toured: Commands, hub: HubServer, tmp_path: Path) -> Commands:
    """The command line of somebody who has nothing but the address of the hub, which has one model."""
    folder = shutil.copytree(toured.folder, tmp_path / "author")
    toured.within(folder).succeed("export", "--format", "hub", "--out", "x")
    hub.models[NAME] = HubDataset({path.name: path.read_bytes() for path in (folder / "x").iterdir()})
    (tmp_path / "reader").mkdir()
    environment = {"HF_ENDPOINT": hub.url(), "CHARLM_CACHE": str(tmp_path / "cache")}
    return Commands(toured.address, tmp_path / "reader", environment)


def change(hub: HubServer, name: str, content: bytes | None) -> None:
    files = {**hub.models[NAME].files, name: content}
    hub.models[NAME] = HubDataset({name: content for name, content in files.items() if content is not None})


def test_a_model_of_the_hub_is_a_run(reader: Commands, toured: Commands, hub: HubServer) -> None:
    expected = toured.succeed("sample", "tiny-texts", *SAMPLE).stdout
    assert reader.succeed("sample", f"hub:{NAME}", *SAMPLE).stdout == expected
    text = toured.folder / "texts/00.txt"
    found = reader.json("eval", f"hub:{NAME}", "--text", str(text))
    assert found["run"] == f"hub:{NAME}@{hub.models[NAME].commit}", "the branch is resolved, and the commit told"
    assert found["nats"] == toured.json("eval", "tiny-texts", "--text", str(text))["nats"]
    assert reader.json("inspect", f"hub:{NAME}")["parameters"] == 9475
    downloaded = [request for request in hub.requests if "/resolve/" in request]
    assert len(downloaded) == len({*downloaded}) == 4, "each file once: manifest, model.json, weights, vocabulary"
    assert not any("README" in request for request in downloaded)


def test_a_revision_is_pinned(reader: Commands, hub: HubServer) -> None:
    first = hub.models[NAME].commit
    reader.succeed("sample", f"hub:{NAME}@{first}", *SAMPLE)
    asked = len(hub.requests)
    reader.succeed("sample", f"hub:{NAME}@{first}", *SAMPLE)
    assert len(hub.requests) == asked, "a commit never changes, so nothing is asked"
    assert "no revision v9" in reader.fail(4, "sample", f"hub:{NAME}@v9")


def test_without_a_network_the_last_commit_is_used(reader: Commands, hub: HubServer) -> None:
    text = reader.succeed("sample", f"hub:{NAME}", *SAMPLE).stdout
    hub.models[NAME] = replace(hub.models[NAME], refused=(403, "Forbidden"))
    assert reader.succeed("sample", f"hub:{NAME}", *SAMPLE).stdout == text
    assert "403" in reader.fail(4, "sample", f"hub:{NAME}@other")


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json", "model.json"])
def test_a_file_that_is_not_the_one_of_the_manifest_is_refused(reader: Commands, hub: HubServer, name: str) -> None:
    content = bytearray(hub.models[NAME].files[name])
    content[-2] ^= 1
    change(hub, name, bytes(content))
    assert "SHA-256" in reader.fail(3, "sample", f"hub:{NAME}")
    assert not [*(reader.folder.parent / "cache").rglob("manifest.json")]


class Canary:
    def __reduce__(self):
        return exec, ("open('canary', 'w')",)


def test_a_pickle_is_never_downloaded(reader: Commands, hub: HubServer) -> None:
    payload = pickle.dumps(Canary())
    for name in ("pytorch_model.bin", "training.json"):
        change(hub, name, payload)
    reader.succeed("sample", f"hub:{NAME}", *SAMPLE)
    assert not any("pytorch_model" in request for request in hub.requests)
    manifest = json.loads(hub.models[NAME].files["manifest.json"])
    for name in ("pytorch_model.bin", "../../escape.json", "model.json/../x", "/etc/x"):
        manifest["files"] = {name: {"bytes": len(payload), "sha256": "0" * 64}}
        change(hub, "manifest.json", json.dumps(manifest).encode())
        assert "which no model has" in reader.fail(3, "sample", f"hub:{NAME}")
    manifest["files"] = {"model.safetensors": {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}}
    change(hub, "manifest.json", json.dumps(manifest).encode())
    change(hub, "model.safetensors", payload)
    assert "model.json" in reader.fail(3, "sample", f"hub:{NAME}")
    assert not [*reader.folder.parent.rglob("canary")]


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'{"files": {"model.json": 3}}', b"<html>"])
def test_what_is_no_model_is_refused(reader: Commands, hub: HubServer, content: bytes | None) -> None:
    change(hub, "manifest.json", content)
    assert "manifest.json" in reader.fail(3, "sample", f"hub:{NAME}")


def test_a_model_that_is_not_there(reader: Commands, hub: HubServer) -> None:
    hub.models["me/gone"] = HubDataset(refused=(404, "RepoNotFound"))
    assert "the hub has no model me/gone" in reader.fail(4, "sample", "hub:me/gone")
    assert "write it like hub:USER/NAME" in reader.fail(2, "sample", "hub:tiny")


@pytest.mark.parametrize("name", ["hub:", "hub:x", "hub:a/../b", "hub:../b", "hub:a/b@", "hub:a/b@../c", "hub:a/b/c"])
def test_what_is_no_address(name: str) -> None:
    with pytest.raises(UsageError):
        parse_address(name)


def test_addresses_have_parts() -> None:
    assert parse_address("hub:me/lstm-ltg") == HubAddress("me/lstm-ltg", "main")
    assert parse_address("hub:me/a.b@refs/pr/1") == HubAddress("me/a.b", "refs/pr/1")
    assert parse_address(f"hub:me/a@{'0' * 40}").is_pinned
