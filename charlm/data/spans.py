"""Parts of an epoch that are unread, and where their predictions are in the token stream.

spans, concatenated   [ span 0 ][ span 1 ][ span 2 ]     a position counts from the beginning of span 0
stream                an index = (rotation of the epoch + position in the epoch) modulo num_predictions
"""

import numpy as np
import numpy.typing as npt

Spans = tuple[tuple[int, int], ...]
"""(start, length) of parts of an epoch, in predictions from its beginning."""


class PositionMap:
    """Maps positions in the concatenated unread spans to indices into the stream."""

    def __init__(self, spans: Spans, rotation: int, num_predictions: int) -> None:
        self._starts = np.array([start for start, _ in spans], dtype=np.int64)
        self._ends = np.cumsum([length for _, length in spans])
        self._rotation = rotation
        self._num_predictions = num_predictions
        self.total = int(self._ends[-1])

    def contiguous_start(self, first: int, length: int) -> int | None:
        """Return the index of position `first` if `length` positions from there are contiguous in the stream."""
        if first + length > self.total:
            return None
        span = int(np.searchsorted(self._ends, first, side="right"))
        if first + length > self._ends[span]:
            return None
        offset = int(self._ends[span - 1]) if span else 0
        start = (self._rotation + int(self._starts[span]) + first - offset) % self._num_predictions
        return start if start + length <= self._num_predictions else None

    def to_indices(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the index of each position; positions after the last continue at the first."""
        wrapped = positions % self.total
        span = np.searchsorted(self._ends, wrapped, side="right")
        offset = np.append(0, self._ends)[span]
        return (self._rotation + self._starts[span] + wrapped - offset) % self._num_predictions


def slice_spans(spans: Spans, first: int, end: int) -> list[tuple[int, int]]:
    """Return the parts of the concatenated `spans` between two positions."""
    pieces: list[tuple[int, int]] = []
    offset = 0
    for start, length in spans:
        low, high = max(first - offset, 0), min(end - offset, length)
        if low < high:
            pieces.append((start + low, high - low))
        offset += length
    return pieces


def total_length(spans: Spans) -> int:
    return sum(length for _, length in spans)
