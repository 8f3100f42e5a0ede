"""The curves of runs, from their logs: validation and smoothed training, over characters seen, minutes and steps.

metrics.jsonl ──read_log──> entries ──a measure──> points (validation)
                                             └──> points (training) ──smooth──> a thin line behind
"""

import dataclasses
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from charlm.formatting import short_names, shorten
from charlm.printable import one_line
from charlm.report.measures import ACCURACY, BITS_PER_CHARACTER, BITS_PER_LABEL, F1, Measure
from charlm.training.logs.metrics_file import LogEntry, read_log
from charlm.training.run_directory import RunDirectory
from charlm.training.run_kinds import check_same_kind

Axis = Literal["characters", "minutes", "steps"]
AXES: tuple[Axis, ...] = ("characters", "minutes", "steps")
MAX_NAME_LENGTH = 26  # characters of a name beside a plot
_SMOOTHING_RATIO = 10  # a mean spans a tenth of the earlier points on either side: few points where the curve is steep


@dataclass(frozen=True, slots=True)
class Point:
    """A figure after some training, such as bits per character. An unknown position is None."""

    value: float
    steps: float
    minutes: float | None
    characters: float | None
    """Characters of training text seen so far; or tokens (see `Curves.unit`)."""

    def coordinate(self, axis: Axis) -> float | None:
        return {"characters": self.characters, "minutes": self.minutes, "steps": self.steps}[axis]


def coordinates(points: Sequence[Point], axis: Axis) -> list[tuple[float, float]]:
    """Return the position on the axis, and the value, of the points that have a position."""
    return [(position, point.value) for point in points if (position := point.coordinate(axis)) is not None]


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
    measure: Measure = BITS_PER_CHARACTER
    best_step: int | None = None
    """The step of the checkpoint that was chosen as the best; None: that of the best validation."""

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
        """The validation of the best checkpoint."""
        chosen = next((point for point in self.validation if point.steps == self.best_step), None)
        if chosen is not None or not self.validation:
            return chosen
        sign = -1 if self.measure.is_higher_better else 1
        return min(self.validation, key=lambda point: sign * point.value)

    @property
    def best_text(self) -> str:
        return self.measure.format(self.best.value) if self.best else "no validation yet"


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of one figure of several runs, and the unit of their text."""

    runs: tuple[Curve, ...]
    unit: Literal["characters", "tokens"]
    """Tokens where a log has no characters."""
    measure: Measure = BITS_PER_CHARACTER

    def axis_title(self, axis: Axis) -> str:
        return f"{self.unit} seen" if axis == "characters" else axis


def read_curves(runs: Sequence[Path]) -> Curves:
    """Read the curves of the bits of runs.

    Args:
        runs: run directories; one without a log has no points.

    Raises:
        UsageError: some of the runs predict labels or tags, and others are language models.
        StorageError: a log cannot be read.
    """
    return read_all_curves(runs)[0]


def read_all_curves(
    runs: Sequence[Path], best_steps: Sequence[int | None] = (), selected_by: Collection[str] = ()
) -> tuple[Curves, ...]:
    """Read the curves of bits, and for runs of labels or tags then those of accuracy, and of F1 if it selects.

    Args:
        best_steps: of each run, the step of its best checkpoint if it is known.
        selected_by: the figures that chose the best checkpoints.

    Raises:
        UsageError, StorageError: as `read_curves`.
    """
    logs = [read_log(RunDirectory(run).metrics_path) for run in runs]
    kinds = {str(run): log[-1].predicts_labels for run, log in zip(runs, logs, strict=True) if log}
    check_same_kind(kinds)
    has_characters = all(entry.characters is not None for log in logs for entry in log)
    if not has_characters:
        logs = [_with_tokens(log) for log in logs]
    measures = [BITS_PER_CHARACTER]
    if any(kinds.values()):
        measures = [BITS_PER_LABEL, ACCURACY, *([F1] if F1.key in selected_by else [])]
    steps = best_steps or [None] * len(runs)
    names = short_names(runs)
    unit = "characters" if has_characters else "tokens"
    return tuple(
        Curves(
            tuple(
                _curve(one_line(name), log, measure, step) for name, log, step in zip(names, logs, steps, strict=True)
            ),
            unit,
            measure,
        )
        for measure in measures
    )


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


def _curve(name: str, log: Sequence[LogEntry], measure: Measure, best_step: int | None) -> Curve:
    points = [(entry.is_validation, point) for entry in log if (point := _point(entry, measure)) is not None]
    validation = tuple(point for is_validation, point in points if is_validation)
    training = [point for is_validation, point in points if not is_validation]
    rates = [entry.characters_per_second for entry in log if entry.characters_per_second is not None]
    last = points[-1][1] if points else None
    rate = median(rates) if rates else None
    return Curve(name, validation, _smooth(training), rate, last, measure, best_step)


def _point(entry: LogEntry, measure: Measure) -> Point | None:
    """Return the point of an entry; None where it has no such figure, or its bits are not finite after divergence."""
    value = measure.value(entry)
    if value is None:
        return None
    minutes = None if entry.seconds is None else entry.seconds / 60
    return Point(value, entry.step, minutes, entry.characters)


def _smooth(points: Sequence[Point]) -> tuple[Point, ...]:
    """Replace the value of each point by the mean of a window around it, a fifth as long as the points before it."""
    sums = [0.0]
    for point in points:
        sums.append(sums[-1] + point.value)
    smoothed: list[Point] = []
    for index, point in enumerate(points):
        half_window = index // _SMOOTHING_RATIO
        first, end = index - half_window, min(index + half_window + 1, len(points))
        smoothed.append(dataclasses.replace(point, value=(sums[end] - sums[first]) / (end - first)))
    return tuple(smoothed)
