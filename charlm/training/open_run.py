"""Opening a run directory: a new run, an unfinished one that goes on, or one made with other settings."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from charlm import storage
from charlm.errors import DataError, SettingsError
from charlm.settings import Difference
from charlm.training.run_directory import EXPERIMENT_FILE, RunDirectory

FindDifferences = Callable[[Mapping[str, Any], Mapping[str, Any]], Sequence[Difference]]


def open_run(
    run: RunDirectory, experiment: str, find_differences: FindDifferences, *, resume: bool, overwrite: bool
) -> None:
    """Make `run` ready for training with `experiment` (TOML). The caller holds the directory's lock.

    A run without a checkpoint has nothing that other settings would not fit: it takes the new ones.

    Raises:
        SettingsError: the directory holds a run with other settings, or something else; names the difference.
        DataError: its experiment.toml is damaged.
    """
    cure = "choose another --out, or add --overwrite"
    run.remove_incomplete()
    with storage.storage_errors(run.root, "read"):
        names = [path.name for path in run.root.iterdir() if not path.name.startswith(".")]
    if overwrite and EXPERIMENT_FILE in names:
        for name in sorted(names, key=lambda name: name == EXPERIMENT_FILE):
            storage.remove_tree(run.root / name)
        names = []
    if names:
        if EXPERIMENT_FILE not in names:
            raise SettingsError(f"{run.root} exists and holds no run", "choose another --out")
        if not resume:
            raise SettingsError(f"{run.root} holds a run already, and --resume is never", cure)
        try:
            text = storage.read_text(run.experiment_path)
            old_settings = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{run.experiment_path} is damaged: {error}", cure) from error
        differences = find_differences(old_settings, tomllib.loads(experiment))
        if differences and run.checkpoint_steps():
            what = "; ".join(map(str, differences))
            raise SettingsError(f"{run.root} was trained with other settings ({what})", cure)
        if text == experiment:
            return
    storage.write_text(run.experiment_path, experiment)
