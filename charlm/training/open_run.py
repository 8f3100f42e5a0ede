"""Opening a run directory: a new run, an unfinished one that goes on, or one made with other settings."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from charlm import storage
from charlm.errors import DataError, SettingsError
from charlm.settings import Difference
from charlm.training.run_directory import EXPERIMENT_FILE, RunDirectory

Changes = Callable[[Mapping[str, Any], Mapping[str, Any]], Sequence[Difference]]


def open_run(run: RunDirectory, experiment: str, changes: Changes, *, resume: bool, overwrite: bool) -> None:
    """Make `run` ready for training with `experiment` (TOML). The caller holds the directory's lock.

    A run without a checkpoint has nothing that other settings would not fit: it takes the new ones.

    Raises:
        SettingsError: the directory holds a run with other settings, or something else; names the difference.
        DataError: its experiment.toml is damaged.
    """
    cure = "choose another --out, or add --overwrite"
    run.clean()
    with storage.storage_errors(run.root, "read"):
        contents = [path.name for path in run.root.iterdir() if not path.name.startswith(".")]
    if overwrite and EXPERIMENT_FILE in contents:
        for name in sorted(contents, key=lambda name: name == EXPERIMENT_FILE):
            storage.remove_tree(run.root / name)
        contents = []
    if contents:
        if EXPERIMENT_FILE not in contents:
            raise SettingsError(f"{run.root} exists and holds no run", "choose another --out")
        if not resume:
            raise SettingsError(f"{run.root} holds a run already, and --resume is never", cure)
        try:
            text = storage.read_text(run.experiment)
            before = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{run.experiment} is damaged: {error}", cure) from error
        changed = changes(before, tomllib.loads(experiment))
        if changed and run.steps():
            what = "; ".join(map(str, changed))
            raise SettingsError(f"{run.root} was trained with other settings ({what})", cure)
        if text == experiment:
            return
    storage.write_text(run.experiment, experiment)
