"""The settings of several runs: those that differ, and those that are equal.

experiment.toml of each run ──flatten──> dotted key -> text ──> rows: key, one value per run
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from charlm.formatting import UNKNOWN
from charlm.printable import one_line
from charlm.settings.renamed import parse_experiment
from charlm.training.run_directory import RunDirectory

FlatSettings = dict[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One setting, with its value in every run."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettingsComparison:
    differing: tuple[Row, ...]
    equal: tuple[Row, ...]


def compare_settings(runs: Sequence[Path]) -> SettingsComparison:
    """Compare settings, in the order of the first run that has them. A run whose settings cannot be read has dashes and
    does not count as different."""
    settings_by_run = [read_settings(RunDirectory(run).experiment_path) for run in runs]
    keys = _ordered_keys([key for flat in settings_by_run if flat is not None for key in flat])
    rows = [
        Row(key, tuple(UNKNOWN if flat is None else flat.get(key, UNKNOWN) for flat in settings_by_run)) for key in keys
    ]
    readable_runs = [index for index, flat in enumerate(settings_by_run) if flat is not None]
    differs = [len({row.values[index] for index in readable_runs}) > 1 for row in rows]
    return SettingsComparison(
        tuple(row for row, row_differs in zip(rows, differs, strict=True) if row_differs),
        tuple(row for row, row_differs in zip(rows, differs, strict=True) if not row_differs),
    )


def _ordered_keys(keys: Sequence[str]) -> list[str]:
    """Return each key once, in order of appearance, with the keys of one table together."""
    tables = list(dict.fromkeys(key.rpartition(".")[0] for key in keys))
    return sorted(dict.fromkeys(keys), key=lambda key: tables.index(key.rpartition(".")[0]))


def read_settings(path: Path) -> FlatSettings | None:
    """Return each dotted key with its value as text; None where the file is missing or damaged."""
    try:
        return _flatten(parse_experiment(path.read_text(encoding="utf-8")), "")
    except (OSError, ValueError, RecursionError):
        return None


def _flatten(tree: Mapping[str, Any], prefix: str) -> FlatSettings:
    flat: FlatSettings = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flatten(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            flat[one_line(f"{prefix}{key}")] = one_line(_format_value(value))
    return flat


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(_format_value, cast("list[object]", value))) or "none"
    return str(value)
