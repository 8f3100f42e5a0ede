"""A run directory: what lies where, which checkpoint counts, what may go.

experiment.toml  metrics.jsonl  best.json  last.json  checkpoints/step-000001000/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.errors import CheckpointError, UsageError

EXPERIMENT_FILE = "experiment.toml"
_CHECKPOINT_NAME = re.compile(r"step-(\d{9}|[1-9]\d{9,17})", re.ASCII)  # as `checkpoint` names them
_NUM_KEPT = 2


@dataclass(frozen=True, slots=True)
class ValidationHistory:
    """The best validation so far, the step of the last one, and the bits per character of all of them in order."""

    best_step: int | None = None
    best_bits: float | None = None
    last_step: int | None = None
    history: tuple[float | None, ...] = ()

    def with_result(self, step: int, bits: float | None) -> "ValidationHistory":
        """After one more."""
        history = (*self.history, bits)
        is_best = bits is not None and (self.best_bits is None or bits < self.best_bits)
        if is_best or self.best_step is None:
            return ValidationHistory(step, bits, step, history)
        return ValidationHistory(self.best_step, self.best_bits, step, history)

    def with_best_from(self, other: "ValidationHistory | None") -> "ValidationHistory":
        """The same validations, of which only what another one says is the best."""
        other = other or ValidationHistory()
        return replace(self, best_step=other.best_step, best_bits=other.best_bits)

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.best_step,
            "bits_per_character": self.best_bits,
            "validated": self.last_step,
            "history": list(self.history),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ValidationHistory":
        """KeyError, TypeError or ValueError where the content does not fit."""
        step, bits, last_step = (content[key] for key in ("step", "bits_per_character", "validated"))
        history = tuple(None if value is None else float(value) for value in content["history"])
        return cls(
            None if step is None else int(step),
            None if bits is None else float(bits),
            None if last_step is None else int(last_step),
            history,
        )


@dataclass(frozen=True)
class RunDirectory:
    root: Path

    @property
    def experiment_path(self) -> Path:
        return self.root / EXPERIMENT_FILE

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
        """Steps of the complete checkpoints, rising. Order is by step, never by a clock."""
        directory = self.root / "checkpoints"
        with storage.storage_errors(directory, "read"):
            names = [path.name for path in directory.glob("step-*") if storage.has_manifest(path)]
        steps = (int(found[1]) for name in names if (found := _CHECKPOINT_NAME.fullmatch(name)))
        return sorted(steps)

    def remove_incomplete(self) -> None:
        """Remove what a crash left: checkpoints without a manifest, and temporary files. The lock must be held."""
        with storage.storage_errors(self.root, "read"):
            incomplete = [path for path in self.root.glob("checkpoints/step-*") if not storage.has_manifest(path)]
            temporary = list(self.root.glob(".*.tmp"))
        for path in (*incomplete, *temporary):
            storage.remove_tree(path)

    def append_metrics(self, entry: Mapping[str, Any]) -> None:
        storage.append_line(self.metrics_path, storage.to_json(entry, indent=None))

    def truncate_metrics(self, step: int, *, keep_validation: bool = True) -> None:
        """Drop what was logged after `step` (or, unless `keep_validation`, by the validation there), and torn lines."""
        if not self.metrics_path.exists():
            return
        text = storage.read_text(self.metrics_path, errors="replace")
        last = (step, "valid" if keep_validation else "train")
        lines = (
            f"{line}\n"
            for line in text.split("\n")
            if (step_and_kind := _parse_step_and_kind(line)) is not None and step_and_kind <= last
        )
        kept = "".join(lines)
        if kept != text:
            storage.write_text(self.metrics_path, kept)

    def write_pointer(self, name: str, content: Mapping[str, Any]) -> None:
        """Write best.json or last.json."""
        storage.write_json(self.root / f"{name}.json", content)

    def read_best(self) -> ValidationHistory | None:
        """What best.json says; None where it is missing or damaged."""
        try:
            return ValidationHistory.from_json(storage.read_json(self.best_path))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def remove_old_checkpoints(self, best_step: int | None) -> None:
        """Remove all complete checkpoints but the newest two and the best."""
        for step in self.checkpoint_steps()[:-_NUM_KEPT]:
            if step != best_step:
                storage.remove_tree(self.checkpoint(step) / storage.MANIFEST)  # from here on it does not exist
                storage.remove_tree(self.checkpoint(step))


def find_checkpoint(path: Path, which: str = "best") -> Path:
    """The checkpoint directory that a run directory (or a checkpoint directory itself) and `which` mean.

    Args:
        which: "best", "last", or a step number.

    Raises:
        UsageError: there is none.
        CheckpointError: best.json or last.json is damaged.
    """
    if which not in ("best", "last") and not (which.isascii() and which.isdigit()):
        raise UsageError(f"there is no checkpoint {which!r}", "give best, last, or a step")
    if (path / storage.MANIFEST).is_file() or (path / "model.json").is_file():
        return path
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


def _parse_step_and_kind(line: str) -> tuple[int, str] | None:
    """Step and kind; at one step, `train` comes before `valid`, in the log and in the alphabet."""
    try:
        entry = storage.from_json(line)
        return int(entry["step"]), str(entry["kind"])
    except (ValueError, KeyError, TypeError):
        return None
