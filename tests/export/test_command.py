"""`charlm export`: what every format has in common."""

import json
import shutil
from pathlib import Path

import pytest

from charlm import storage
from charlm.errors import StorageError
from tests.processes import Commands
from tests.workspaces import RUN, snapshot, tour_labels


def test_the_output_is_called_after_the_run(workspace: Commands) -> None:
    assert workspace.succeed("export", "--format", "hub").stdout == "tiny-texts-hub\n"
    checkpoint = str(RUN / "checkpoints/step-000000010")
    assert workspace.succeed("export", checkpoint, "--format", "hub").stdout == "tiny-texts-step-000000010-hub\n"
    assert workspace.succeed("export", "bundled", "--format", "hub").stdout == "bundled-hub\n"
    found = workspace.json("export", "--format", "hub", "--out", "other")
    assert found == {"run": str(RUN), "format": "hub", "path": "other"}


def test_nothing_is_overwritten_unasked(workspace: Commands) -> None:
    workspace.succeed("export", "--format", "hub", "--out", "x")
    before = snapshot(workspace.folder)
    assert "x exists; choose another --out, or add --overwrite" in workspace.fail(
        2, "export", "--format=hub", "--out=x"
    )
    assert "holds no earlier export" in workspace.fail(2, "export", "--format=hub", "--out=texts", "--overwrite")
    assert "holds no earlier export" in workspace.fail(2, "export", "--format=hub", f"--out={RUN}", "--overwrite")
    assert snapshot(workspace.folder) == before
    (workspace.folder / "x" / "stale").touch()
    (workspace.folder / "tiny-texts-hub").write_text("mine", encoding="utf-8")
    assert "tiny-texts-hub is a file, and must be a folder" in workspace.fail(2, "export", "--format=hub")
    assert (workspace.folder / "tiny-texts-hub").read_text(encoding="utf-8") == "mine"
    workspace.succeed("export", "--format", "hub", "--out", "x", "--overwrite", "--checkpoint", "10")
    assert not (workspace.folder / "x" / "stale").exists()
    assert [path.name for path in workspace.folder.glob(".x*")] == []


def test_a_checkpoint_does_not_replace_itself(workspace: Commands) -> None:
    """A directory for the hub is a checkpoint too."""
    workspace.succeed("export", "--format", "hub", "--out", "x")
    assert "holds the model itself" in workspace.fail(2, "export", "x", "--format=hub", "--out=x", "--overwrite")


def test_a_link_stays_and_its_folder_is_replaced(workspace: Commands) -> None:
    (workspace.folder / "elsewhere").mkdir()
    (workspace.folder / "x").symlink_to("elsewhere")
    workspace.succeed("export", "--format", "hub", "--out", "x")
    assert (workspace.folder / "x").is_symlink()
    assert (workspace.folder / "elsewhere" / "README.md").is_file()


@pytest.mark.parametrize("failing", ["write_text", "first rename", "second rename"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    out = tmp_path / "out"
    _replace(out, "old")
    renamed: list[Path] = []

    def rename(source: Path, target: Path) -> None:
        renamed.append(source)
        if len(renamed) == ("first rename", "second rename").index(failing) + 1:
            raise StorageError("the disk is full", "free some space")
        storage.rename(source, target)

    def write_text(path: Path, content: str) -> None:
        raise StorageError(f"the disk is full: {path}", f"free some space for {content}")

    if failing == "write_text":
        monkeypatch.setattr(storage, "write_text", write_text)
    else:
        monkeypatch.setattr("charlm.storage.whole_directories.rename", rename)
    with pytest.raises(StorageError):
        _replace(out, "new")
    assert snapshot(tmp_path) == {"out": None, "out/old": b"text"}


def _replace(out: Path, name: str) -> None:
    with storage.atomic_directory(out) as folder:
        storage.write_text(folder / name, "text")


@pytest.mark.parametrize("kind", ["hub", "stanza", "flair"])
def test_a_limit_of_the_file_size_leaves_nothing(workspace: Commands, kind: str) -> None:
    before = snapshot(workspace.folder)
    assert "cannot write" in workspace.fail(5, "export", "--format", kind, file_size=4096)
    assert snapshot(workspace.folder) == before


def test_options_of_other_runs_are_refused(workspace: Commands) -> None:
    tour_labels(workspace)
    figures = workspace.json("eval", "given")
    (workspace.folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    line = workspace.fail(3, "export", "--format", "hub", "--figures", "figures.json")
    assert "those of runs/given, and not of runs/tiny-texts" in line
    for content in ("[]", "{}", '{"run": 1, "split": "test"}', '{"run": "x", "split": "test", "interval": [1]}'):
        (workspace.folder / "figures.json").write_text(content, encoding="utf-8")
        assert "--figures" in workspace.fail(3, "export", "--format", "hub", "--figures", "figures.json")


def test_a_killed_export_leaves_nothing_that_the_next_one_keeps(workspace: Commands) -> None:
    stale = workspace.folder / ".x.999999999.tmp"
    stale.mkdir()
    (stale / "model.json").touch()
    workspace.succeed("export", "--format", "hub", "--out", "x")
    assert not stale.exists()
    shutil.rmtree(workspace.folder / "x")
