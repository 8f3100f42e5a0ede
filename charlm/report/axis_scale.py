"""Positions of values on an axis: limits that show the differences, a logarithmic scale for wide ranges, round ticks.

A position is 0 at the low end of an axis and 1 at its high end; values beyond the limits have positions beyond them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charlm.formatting import format_count
from charlm.report.curves import Axis, Curve, Point

_LOG_DECADES = 1.5  # a wider range than this is shown logarithmically
_SHOWN_FRACTION = 0.85  # of the points are inside; the first, hardly trained points would flatten all curves
_TRAINING_FRACTION = 1 / 3  # of the range is added below for training lines, at most
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
    """Return an axis from 0 to the last point of all runs; for wide ranges a logarithmic one from the first point."""
    points = [point for run in _limit_points(curves) for point in run]
    values = [value for point in points if (value := point.coordinate(axis)) is not None and value > 0]
    if not values:
        return Scale(0.0, 1.0)
    low, high = min(values), max(values)
    if math.log10(high) - math.log10(low) > _LOG_DECADES:
        return Scale(low, high, is_log=True)
    return Scale(0.0, high)


def vertical_scale(curves: Sequence[Curve]) -> Scale:
    """Return an axis from the best point of all runs that holds most points and the best point of every run."""
    runs = [[point.bits for point in run] for run in _limit_points(curves)]
    values = sorted(bits for run in runs for bits in run)
    if not values:
        return Scale(0.0, 1.0)
    low, high = values[0], max(*map(min, runs), _quantile(values, _SHOWN_FRACTION))
    trained = min((curve.training[-1].bits for curve in curves if curve.training), default=low)
    low -= min(max(0.0, low - trained), _TRAINING_FRACTION * (high - low))
    margin = _MARGIN_FRACTION * (high - low) or 0.05 * max(abs(low), 1.0)
    return Scale(low - margin, high + margin)


def _limit_points(curves: Sequence[Curve]) -> list[tuple[Point, ...]]:
    """The points of each run that must be inside; training points only where no run has a validation."""
    has_validation = any(curve.validation for curve in curves)
    chosen = (curve.limit_points if has_validation else curve.training for curve in curves)
    return [points for points in chosen if points]


def _quantile(values: Sequence[float], fraction: float) -> float:
    """Return the quantile of sorted values by linear interpolation."""
    position = fraction * (len(values) - 1)
    below = math.floor(position)
    above = min(below + 1, len(values) - 1)
    return values[below] + (position - below) * (values[above] - values[below])
