"""Opening a run directory: a new run, an unfinished run to resume, or a run to overwrite."""

from charlm import storage
from charlm.errors import DataError, SettingsError
from charlm.experiment import Experiment, changed_settings
from charlm.settings import to_toml
from charlm.settings.renamed import parse_experiment
from charlm.training.run_directory import EXPERIMENT_FILE, RunDirectory

_CURE = "choose another --out, or add --overwrite"


def open_run(run: RunDirectory, experiment: Experiment, *, resume: bool, overwrite: bool) -> None:
    """Prepare a run directory for training with `experiment`; the caller holds its lock.

    Raises:
        SettingsError: the directory holds something else, or a run with other settings, which the error names.
        DataError: its experiment.toml is damaged.
    """
    run.remove_incomplete()
    with storage.storage_errors(run.root, "read"):
        names = [path.name for path in run.root.iterdir() if not path.name.startswith(".")]
    if overwrite and EXPERIMENT_FILE in names:
        for name in sorted(names, key=lambda name: name == EXPERIMENT_FILE):
            storage.remove_tree(run.root / name)
        names = []
    if names and EXPERIMENT_FILE not in names:
        raise SettingsError(f"{run.root} exists and holds no run", "choose another --out")
    if names and not resume:
        raise SettingsError(f"{run.root} already holds a run, and --resume is never", _CURE)
    text = to_toml(experiment)
    if not names or _read_compatible_settings(run, experiment) != text:
        storage.write_text(run.experiment_path, text)


def _read_compatible_settings(run: RunDirectory, experiment: Experiment) -> str:
    """Return the text of experiment.toml, if the run can be resumed with `experiment`.

    A run without a checkpoint accepts any settings.
    """
    try:
        text = storage.read_text(run.experiment_path)
        old_settings = parse_experiment(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{run.experiment_path} is damaged: {error}", _CURE) from error
    differences = changed_settings(old_settings, experiment.model_dump(mode="json", exclude_none=True))
    if differences and run.checkpoint_steps():
        what = "; ".join(map(str, differences))
        raise SettingsError(f"{run.root} was trained with other settings ({what})", _CURE)
    return text
