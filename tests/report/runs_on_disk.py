"""Small runs in the form that the trainer writes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from charlm import storage

Line = Mapping[str, Any]


def train_line(step: int, bits: float | None = 2.0, **other: Any) -> dict[str, Any]:
    figures = {"seconds": step / 10, "characters_seen": step * 90, "tokens": step * 100, "characters_per_second": 900.0}
    return {"kind": "train", "step": step, **figures, "bits_per_character": bits, **other}


def valid_line(step: int, bits: float | None = 2.0, **other: Any) -> dict[str, Any]:
    scored = {"tokens": 7, "characters": 7}
    where = {"seconds": step / 10, "characters_seen": step * 90}
    return {"kind": "valid", "step": step, **where, **scored, "bits_per_character": bits, **other}


def falling(steps: int = 400, lowest: float = 2.0) -> list[dict[str, Any]]:
    """A regular log: a training line every 10 steps, a validation every 50."""
    lines: list[dict[str, Any]] = []
    for step in range(10, steps + 1, 10):
        bits = lowest + 30 / step
        lines.append(train_line(step, bits))
        lines += [valid_line(step, bits + 0.1)] if step % 50 == 0 else []
    return lines


def write_run(root: Path, lines: Iterable[Line] = (), toml: str = "[training]\nseed = 0\n", *, torn: str = "") -> Path:
    """Write experiment.toml and metrics.jsonl only."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "experiment.toml").write_text(toml, encoding="utf-8")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (root / "metrics.jsonl").write_text(text + torn, encoding="utf-8")
    return root


def add_checkpoint(
    root: Path,
    step: int,
    *,
    bits: float | None = 1.5,
    finished: bool = False,
    corpus: str = "wiki",
    vocab_size: int | None = None,
) -> Path:
    """Write a checkpoint of `step`, and the pointers to it."""
    directory = root / "checkpoints" / f"step-{step:09d}"
    directory.mkdir(parents=True)
    trained_on = {"corpus": corpus, "fingerprint": "", "step": step, "tokens": step * 100}
    model = {"parameters": 1234, "trained_on": trained_on}
    storage.write_json(directory / "model.json", model if vocab_size is None else model | {"vocab_size": vocab_size})
    storage.write_bytes(directory / "model.safetensors", b"not read at all")
    storage.write_manifest(directory, {"format": 1})
    storage.write_json(root / "last.json", {"step": step, "checkpoint": directory.name, "finished": finished})
    storage.write_json(root / "best.json", {"step": step, "bits_per_character": bits, "validated": step})
    return directory
