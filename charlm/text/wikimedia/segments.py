"""A dump file -> its segments: the pieces from which a subset is chosen. Their ranges are found when needed.

with an index        one segment for each stream: the bytes from one offset of the index to the next
multistream, local   the same streams, found by their heads; a page belongs to the segment in which it begins
multistream, remote  one segment for each slot of 2 MB: the streams that begin in it
any other file       one segment: the whole file
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import DataError
from charlm.text.dump.index import find_index, read_index, starts_from
from charlm.text.dump.ranges import (
    DumpRange,
    StreamStarts,
    bytes_before_page,
    find_cut,
    is_multistream,
    scan_stream_starts,
)
from charlm.text.reading.unpacking import BZ2, ReadableFile, detect_format

_SLOT_BYTES = 2 << 20


@dataclass(frozen=True)
class DumpSegments:
    """The segments of a file, each with the offset at which the search for it begins."""

    offsets: Sequence[int]
    find: Callable[[int], DumpRange | None]
    """Index in `offsets` -> the range of the segment; None if no page begins in it."""
    multistream: bool = True


def find_segments(file: ReadableFile, size: int, index: Path | None) -> DumpSegments:
    """Return the segments of a dump file.

    Args:
        index: the index of a remote file. That of a local file is found beside it, and ignored if it does not match.

    Raises:
        DataError: the index is damaged, or of another file.
    """
    if index:
        stream_starts = read_index(index)
        if stream_starts[-1] >= size:
            raise DataError(
                f"{index} does not match {file.name}, which ends before the last stream of the index",
                "delete the index",
            )
        return _segments_of_streams(stream_starts, size)
    if not isinstance(file, Path):
        return _segments_between(
            file, range(0, size, _SLOT_BYTES), size, lambda offset: scan_stream_starts(file, offset)
        )
    if detect_format(file) != BZ2 or not is_multistream(file):
        return DumpSegments([0], lambda place: DumpRange(0, size), multistream=False)
    index_path = find_index(file)
    try:
        stream_starts = read_index(index_path) if index_path else []
    except DataError:
        stream_starts = []  # then the file is searched for stream heads
    if (
        stream_starts
        and stream_starts[-1] < size
        and all(bytes_before_page(file, stream_start) == 0 for stream_start in (stream_starts[0], stream_starts[-1]))
    ):
        return _segments_of_streams(stream_starts, size)
    stream_starts = [0, *scan_stream_starts(file, 1)]
    return _segments_between(file, stream_starts, size, starts_from(stream_starts))


def _segments_of_streams(stream_starts: Sequence[int], size: int) -> DumpSegments:
    edges = [*stream_starts, size]
    return DumpSegments(stream_starts, lambda place: DumpRange(edges[place], edges[place + 1]))


def _segments_between(
    file: ReadableFile, offsets: Sequence[int], size: int, stream_starts: StreamStarts
) -> DumpSegments:
    """Return segments that go from the first verified head at or after an offset to that of the next offset."""

    def cut(offset: int) -> tuple[int, int]:
        found, _ = find_cut(file, stream_starts(offset))
        return found or (size, 0)

    def find(place: int) -> DumpRange | None:
        start, skip_bytes = cut(offsets[place]) if place else (0, 0)
        end, tail_bytes = cut(offsets[place + 1]) if place + 1 < len(offsets) else (size, 0)
        return DumpRange(start, end, skip_bytes, tail_bytes) if start < end else None

    return DumpSegments(offsets, find)
