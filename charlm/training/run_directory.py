"""A run directory: its files, which checkpoint counts, and which ones may be removed.

experiment.toml  origin.json  metrics.jsonl  best.json  last.json  checkpoints/step-000001000/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.errors import CheckpointError, OptionError, UsageError
from charlm.training.validation_history import ValidationHistory

EXPERIMENT_FILE = "experiment.toml"
_CHECKPOINT_NAME = re.compile(r"step-(\d{9}|[1-9]\d{9,17})", re.ASCII)  # as `checkpoint` names them
_NUM_KEPT = 2
_OTHER_FILES = (
    *("metrics.jsonl", "best.json", "last.json", "origin.json"),
    *("checkpoints", "adaptive", "tensorboard"),
)
"""What commands write into a run besides its settings."""


@dataclass(frozen=True)
class RunDirectory:
    """The directory of a run."""

    root: Path

    @property
    def experiment_path(self) -> Path:
        return self.root / EXPERIMENT_FILE

    @property
    def origin_path(self) -> Path:
        return self.root / "origin.json"

    @property
    def metrics_path(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def best_path(self) -> Path:
        return self.root / "best.json"

    @property
    def last_path(self) -> Path:
        return self.root / "last.json"

    def checkpoint(self, step: int) -> Path:
        return self.root / "checkpoints" / f"step-{step:09d}"

    def checkpoint_steps(self) -> list[int]:
        """Return the steps of the complete checkpoints, in ascending order; file times do not matter."""
        directory = self.root / "checkpoints"
        with storage.storage_errors(directory, "read"):
            names = [path.name for path in directory.glob("step-*") if storage.has_manifest(path)]
        steps = (int(found[1]) for name in names if (found := _CHECKPOINT_NAME.fullmatch(name)))
        return sorted(steps)

    def remove_all(self) -> None:
        """Remove the files of the run, its settings last, and nothing else. The caller holds the lock."""
        for name in (*_OTHER_FILES, EXPERIMENT_FILE):
            storage.remove_tree(self.root / name)

    def remove_incomplete(self) -> None:
        """Restore a checkpoint that a crash left moved aside, and remove what else it left: checkpoints without a
        manifest, and temporary files. The caller holds the lock."""
        with storage.storage_errors(self.root, "read"):
            moved_aside = list(self.root.glob("checkpoints/.step-*.old.*.tmp"))
        for path in moved_aside:
            storage.restore_directory(path.with_name(path.name.split(".")[1]))
        with storage.storage_errors(self.root, "read"):
            incomplete = [path for path in self.root.glob("checkpoints/step-*") if not storage.has_manifest(path)]
            temporary = [*self.root.glob(".*.tmp"), *self.root.glob("checkpoints/.*.tmp")]
        for path in (*incomplete, *temporary):
            storage.remove_tree(path)

    def write_pointer(self, name: str, content: Mapping[str, Any]) -> None:
        """Write best.json or last.json."""
        storage.write_json(self.root / f"{name}.json", content)

    def read_best(self, unit: str = "character") -> ValidationHistory | None:
        """Return the content of best.json; None if it is missing or damaged.

        Args:
            unit: what the task's figures count.
        """
        try:
            return ValidationHistory.from_json(storage.read_json(self.best_path), unit)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def remove_old_checkpoints(self, best_step: int | None) -> None:
        """Remove all complete checkpoints except the newest two and the best."""
        for step in self.checkpoint_steps()[:-_NUM_KEPT]:
            if step != best_step:
                storage.remove_tree(self.checkpoint(step) / storage.MANIFEST)  # now it is incomplete
                storage.remove_tree(self.checkpoint(step))


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """Return the directory of the run that a checkpoint's directory lies in; None if it lies in no run."""
    path = checkpoint.resolve()
    return path.parents[1] if path.parent.name == "checkpoints" else None


def find_checkpoint(path: Path, which: str | None = None) -> Path:
    """Return a checkpoint directory of a run; a checkpoint directory is returned unchanged.

    Args:
        which: "best", "last", or a step number; if None, the best one.

    Raises:
        UsageError: there is no such checkpoint; or `path` is a checkpoint itself, and `which` names one.
        CheckpointError: best.json or last.json is damaged.
    """
    if which is not None and which not in ("best", "last") and not (which.isascii() and which.isdigit()):
        raise UsageError(f"there is no checkpoint {which!r}", "give best, last, or a step")
    if (path / storage.MANIFEST).is_file() or (path / "model.json").is_file():
        if which is not None:
            raise _checkpoint_of_checkpoint(path, which)
        return path
    which = which or "best"
    run = RunDirectory(path)
    steps = run.checkpoint_steps()
    if not steps:
        raise UsageError(f"{path} holds no checkpoint", "train first with `charlm train`")
    named = {"last": lambda: steps[-1], "best": lambda: _best_step(path, steps)}
    step = named[which]() if which in named else int(which)
    if step not in steps:
        raise UsageError(f"{path} has no checkpoint of step {step}", f"it has {', '.join(map(str, steps))}")
    return run.checkpoint(step)


def _best_step(root: Path, steps: list[int]) -> int:
    path = RunDirectory(root).best_path
    if not path.is_file():
        return steps[-1]
    try:
        return int(storage.read_json(path)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged", "delete it, or use --checkpoint last") from error


def _checkpoint_of_checkpoint(path: Path, which: str) -> OptionError:
    """The error for a checkpoint that is to be chosen from a checkpoint."""
    root = run_of_checkpoint(path)
    is_in_run = root is not None and (root / EXPERIMENT_FILE).is_file()
    return OptionError(
        "{checkpoint} {which} chooses a checkpoint of a run, and {path} is a single checkpoint",
        "leave {checkpoint} out" + (", or name the run instead of its checkpoint" if is_in_run else ""),
        which=which,
        path=path,
    )
