"""The start of training: new weights, another model's weights, or the last checkpoint of the run.

a new model, or one to fine-tune ──start_new──┐
the newest checkpoint ──────────────resume────┴──> ModelUpdater, TrainerState
"""

from collections.abc import Callable
from typing import Any

import torch

from charlm.checkpoint import load_model, load_resume_data
from charlm.errors import CheckpointError, DataError
from charlm.nn.model import LanguageModel
from charlm.training.distributed import Distributed
from charlm.training.logs import metrics_file
from charlm.training.model_updater import ModelUpdater
from charlm.training.run_directory import RunDirectory
from charlm.training.settings import TrainingSettings
from charlm.training.tasks.base import Task, TrainingBatches
from charlm.training.trainer_state import TrainerState
from charlm.version import __version__


def start_new(
    run: RunDirectory,
    model: LanguageModel,
    settings: TrainingSettings,
    device: torch.device,
    ranks: Distributed,
    state: TrainerState,
) -> tuple[ModelUpdater, TrainerState]:
    """Start from the weights of `model`, and remove what an attempt without a checkpoint logged."""
    ranks.run_on_main(lambda: metrics_file.truncate(run.metrics_path, 0))
    return ModelUpdater(model.to(device), settings, device, ranks), state


def resume(
    run: RunDirectory,
    task: Task,
    settings: TrainingSettings,
    batches: TrainingBatches,
    device: torch.device,
    ranks: Distributed,
    note: Callable[[str], None],
) -> tuple[ModelUpdater, TrainerState]:
    """Resume from the newest checkpoint.

    Raises:
        DataError: the run was trained on another corpus.
        CheckpointError: the checkpoint does not fit.
    """
    directory = run.checkpoint(run.checkpoint_steps()[-1])
    loaded = load_model(directory, device)
    training = load_resume_data(directory)
    metadata = training.metadata
    if metadata.get("corpus") != task.corpus.fingerprint:
        raise DataError(
            f"{task.corpus.directory} is not the corpus of {run.root}: its fingerprint differs",
            "restore that corpus, or start a new run with another --out",
        )
    updater = ModelUpdater(loaded.model, settings, device, ranks)
    try:
        state = TrainerState.from_json(metadata, task.parse_cursor, task.unit)
        old_batch_size = int(metadata["rows"])
        updater.load_tensors(training.tensors, batches.batch_size if old_batch_size == batches.batch_size else None)
        if old_batch_size != batches.batch_size:
            state.cursor = batches.redistribute(state.cursor, batches.with_batch_size(old_batch_size))
        batches.check(state.cursor)
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, OverflowError) as error:
        raise CheckpointError(
            f"{directory} cannot be resumed: {error}", "delete that checkpoint to resume from the one before it"
        ) from error
    note_differences(metadata, describe_computation(batches.batch_size, ranks, updater), note)
    if (version := loaded.metadata.get("charlm")) != __version__:
        note(f"{directory} was written by charlm {version}; this is charlm {__version__}")
    best = run.read_best(task.unit)
    if best is not None and best.last_step == state.step:  # validated after the checkpoint was written
        state.validations = best
    if (best_step := state.validations.best_step) not in (None, *run.checkpoint_steps()):
        note(f"the best checkpoint, of step {best_step:,}, was removed: {directory.name} takes its place")
        state.validations = state.validations.with_best_at(state.step)
    ranks.run_on_main(lambda: metrics_file.truncate(run.metrics_path, state.step, keep_validation=state.is_validated))
    return updater, state


_NAMES = {
    "rows": "rows",
    "micro_batches": "micro-batches",
    "ranks": "processes",
    "threads": "threads",
    "device": "device",
    "precision": "precision",
}
"""What decides the last bits of a step: its key in training.json, and its name in notes."""


def describe_computation(batch_size: int, ranks: Distributed, updater: ModelUpdater) -> dict[str, Any]:
    """Return what decides the last bits of a step, as training.json records it."""
    return {
        "rows": batch_size,
        "micro_batches": updater.num_micro_batches,
        "ranks": ranks.world_size,
        "threads": torch.get_num_threads(),
        "device": updater.device.type,
        "precision": updater.precision,
    }


def note_differences(before: dict[str, Any], now: dict[str, Any], note: Callable[[str], None]) -> None:
    """Note what keeps a resumed run from being bit-exact. What an older charlm did not record is no difference."""
    changed = [key for key in _NAMES if before.get(key, now[key]) != now[key]]
    if not changed:
        return
    differences = ", ".join(f"{_NAMES[key]} {before[key]} -> {now[key]}" for key in changed)
    redistributed = ""
    if "rows" in changed:
        redistributed = "; the rest of the epoch is redistributed over the new batch, no token lost or read twice"
    note(f"resuming with other {differences}: not bit-exact{redistributed}")
