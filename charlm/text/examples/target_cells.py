"""The cell of a row that holds what is asked for -> the label, the tags or the target of an example.

cell ──by the kind of target──> Target, or None if the cell is empty; the row is then counted as dropped
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, assert_never, cast

from charlm.errors import DataError
from charlm.text.examples.cells import read_label, read_tags, read_text
from charlm.text.examples.example import ExampleCounts, TargetKind
from charlm.text.reading.decoding import OnError

_DROPPED: dict[TargetKind, str] = {
    "label": "no label",
    "labels": "no label",
    "tags": "no tags",
    "target": "no target",
}


class Target(NamedTuple):
    """What is asked for: one of these."""

    label: str | None = None
    labels: tuple[str, ...] | None = None
    tags: tuple[str | None, ...] | None = None
    target: str | None = None


def read_target(
    kind: TargetKind, cell: object, text: str, place: str, column: str, on_error: OnError, counts: ExampleCounts
) -> Target | None:
    """Return what is asked about a text; None, and count the example as dropped, if it is nothing.

    Args:
        cell: of several labels, the cell of each column.

    Raises:
        DataError: the cell is of the wrong kind, or tags do not fit their text.
    """
    found = _read(kind, cell, text, place, column, on_error, counts)
    has_tags = any(tag is not None for tag in found.tags or ())
    if found.label is None and not (found.labels or found.target or has_tags):
        counts.dropped[_DROPPED[kind]] += 1
        return None
    return found


def _read(
    kind: TargetKind, cell: object, text: str, place: str, column: str, on_error: OnError, counts: ExampleCounts
) -> Target:
    match kind:
        case "label":
            return Target(label=read_label(cell, place, column))
        case "labels":
            assert isinstance(cell, Mapping), "the cells of several columns"
            cells = cast("Mapping[str | int, object]", cell)
            labels = {name: read_label(value, place, str(name)) for name, value in cells.items()}
            return Target(labels=tuple(f"{name}={label}" for name, label in labels.items() if label is not None))
        case "tags":
            return Target(tags=read_tags(cell, text, place, column))
        case "target":
            return Target(target=read_text(cell, place, column, on_error, counts))
        case _:
            assert_never(kind)


def read_weight(cell: object, place: str, column: str) -> float:
    """Return a weight.

    Raises:
        DataError: it is not a number from 0 up.
    """
    try:
        weight = float(cell) if isinstance(cell, str | int | float) and not isinstance(cell, bool) else math.nan
    except (ValueError, OverflowError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise DataError(
            f"{place} has {cell!r:.40} in the column {column!r}, which is not a weight", "give numbers from 0 up"
        )
    return weight
