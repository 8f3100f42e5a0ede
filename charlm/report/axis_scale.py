"""Positions of values on an axis: limits that hold the curves, a logarithmic scale for wide ranges, round ticks.

A position is 0 at the low end of an axis and 1 at its high end; values beyond the limits have positions beyond them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charlm.formatting import format_count
from charlm.report.curves import Axis, Curve, Point, coordinates

_LOG_DECADES = 1.5  # a wider range than this is shown logarithmically
_START_FRACTION = 0.02  # of a run may be above the plot: its steep start would flatten the rest
_START_FRACTION_OF_SEVERAL = 0.1  # with several runs, whose differences at the end matter more
_TRAINING_FRACTION = 1 / 3  # of the range is added below for the training lines of several runs, at most
_CEILING_RATIO = 1.25  # times the bits of an untrained model; values above are those of a diverged run
_MARGIN_FRACTION = 0.06  # of the range, above and below


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    is_log: bool = False

    def position(self, value: float) -> float:
        """Return the position of a value.

        Raises:
            ValueError: the axis is logarithmic and the value is not positive.
        """
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, max_ticks: int) -> list[tuple[float, str]]:
        """Return at most `max_ticks` round values within the limits, rising, with their labels."""
        values = self._log_ticks(max_ticks) if self.is_log else self._round_steps(max_ticks)
        return [(value, format_count(value)) for value in values]

    def decimal_ticks(self, max_ticks: int) -> list[tuple[float, str]]:
        """Return linear ticks labelled with as many decimals as distinguish them."""
        values = self._round_steps(max_ticks)
        step = values[1] - values[0] if len(values) > 1 else 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(value, f"{value:.{decimals}f}") for value in values]

    def _round_steps(self, max_ticks: int) -> list[float]:
        rough = (self.high - self.low) / max_ticks
        power = 10 ** math.floor(math.log10(rough))
        for factor in (1, 2, 5, 10, 20):
            step = factor * power
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first + 1 <= max_ticks:
                return [number * step for number in range(first, last + 1)]
        raise AssertionError("20 times a tenth of the range or more leaves few ticks")

    def _log_ticks(self, max_ticks: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        fine = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
        for every in range(1, last - first + 2):
            coarse = [10.0**power for power in range(first, last + 1) if power % every == 0]
            for candidates in (fine, coarse) if every == 1 else (coarse,):
                inside = [value for value in candidates if self.low * 0.999 <= value <= self.high * 1.001]
                if len(inside) <= max_ticks:
                    return inside
        return []


def horizontal_scale(curves: Sequence[Curve], axis: Axis) -> Scale:
    """Return an axis from 0 to the last point of all runs; a logarithmic one if the runs' lengths differ widely.

    The logarithmic axis shows the validations of all runs, and at least the last decade of the shortest run.
    """
    runs = [[x for x, _ in coordinates(run.points, axis) if x > 0] for run in curves]
    ends = [max(run) for run in runs if run]
    if not ends:
        return Scale(0.0, 1.0)
    if math.log10(max(ends)) - math.log10(min(ends)) <= _LOG_DECADES:
        return Scale(0.0, max(ends))
    validations = [x for run in curves for x, _ in coordinates(run.validation, axis) if x > 0]
    return Scale(min([*validations, min(ends) / 10]), max(ends), is_log=True)


def vertical_scale(curves: Sequence[Curve]) -> Scale:
    """Return an axis that holds the best point of every run, and all points after the steep start of each.

    A run that diverges leaves the plot at its top: values far above those of untrained models are left out.
    """
    runs = [run for run in curves if run.points]
    if not runs:
        return Scale(0.0, 1.0)
    if runs[0].measure.is_higher_better:
        return _percent_scale(runs)
    bests = [min(point.value for point in run.primary) for run in runs]
    ceiling = _CEILING_RATIO * max(run.points[0].value for run in runs)
    if min(bests) > ceiling:  # no run has learned anything
        ceiling = max(point.value for run in runs for point in run.primary)
    fraction = _START_FRACTION if len(runs) == 1 else _START_FRACTION_OF_SEVERAL
    validation = [*bests, *_values_after_start([run.validation for run in runs], fraction)]
    training = _values_after_start([run.training for run in runs], fraction)
    values = [bits for bits in (*validation, *training) if bits <= ceiling]
    low, high = min(values), max(values)
    if len(runs) > 1:
        best = min(bests)
        low = max(low, best - _TRAINING_FRACTION * (high - best))
    margin = _MARGIN_FRACTION * (high - low) or 0.05 * max(abs(low), 1.0)
    return Scale(low - margin, high + margin)


def _percent_scale(runs: Sequence[Curve]) -> Scale:
    """Return an axis that holds the validations after the start of each run, and at most 0 to 100."""
    fraction = _START_FRACTION if len(runs) == 1 else _START_FRACTION_OF_SEVERAL
    values = _values_after_start([run.primary for run in runs], fraction)
    low, high = min(values), max(values)
    margin = _MARGIN_FRACTION * (high - low) or 1.0
    return Scale(max(0.0, low - margin), min(100.0, high + margin))


def _values_after_start(runs: Sequence[Sequence[Point]], fraction: float) -> list[float]:
    """Return the values of the points after the first `fraction` of the steps of their curve."""
    return [point.value for run in runs for point in run if point.steps >= fraction * run[-1].steps]
