"""Opening a run directory: a new run, one that goes on, or one that must not be touched."""

from pathlib import Path

import pytest

from charlm import storage
from charlm.errors import DataError, SettingsError
from charlm.experiment import Experiment
from charlm.settings import Layer, merge_layers, parse_override, to_toml, validate
from charlm.training.logs import metrics_file
from charlm.training.run_directory import RunDirectory
from charlm.training.run_origin import WEIGHTS_FROM_SEED
from charlm.workflows.open_run import open_run


def settings(*overrides: str) -> Experiment:
    layers = [parse_override(override) for override in ("training.max_steps=10", *overrides)]
    return validate(Experiment, merge_layers([Layer(), *layers]))


def experiment(*overrides: str) -> str:
    return to_toml(settings(*overrides))


def start(run: RunDirectory, *overrides: str, resume: bool = True, overwrite: bool = False) -> None:
    open_run(run, settings(*overrides), Path("data/texts"), WEIGHTS_FROM_SEED, resume=resume, overwrite=overwrite)


def save(run: RunDirectory) -> None:
    """A checkpoint."""
    storage.make_directory(run.checkpoint(1))
    storage.write_manifest(run.checkpoint(1), {})


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    storage.make_directory(tmp_path / "run")
    (tmp_path / "run" / ".lock").touch()
    return RunDirectory(tmp_path / "run")


def test_a_new_run_keeps_its_settings(run: RunDirectory) -> None:
    start(run)
    assert run.experiment_path.read_text(encoding="utf-8") == experiment()
    start(run)
    assert run.experiment_path.read_text(encoding="utf-8") == experiment()


@pytest.mark.parametrize("budget", ["training.max_steps=20", "training.max_epochs=3", "training.max_minutes=1"])
def test_another_budget_is_no_change(run: RunDirectory, budget: str) -> None:
    start(run)
    start(run, budget)
    assert run.experiment_path.read_text(encoding="utf-8") == experiment(budget)


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("training.seq_len=3", "training.seq_len: 128 -> 3"),
        ("model.body.hidden_size=3", "model.body.hidden_size: 512 -> 3"),
        ("model.body.cell.type=gru", "model.body.cell.type: lstm -> gru"),
        ("corpus.split=90/10", "corpus.split: auto -> 90/10"),
        ("training.seed=3", "training.seed: 0 -> 3"),
    ],
)
def test_other_settings_are_refused_with_the_difference(run: RunDirectory, override: str, difference: str) -> None:
    start(run)
    save(run)
    with pytest.raises(SettingsError) as caught:
        start(run, override)
    assert difference in caught.value.what
    assert "--overwrite" in caught.value.cure
    assert run.experiment_path.read_text(encoding="utf-8") == experiment()


def test_a_run_without_a_checkpoint_takes_other_settings(run: RunDirectory) -> None:
    """Its training could not begin, so the settings may be what was wrong; a torn checkpoint is none."""
    start(run)
    storage.make_directory(run.checkpoint(1))
    start(run, "training.seed=3")
    assert run.experiment_path.read_text(encoding="utf-8") == experiment("training.seed=3")


def test_what_is_no_run_is_left_alone(run: RunDirectory) -> None:
    (run.root / "diary.txt").write_text("mine", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(SettingsError, match="holds no run"):
            start(run, overwrite=overwrite)
    assert {path.name for path in run.root.iterdir()} == {"diary.txt", ".lock"}


def test_a_run_is_not_resumed_where_that_is_refused(run: RunDirectory) -> None:
    start(run, resume=False)
    with pytest.raises(SettingsError, match="--resume is never"):
        start(run, resume=False)


def test_overwrite_begins_anew_but_keeps_the_lock(run: RunDirectory) -> None:
    start(run)
    metrics_file.append(run.metrics_path, {"step": 1})
    storage.make_directory(run.checkpoint(1))
    start(run, "training.batch_size=3", overwrite=True)
    assert {path.name for path in run.root.iterdir()} == {"experiment.toml", "origin.json", ".lock"}
    assert run.experiment_path.read_text(encoding="utf-8") == experiment("training.batch_size=3")


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"a = ", b"a = " + b"[" * 9999], ids=["empty", "no UTF-8", "torn", "deep"]
)
def test_damaged_settings_are_refused(run: RunDirectory, content: bytes) -> None:
    save(run)
    run.experiment_path.write_bytes(content)
    with pytest.raises((DataError, SettingsError)):
        start(run)
