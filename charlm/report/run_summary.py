"""The runs in a directory and the state of each, from its small JSON files and its lock, without torch and weights.

runs/NAME/  .lock held? ──> training
            newest complete checkpoint: model.json, last.json ──> finished | unfinished
            no checkpoint ──> empty
            a missing or invalid file ──> damaged, with the reason
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from charlm import storage
from charlm.data.task_settings import parse_task
from charlm.errors import CharlmError
from charlm.evaluation.uniform_guessing import describe_worse_than_uniform, uniform_bits
from charlm.printable import one_line
from charlm.training.logs.metrics_file import read_tail
from charlm.training.run_directory import RunDirectory

RunState = Literal["training", "finished", "unfinished", "damaged", "empty"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The state and the results of a run. Unknown values are None."""

    name: str
    path: Path
    state: RunState
    why: str = ""
    """The reason why the run is damaged."""
    best_bits_per_character: float | None = None
    best_step: int | None = None
    step: int | None = None
    """The step of the newest checkpoint."""
    characters: float | None = None
    """Characters of training text seen up to that step."""
    saved: float | None = None
    """When the checkpoint was written, in seconds since 1970 by the clock of the disk. Only for display."""
    parameters: int | None = None
    corpus: str | None = None
    uniform_bits_per_character: float | None = None
    """What uniform guessing of the validation text would need, by the last validation near the end of the log."""
    predicts_labels: bool = False
    best_bits_per_label: float | None = None
    """Of a run that predicts labels or tags, which has no bits per character."""
    selected_by: str = "bits"
    """The figure that chose the best checkpoint: bits, accuracy or f1."""

    @property
    def warning(self) -> str | None:
        """A sentence about a best score that is worse than uniform guessing."""
        return describe_worse_than_uniform(self.name, self.best_bits_per_character, self.uniform_bits_per_character)


def list_runs(root: Path) -> list[RunSummary]:
    """Summarize every directory directly below `root`, by name. The list is empty where `root` is not a directory."""
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
    return [summarize_run(path) for path in folders]


def summarize_run(path: Path) -> RunSummary:
    """Summarize the run in `path`. A file that cannot be read makes it a damaged run, not an error."""
    name = one_line(storage.directory_name(path))
    partial = _PartialSummary()
    state: RunState
    try:
        state, why = _read(path, partial), ""
    except (CharlmError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        state, why = "damaged", f"{partial.current_file} is missing or damaged"
    if _is_training(path):  # a file that seems damaged may be half written
        state, why = "training", ""
    return RunSummary(name, path, state, why, **partial.fields)


@dataclass
class _PartialSummary:
    """The fields read so far, and the file that is being read."""

    current_file: str = ""
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


def _is_training(path: Path) -> bool:
    try:
        return storage.is_locked(path)
    except CharlmError:
        return False


def _read(path: Path, partial: _PartialSummary) -> RunState:
    """Fill `partial`; any error means that its current file is damaged."""
    run = RunDirectory(path)
    partial.current_file = "the folder of checkpoints"
    steps = run.checkpoint_steps()
    partial.current_file = run.experiment_path.name
    if steps or run.experiment_path.exists():
        tomllib.loads(run.experiment_path.read_text(encoding="utf-8"))
    if not steps:
        return "empty"
    step = steps[-1]
    checkpoint = run.checkpoint(step)
    partial.fields["step"] = step
    partial.current_file = f"a file of {checkpoint.name}"
    partial.fields["saved"] = (checkpoint / storage.MANIFEST).stat().st_mtime
    _check_sizes(checkpoint, _read_object(checkpoint / storage.MANIFEST)["files"])
    model_info = _read_object(checkpoint / "model.json")
    partial.fields["corpus"] = one_line(str(model_info["trained_on"]["corpus"]))
    predicts_labels = parse_task(model_info).has_labels
    partial.fields["predicts_labels"] = predicts_labels
    if isinstance(model_info.get("parameters"), int):
        partial.fields["parameters"] = model_info["parameters"]
    partial.current_file = run.metrics_path.name
    entries = [entry for entry in read_tail(run.metrics_path) if entry.step <= step]
    partial.fields["characters"] = entries[-1].characters if entries else None
    ratios = [ratio for entry in entries if (ratio := entry.scored_tokens_per_character) is not None]
    if ratios and isinstance(vocab_size := model_info.get("vocab_size"), int) and vocab_size > 0:
        partial.fields["uniform_bits_per_character"] = uniform_bits(vocab_size, ratios[-1], 1.0)
    partial.current_file = run.best_path.name
    if run.best_path.is_file():
        best = _read_object(run.best_path)
        partial.fields["selected_by"] = one_line(str(best.get("select", "bits")))
        partial.fields["best_step"] = None if best["step"] is None else int(best["step"])
        figure = "bits_per_label" if predicts_labels else "bits_per_character"
        bits = best[figure]
        partial.fields[f"best_{figure}"] = None if bits is None else float(bits)
    return "finished" if _is_finished(run.last_path, step) else "unfinished"


def _is_finished(last: Path, step: int) -> bool:
    """Whether the trainer marked its last checkpoint as finished. It rewrites the file when a run continues."""
    try:
        marked = _read_object(last)
    except (CharlmError, OSError, ValueError, TypeError):
        return False
    return marked.get("step") == step and marked.get("finished") is True


def _check_sizes(checkpoint: Path, files: Mapping[str, Any]) -> None:
    """Find damage that file sizes show, without reading the files."""
    for name, entry in files.items():
        size = (checkpoint / name).stat().st_size
        if size != entry["bytes"]:
            raise ValueError(f"{name} has {size} bytes")


def _read_object(path: Path) -> dict[str, Any]:
    content = storage.read_json(path)
    if not isinstance(content, dict):
        raise TypeError(path.name)
    return cast("dict[str, Any]", content)
