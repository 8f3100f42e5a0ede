"""Positions of the runs' names beside the ends of their curves, without overlaps.

ends of the curves ──clamp to the plot──> heights ──spread_labels──> heights of the labels

Heights are in the caller's unit: pixels, or fractions of the plot's height.
"""

from collections.abc import Sequence
from typing import NamedTuple


class EndLabel(NamedTuple):
    """The label of one curve: the index of its run, the end (x, y) of the curve, and the height of the label."""

    run_index: int
    end: tuple[float, float]
    height: float


def place_end_labels(
    lines: Sequence[Sequence[tuple[float, float]]], gap: float, low: float, high: float
) -> list[EndLabel]:
    """Return the labels of the curves that have points.

    Args:
        lines: the points (x, y) of each run's curve.
        gap: the distance between neighbouring labels.
        low, high: limits of the plot.
    """
    ends = [(index, (line[-1][0], max(low, min(line[-1][1], high)))) for index, line in enumerate(lines) if line]
    heights = spread_labels([y for _, (_, y) in ends], gap, low, high)
    return [EndLabel(index, end, height) for (index, end), height in zip(ends, heights, strict=True)]


def spread_labels(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move `positions` as little as possible until all are `gap` apart and inside the limits, in the same order.

    Without enough room they are spread evenly.
    """
    if len(positions) > 1:
        gap = min(gap, (high - low) / (len(positions) - 1))
    order = sorted(range(len(positions)), key=lambda number: positions[number])
    groups: list[tuple[float, list[int]]] = []  # the first position, and the members in a row from there
    for number in order:
        group = (_clamp_group(positions[number], low, high, 1, gap), [number])
        while groups and groups[-1][0] + gap * len(groups[-1][1]) > group[0]:
            members = groups.pop()[1] + group[1]
            wanted = sum(positions[member] - rank * gap for rank, member in enumerate(members)) / len(members)
            group = (_clamp_group(wanted, low, high, len(members), gap), members)
        groups.append(group)
    moved = list(positions)
    for first, members in groups:
        for rank, member in enumerate(members):
            moved[member] = first + rank * gap
    return moved


def _clamp_group(first: float, low: float, high: float, size: int, gap: float) -> float:
    return max(low, min(first, high - gap * (size - 1)))
