"""metrics.jsonl, the log of a run: appended to while it trains, cut back when it resumes, read by reports.

append ──> a line a time      truncate <── the step of a checkpoint      read_log, read_tail ──> entries, rising by step

{"kind": "train" | "valid", "step": 50, "seconds": 3.5, "characters_seen": 51200, "bits_per_character": 3.2, ...}

Lines of a run of labels or tags have bits_per_label instead, and those of its validations accuracy, macro_f1, segments.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from charlm import storage

_TAIL_BYTES = 1 << 15  # about eighty lines
_MAX_STEP = 2**53  # the largest integer that JavaScript's numbers count exactly


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the log."""

    is_validation: bool
    step: int
    seconds: float | None
    bits: float | None
    """Bits per character, or per label or tag."""
    characters: float | None
    """Characters of training text read so far."""
    tokens: float | None
    """Tokens of training text read so far; None for a validation, whose line counts the tokens that it scored."""
    characters_per_second: float | None
    """Characters of training text per second."""
    scored_tokens_per_character: float | None = None
    """Tokens of a validation for each of its characters; None for training."""
    predicts_labels: bool = False
    """Whether the bits are those of labels or tags."""
    accuracy: float | None = None
    f1: float | None = None
    """Of segments if there are any, else macro-F1."""


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append a record as one line."""
    storage.append_line(path, storage.to_json(record, indent=None))


def truncate(path: Path, step: int, *, keep_validation: bool = True) -> None:
    """Remove the lines after `step`, torn lines, and unless `keep_validation` the validation at `step`."""
    if not path.exists():
        return
    text = storage.read_text(path, errors="replace")
    last = (step, "valid" if keep_validation else "train")
    lines = (
        f"{line}\n"
        for line in text.split("\n")
        if (step_and_kind := _parse_step_and_kind(line)) is not None and step_and_kind <= last
    )
    kept = "".join(lines)
    if kept != text:
        storage.write_text(path, kept)


def _parse_step_and_kind(line: str) -> tuple[int, str] | None:
    """Return step and kind; at one step, `train` comes before `valid`, in the log and in the alphabet."""
    try:
        entry = storage.from_json(line)
        return int(entry["step"]), str(entry["kind"])
    except (ValueError, KeyError, TypeError):
        return None


def read_log(path: Path) -> list[LogEntry]:
    """Return all entries; of several with one kind and step the last. Without a log there are no entries.

    Raises:
        StorageError: the log exists and cannot be read.
    """
    return _entries(_read(path, 0))


def read_tail(path: Path) -> list[LogEntry]:
    """Return the entries of the last 32 KiB, without reading the rest.

    Raises:
        StorageError: the log exists and cannot be read.
    """
    return _entries(_read(path, _TAIL_BYTES))


def _read(path: Path, num_last: int) -> bytes:
    """Return the whole file, or its last `num_last` bytes."""
    if not path.exists():
        return b""
    with storage.storage_errors(path, "read"), open(path, "rb") as file:
        if num_last:
            file.seek(max(0, file.seek(0, os.SEEK_END) - num_last))
        return file.read()


def _entries(content: bytes) -> list[LogEntry]:
    entries: dict[tuple[int, bool], LogEntry] = {}
    for entry in map(_entry, content.split(b"\n")):
        if entry is not None:
            entries[entry.step, entry.is_validation] = entry
    return [entries[key] for key in sorted(entries)]


def _entry(line: bytes) -> LogEntry | None:
    try:
        record: Any = storage.from_json(line.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("kind") not in ("train", "valid"):
        return None
    step, is_validation = _number(record.get("step")), record["kind"] == "valid"
    if step is None or not 0 <= step < _MAX_STEP:
        return None
    tokens = None if is_validation else _number(record.get("tokens"))
    predicts_labels = "bits_per_label" in record
    bits_key = "bits_per_label" if predicts_labels else "bits_per_character"
    keys = ("seconds", bits_key, "characters_seen", "characters_per_second")
    seconds, bits, characters, characters_per_second = (_number(record.get(key)) for key in keys)
    scored = [_number(record.get(key)) for key in ("tokens", "characters")] if is_validation else [None, None]
    ratio = scored[0] / scored[1] if scored[0] and scored[1] else None
    segments = record.get("segments")
    f1 = cast("dict[str, Any]", segments).get("f1") if isinstance(segments, dict) else record.get("macro_f1")
    return LogEntry(
        is_validation,
        int(step),
        seconds,
        bits,
        characters,
        tokens,
        characters_per_second,
        ratio,
        predicts_labels,
        _number(record.get("accuracy")),
        _number(f1),
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
