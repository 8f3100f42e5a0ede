"""The curves of runs, from their logs: validation and smoothed training, over characters seen, minutes and steps.

metrics.jsonl ──read_log──> entries ──> points (validation)
                                   └──> points (training) ──smooth──> a thin line behind
"""

import dataclasses
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from charlm.formatting import format_bits, short_names, shorten
from charlm.printable import one_line
from charlm.training.logs.metrics_file import LogEntry, read_log
from charlm.training.run_directory import RunDirectory

Axis = Literal["characters", "minutes", "steps"]
AXES: tuple[Axis, ...] = ("characters", "minutes", "steps")
MAX_NAME_LENGTH = 26  # characters of a name beside a plot
_SMOOTHING_RATIO = 10  # a mean spans a tenth of the earlier points on either side: few points where the curve is steep


@dataclass(frozen=True, slots=True)
class Point:
    """Bits per character after some training. An unknown position is None."""

    bits: float
    steps: float
    minutes: float | None
    characters: float | None
    """Characters of training text seen so far; or tokens (see `Curves.unit`)."""

    def coordinate(self, axis: Axis) -> float | None:
        return {"characters": self.characters, "minutes": self.minutes, "steps": self.steps}[axis]


def coordinates(points: Sequence[Point], axis: Axis) -> list[tuple[float, float]]:
    """Return the position on the axis, and the bits, of the points that have a position."""
    return [(position, point.bits) for point in points if (position := point.coordinate(axis)) is not None]


@dataclass(frozen=True, slots=True)
class Curve:
    """The curves of one run, in order of steps."""

    name: str
    validation: tuple[Point, ...]
    training: tuple[Point, ...]
    characters_per_second: float | None
    """Characters of training text per second: the median of the log's lines."""
    last: Point | None
    """The last point of either kind."""

    @property
    def short_name(self) -> str:
        return shorten(self.name, MAX_NAME_LENGTH)

    @property
    def primary(self) -> tuple[Point, ...]:
        """The points to compare: the validations, or the training points of a run without validations."""
        return self.validation or self.training

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of both kinds, training first."""
        return (*self.training, *self.validation)

    @property
    def best(self) -> Point | None:
        """The best validation."""
        return min(self.validation, key=lambda point: point.bits, default=None)

    @property
    def best_text(self) -> str:
        return format_bits(self.best.bits) if self.best else "no validation yet"


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of several runs, and the unit of their text."""

    runs: tuple[Curve, ...]
    unit: Literal["characters", "tokens"]
    """Tokens where a log has no characters."""

    def axis_title(self, axis: Axis) -> str:
        return f"{self.unit} seen" if axis == "characters" else axis


def read_curves(runs: Sequence[Path]) -> Curves:
    """Read the curves of runs.

    Args:
        runs: run directories; one without a log has no points.

    Raises:
        StorageError: a log cannot be read.
    """
    logs = [read_log(RunDirectory(run).metrics_path) for run in runs]
    has_characters = all(entry.characters is not None for log in logs for entry in log)
    if not has_characters:
        logs = [_with_tokens(log) for log in logs]
    curves = [_curve(one_line(name), log) for name, log in zip(short_names(runs), logs, strict=True)]
    return Curves(tuple(curves), "characters" if has_characters else "tokens")


def _with_tokens(log: Sequence[LogEntry]) -> list[LogEntry]:
    """Return the log with tokens in place of characters; those of validations are interpolated."""
    known = [(0, 0.0), *((entry.step, entry.tokens) for entry in log if entry.tokens is not None and entry.step)]
    return [dataclasses.replace(entry, characters=_tokens_at(entry.step, known)) for entry in log]


def _tokens_at(step: int, known: Sequence[tuple[int, float]]) -> float | None:
    """Return the tokens seen at `step`, by the line through the nearest two of the rising `known`."""
    if len(known) < 2:
        return None
    after = min(max(1, bisect_left(known, (step, 0.0))), len(known) - 1)
    (step0, tokens0), (step1, tokens1) = known[after - 1 : after + 1]
    return tokens0 + (tokens1 - tokens0) * (step - step0) / (step1 - step0)


def _curve(name: str, log: Sequence[LogEntry]) -> Curve:
    points = [(entry.is_validation, point) for entry in log if (point := _point(entry)) is not None]
    validation = tuple(point for is_validation, point in points if is_validation)
    training = [point for is_validation, point in points if not is_validation]
    rates = [entry.characters_per_second for entry in log if entry.characters_per_second is not None]
    last = points[-1][1] if points else None
    return Curve(name, validation, _smooth(training), median(rates) if rates else None, last)


def _point(entry: LogEntry) -> Point | None:
    """Return the point of an entry; None where its bits are not finite because the network diverged."""
    if entry.bits is None:
        return None
    minutes = None if entry.seconds is None else entry.seconds / 60
    return Point(entry.bits, entry.step, minutes, entry.characters)


def _smooth(points: Sequence[Point]) -> tuple[Point, ...]:
    """Replace the bits of each point by the mean of a window around it, a fifth as long as the points before it."""
    sums = [0.0]
    for point in points:
        sums.append(sums[-1] + point.bits)
    smoothed: list[Point] = []
    for index, point in enumerate(points):
        half_window = index // _SMOOTHING_RATIO
        first, end = index - half_window, min(index + half_window + 1, len(points))
        smoothed.append(dataclasses.replace(point, bits=(sums[end] - sums[first]) / (end - first)))
    return tuple(smoothed)
