"""A run directory: which checkpoints there are, and which one counts."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from charlm import storage
from charlm.errors import CheckpointError, UsageError
from charlm.training.run_directory import RunDirectory, find_checkpoint


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def add(run: RunDirectory, *steps: int) -> None:
    for step in steps:
        storage.make_directory(run.checkpoint(step))
        storage.write_manifest(run.checkpoint(step), {})


def on_disk(run: RunDirectory) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (run.root / "checkpoints").iterdir())


def test_checkpoints_are_ordered_by_step_and_not_by_file_times(run: RunDirectory) -> None:
    steps = [2_000_000_000, 5, 1000, 10]
    add(run, *steps)
    for age, step in enumerate(steps):
        os.utime(run.checkpoint(step), (age, age))
    assert run.checkpoint_steps() == sorted(steps)
    assert run.checkpoint(1000).name == "step-000001000"


def test_incomplete_checkpoints_and_other_names_do_not_count(run: RunDirectory) -> None:
    assert run.checkpoint_steps() == []
    add(run, 3)
    storage.make_directory(run.checkpoint(4))
    others = ("step-0000000007", "step-" + "٠" * 8 + "٧", "step-" + "9" * 99)
    for name in ("step-", "step-abcdefghi", "step-5", "other", "step-000000006x", *others):
        storage.make_directory(run.root / "checkpoints" / name)
        storage.write_manifest(run.root / "checkpoints" / name, {})
    assert run.checkpoint_steps() == [3]


@given(steps=st.sets(st.integers(0, 10**9), max_size=8), data=st.data())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_the_newest_two_and_the_best_are_kept(
    tmp_path_factory: pytest.TempPathFactory, steps: set[int], data: st.DataObject
) -> None:
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    storage.make_directory(run.root / "checkpoints")
    add(run, *steps)
    best = data.draw(st.none() | st.sampled_from(sorted(steps))) if steps else None
    run.remove_old_checkpoints(best)
    assert set(on_disk(run)) == set(sorted(steps)[-2:]) | ({best} if best is not None else set())


def test_a_partly_removed_checkpoint_does_not_count(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was killed while it removed the checkpoint, whose manifest is removed first."""
    add(run, 1, 2, 3)
    (run.checkpoint(1) / "model.safetensors").touch()
    seen: list[list[int]] = []
    remove = storage.remove_tree
    monkeypatch.setattr(storage, "remove_tree", lambda path: (remove(path), seen.append(run.checkpoint_steps())))
    run.remove_old_checkpoints(None)
    assert seen
    assert all(steps == [2, 3] for steps in seen)


def test_a_checkpoint_that_was_moved_aside_is_restored_and_what_a_crash_left_is_removed(run: RunDirectory) -> None:
    """Of step 2, a new checkpoint has taken the place of the old one; of step 3, it has not."""
    add(run, 1, 2, 3)
    folder = run.root / "checkpoints"
    run.checkpoint(3).rename(folder / f".step-000000003.old.{os.getpid()}.tmp")
    for name in (".step-000000002.old.17.tmp", ".step-000000003.17.tmp", ".step-000000004.17.tmp", "step-000000005"):
        storage.make_directory(folder / name)
    run.remove_incomplete()
    assert sorted(path.name for path in folder.iterdir()) == [run.checkpoint(step).name for step in (1, 2, 3)]
    assert run.checkpoint_steps() == [1, 2, 3]


# ---- which checkpoint


def test_best_last_and_a_step(run: RunDirectory) -> None:
    add(run, 10, 20, 30)
    assert find_checkpoint(run.root, "last") == run.checkpoint(30)
    assert find_checkpoint(run.root) == run.checkpoint(30), "without best.json the newest is the best"
    run.write_pointer("best", {"step": 20})
    assert find_checkpoint(run.root) == run.checkpoint(20)
    assert find_checkpoint(run.root, "10") == run.checkpoint(10)
    assert find_checkpoint(run.checkpoint(10)) == run.checkpoint(10), "a checkpoint's own directory"
    with pytest.raises(UsageError, match="is a single checkpoint"):
        find_checkpoint(run.checkpoint(10), "last")


@pytest.mark.parametrize("which", ["40", "first", "", "-1", "1.0", "²"])
def test_a_missing_checkpoint_is_a_usage_error(run: RunDirectory, which: str) -> None:
    add(run, 10)
    with pytest.raises(UsageError):
        find_checkpoint(run.root, which)


def test_a_run_without_checkpoints_is_a_usage_error(run: RunDirectory, tmp_path: Path) -> None:
    for path in (run.root, tmp_path):
        with pytest.raises(UsageError, match="charlm train"):
            find_checkpoint(path)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"step": "x"}', '{"step": 1e999}', '{"step": null}', "[" * 99_999]
)
def test_a_damaged_best_json_is_named_with_a_workaround(run: RunDirectory, content: str) -> None:
    add(run, 10)
    (run.root / "best.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"best\.json.*--checkpoint last"):
        find_checkpoint(run.root)
    assert find_checkpoint(run.root, "last") == run.checkpoint(10)


def test_a_removed_best_checkpoint_is_named(run: RunDirectory) -> None:
    add(run, 10)
    run.write_pointer("best", {"step": 5})
    with pytest.raises(UsageError, match="no checkpoint of step 5"):
        find_checkpoint(run.root)
