"""Opening a run directory: a new run, an unfinished run to resume, or a run to overwrite."""

from collections.abc import Iterator
from pathlib import Path

from charlm import storage
from charlm.checkpoint import describe_model
from charlm.errors import DataError, SettingsError
from charlm.experiment import Experiment, changed_settings
from charlm.nn.embeddings.frozen import NO_FROZEN_MODELS, FrozenModels
from charlm.settings import to_toml
from charlm.settings.renamed import parse_experiment
from charlm.training.run_directory import EXPERIMENT_FILE, RunDirectory
from charlm.training.run_origin import InitialWeights, RunOrigin, describe_path, read_origin, write_origin

_CURE = "choose another --out, or add --overwrite"


def refuse_other_folder(run: RunDirectory) -> None:
    """Check, before the lock makes a file there, that the directory is a run, empty, or missing.

    Raises:
        SettingsError: it holds something else.
    """
    names = _names(run) if run.root.is_dir() else []
    if names and EXPERIMENT_FILE not in names:
        raise SettingsError(f"{run.root} exists and holds no run", "choose another --out")


def open_run(
    run: RunDirectory,
    experiment: Experiment,
    corpus: Path,
    initial: InitialWeights,
    *,
    frozen: FrozenModels = NO_FROZEN_MODELS,
    resume: bool,
    overwrite: bool,
) -> None:
    """Prepare a run directory for training with `experiment`; the caller holds its lock.

    Args:
        corpus: the directory of the corpus, which the run remembers.
        initial: the weights that a new run begins with.
        frozen: the frozen language models of a new run.

    Raises:
        SettingsError: the directory holds something else, or a run with other settings, which the error names.
        DataError: its experiment.toml or origin.json is damaged.
    """
    refuse_other_folder(run)
    run.remove_incomplete()
    if overwrite:
        run.remove_all()
    exists = run.experiment_path.is_file()
    if exists and not resume:
        raise SettingsError(f"{run.root} already holds a run, and --resume is never", _CURE)
    text = to_toml(experiment)
    if not exists or _read_compatible_settings(run, experiment, initial, frozen) != text:
        storage.write_text(run.experiment_path, text)
    origin = read_origin(run) if run.checkpoint_steps() else RunOrigin("", initial)
    known = origin.initial if origin else None  # of a run that charlm 0.1.0 began it stays unknown
    write_origin(run, RunOrigin(describe_path(corpus, run.root), known))


def _names(run: RunDirectory) -> list[str]:
    with storage.storage_errors(run.root, "read"):
        return [path.name for path in run.root.iterdir() if not path.name.startswith(".")]


def _read_compatible_settings(
    run: RunDirectory, experiment: Experiment, initial: InitialWeights, frozen: FrozenModels
) -> str:
    """Return the text of experiment.toml, if the run can be resumed with `experiment`.

    A run without a checkpoint accepts any settings.
    """
    try:
        text = storage.read_text(run.experiment_path)
        old_settings = parse_experiment(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{run.experiment_path} is damaged: {error}", _CURE) from error
    if run.checkpoint_steps():
        changes = [*map(str, changed_settings(old_settings, experiment)), *_changed_weights(run, initial)]
        changes = changes or [*_changed_frozen_models(run, frozen)]
        if changes:
            raise SettingsError(f"{run.root} was trained with other settings ({'; '.join(changes)})", _CURE)
    return text


def _changed_weights(run: RunDirectory, initial: InitialWeights) -> Iterator[str]:
    """Yield the difference between the weights that the run began with and those that are asked for now."""
    origin = read_origin(run)
    if origin is not None and origin.initial is not None and origin.initial.sha256 != initial.sha256:
        yield f"--init-from: {origin.initial} -> {initial}"


def _changed_frozen_models(run: RunDirectory, frozen: FrozenModels) -> Iterator[str]:
    """Yield the differences between the frozen language models of the run and those that the settings name now."""
    if not frozen:
        return
    before = describe_model(run.checkpoint(run.checkpoint_steps()[-1])).frozen
    for setting in frozen:
        old, new = (each[setting].description.sha256[:12] if setting in each else "none" for each in (before, frozen))
        if old != new:
            yield f"{setting}: weights {old} -> {new}"
