"""Values -> places on an axis: limits that show the differences, logarithmic where the values ask for it, round ticks.

A place is 0 at the low end of an axis and 1 at its high end; what lies beyond the limits has a place beyond them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charlm.report.curves import Axis, Curve, Point
from charlm.report.formatting import count

_LOG_DECADES = 1.5  # a wider range than this is shown logarithmically
_SHOWN = 0.85  # share of the points that must be inside: the first ones, hardly trained, would flatten all the others
_TRAINING = 1 / 3  # of the range, at most, is added below for training lines
_MARGIN = 0.06  # of the range, above and below


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """ValueError on a logarithmic axis where the value is not positive."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most `most` round values within the limits, rising, with their labels."""
        values = self._log_ticks(most) if self.is_log else self._round_steps(most)
        return [(value, count(value)) for value in values]

    def decimal_ticks(self, most: int) -> list[tuple[float, str]]:
        """The same labelled with as many decimals as tell them apart."""
        values = self._round_steps(most)
        step = values[1] - values[0] if len(values) > 1 else 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(value, f"{value:.{decimals}f}") for value in values]

    def _round_steps(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        power = 10 ** math.floor(math.log10(rough))
        for factor in (1, 2, 5, 10, 20):
            step = factor * power
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first + 1 <= most:
                return [number * step for number in range(first, last + 1)]
        raise AssertionError("20 times a tenth of the range or more leaves few ticks")

    def _log_ticks(self, most: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        fine = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
        for every in range(1, last - first + 2):
            coarse = [10.0**power for power in range(first, last + 1) if power % every == 0]
            for candidates in (fine, coarse) if every == 1 else (coarse,):
                inside = [value for value in candidates if self.low * 0.999 <= value <= self.high * 1.001]
                if len(inside) <= most:
                    return inside
        return []


def horizontal_scale(curves: Sequence[Curve], axis: Axis) -> Scale:
    """From nothing to the last point of any run; logarithmic, from the first one, where they lie far apart."""
    points = [point for run in _compared(curves) for point in run]
    values = [value for point in points if (value := point.at(axis)) is not None and value > 0]
    if not values:
        return Scale(0.0, 1.0)
    low, high = min(values), max(values)
    if math.log10(high) - math.log10(low) > _LOG_DECADES:
        return Scale(low, high, is_log=True)
    return Scale(0.0, high)


def vertical_scale(curves: Sequence[Curve]) -> Scale:
    """From the best point of all up to where most points and the best one of every run are inside."""
    runs = [[point.bits for point in run] for run in _compared(curves)]
    values = sorted(bits for run in runs for bits in run)
    if not values:
        return Scale(0.0, 1.0)
    low, high = values[0], max(*map(min, runs), _quantile(values, _SHOWN))
    trained = min((curve.training[-1].bits for curve in curves if curve.training), default=low)
    low -= min(max(0.0, low - trained), _TRAINING * (high - low))
    margin = _MARGIN * (high - low) or 0.05 * max(abs(low), 1.0)
    return Scale(low - margin, high + margin)


def _compared(curves: Sequence[Curve]) -> list[tuple[Point, ...]]:
    """The points of each run that limits must suit; those of the training only where no run has a validation."""
    has_validation = any(curve.validation for curve in curves)
    chosen = (curve.compared if has_validation else curve.training for curve in curves)
    return [points for points in chosen if points]


def _quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values, with straight lines between them."""
    place = share * (len(values) - 1)
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """`places` moved as little as needs be until all are `gap` apart and inside the limits; their order is kept.

    Where there is no room for that, they are spread evenly.
    """
    if len(places) > 1:
        gap = min(gap, (high - low) / (len(places) - 1))
    order = sorted(range(len(places)), key=lambda number: places[number])
    groups: list[tuple[float, list[int]]] = []  # a first place, and who stands in a row from there on
    for number in order:
        group = (_within(places[number], low, high, 1, gap), [number])
        while groups and groups[-1][0] + gap * len(groups[-1][1]) > group[0]:
            members = groups.pop()[1] + group[1]
            wanted = sum(places[member] - rank * gap for rank, member in enumerate(members)) / len(members)
            group = (_within(wanted, low, high, len(members), gap), members)
        groups.append(group)
    moved = list(places)
    for first, members in groups:
        for rank, member in enumerate(members):
            moved[member] = first + rank * gap
    return moved


def _within(first: float, low: float, high: float, size: int, gap: float) -> float:
    return max(low, min(first, high - gap * (size - 1)))
