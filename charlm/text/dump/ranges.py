"""A bz2 dump of many streams -> ranges of whole streams that can be read side by side.

    byte     0        8 M            16 M                        at each multiple of `task_bytes`: the next stream head
    streams  |--|-------|------|--------|-----|...               that holds up, or the next of the index file
    pages    h p p p p p p p p p p p p p p p p                   a range's pages are those that begin after its start
    ranges   [--------------)[--------------)[-----              and not after its end, whole

Wikimedia's multistream files begin each stream with a page; what pbzip2 writes cuts pages anywhere, hence `skip_bytes`
and `tail_bytes`. Nothing rests on a head found by chance: a range is read only if one of its streams ends exactly at
its end.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from charlm.errors import DataError
from charlm.text.reading.unpacking import (
    BZ2,
    DAMAGED_FILE_CURE,
    ReadableFile,
    XmlChunk,
    open_to_read,
    read_errors,
    read_xml,
)

_STREAM_HEADER = re.compile(rb"BZh[1-9]\x31\x41\x59\x26\x53\x59")
"""A stream's header, and the magic number of its first block: 80 bits, so by chance once in 10^23 bytes."""
_HEADER_BYTES = 10
_READ = 1 << 20
_PAGE = re.compile(rb"<page[\s>]")
_FIRST_PAGE_SEARCH_BYTES = 4 << 20
"""Bytes of XML looked through for a page's beginning before the next head is tried."""
_VERIFIED_BYTES = 1_200_000
"""Bytes of XML after which the checksum of a bz2 block has been reached (it holds 900,000, or more of long runs)."""
_MAX_STARTS_TRIED = 32
"""Heads tried for one cut; then the range grows by another `task_bytes`."""
_MAX_STREAM_BYTES = 64 << 20
"""Where no head follows within as many bytes, none is looked for any more: the file is (from here) a single stream."""


@dataclass(frozen=True, slots=True)
class DumpRange:
    """The pages that begin in some whole streams of a file (or the whole of a file of any format)."""

    start: int
    end: int
    """Offsets in the file."""
    skip_bytes: int = 0
    """Bytes of XML after `start` that belong to the range before."""
    tail_bytes: int = 0
    """Bytes of XML after `end` that belong to this one: the rest of its last page."""


StreamStarts = Callable[[int], Iterator[int]]
"""Offsets, from the one given on, where streams may begin."""


def find_ranges(
    path: ReadableFile, size: int, task_bytes: int, indexed_starts: StreamStarts | None = None
) -> tuple[DumpRange, ...]:
    """Cut a bz2 file of `size` bytes into ranges of about `task_bytes`; one range if it can't be cut."""
    cuts = _find_cuts(path, size, task_bytes, indexed_starts) if indexed_starts else []
    cuts = cuts or _find_cuts(path, size, task_bytes, lambda offset: scan_stream_starts(path, offset))
    edges = [(0, 0), *cuts, (size, 0)]
    return tuple(
        DumpRange(start, end, skip_bytes, tail_bytes)
        for (start, skip_bytes), (end, tail_bytes) in itertools.pairwise(edges)
    )


def is_multistream(path: ReadableFile, search_bytes: int = _MAX_STREAM_BYTES) -> bool:
    """Whether a second bz2 stream follows the first (looked for within so many bytes)."""
    return any(_is_stream(path, stream_start) for stream_start in scan_stream_starts(path, 1, search_bytes))


def read_range_xml(path: ReadableFile, range_: DumpRange) -> Iterator[XmlChunk]:
    """The XML of a range of a bz2 file."""
    skip_bytes, tail_bytes, offset = range_.skip_bytes, range_.tail_bytes, range_.end
    for xml, offset in read_xml(path, BZ2, range_.start, range_.end):
        yield XmlChunk(xml[skip_bytes:], offset)
        skip_bytes = max(skip_bytes - len(xml), 0)
    pieces = read_xml(path, BZ2, range_.end) if tail_bytes else iter(())
    while tail_bytes and (piece := next(pieces, None)):
        xml, offset = piece.xml[:tail_bytes], piece.offset
        yield XmlChunk(xml[skip_bytes:], range_.end)  # what it has read is the next range's to count
        skip_bytes, tail_bytes = max(skip_bytes - len(xml), 0), tail_bytes - len(xml)
    if tail_bytes:
        raise DataError(f"{path} ends at byte {offset:,}: it has become shorter", DAMAGED_FILE_CURE)


def _find_cuts(path: ReadableFile, size: int, task_bytes: int, stream_starts: StreamStarts) -> list[tuple[int, int]]:
    """Stream heads, each with the bytes of XML between it and the page that begins after it."""
    cuts: list[tuple[int, int]] = []
    target = task_bytes
    while target < size:
        cut, tried = find_cut(path, stream_starts(target))
        if cut:
            cuts.append(cut)
        if tried is None:
            break
        target = tried + task_bytes
    return cuts


def find_cut(path: ReadableFile, stream_starts: Iterator[int]) -> tuple[tuple[int, int] | None, int | None]:
    """The first head that holds up, with the bytes of XML before the page that begins after it; the last one tried."""
    tried = None
    for tried in itertools.islice(stream_starts, _MAX_STARTS_TRIED):
        skip_bytes = bytes_before_page(path, tried)
        if skip_bytes is not None:
            return (tried, skip_bytes), tried
    return None, tried


def bytes_before_page(path: ReadableFile, stream_start: int) -> int | None:
    """Bytes of XML between the start of a stream and that of the first page in it; None: no page soon, or no stream.

    Where a page begins the stream, that proves it one. Elsewhere its block must fit its checksum too: what a damaged
    block gives in place of text may have a `<page>` anywhere.
    """
    xml, found, enough = bytearray(), None, _FIRST_PAGE_SEARCH_BYTES
    try:
        for piece in read_xml(path, BZ2, stream_start):
            searched = max(len(xml) - 6, 0)
            xml += piece.xml
            if found is None and (found := _PAGE.search(xml, searched)):
                if not xml[: found.start()].strip():
                    return 0
                enough = found.end() + _VERIFIED_BYTES
            if len(xml) > enough:
                break
    except DataError:
        return None  # a head by chance, or a damaged stream: whoever reads the range it lies in will say so
    return found.start() if found else None


def _is_stream(path: ReadableFile, stream_start: int) -> bool:
    num_decompressed = 0
    try:
        for piece in read_xml(path, BZ2, stream_start):
            num_decompressed += len(piece.xml)
            if num_decompressed > _VERIFIED_BYTES:
                break
    except DataError:
        return False
    return True


def scan_stream_starts(path: ReadableFile, offset: int, search_bytes: int = _MAX_STREAM_BYTES) -> Iterator[int]:
    """Offsets, from `offset` on, of what looks like the start of a bz2 stream, until none comes `search_bytes`
    bytes."""
    with open_to_read(path) as file, read_errors(path):
        file.seek(offset)
        yield from _scan_file(file, offset, search_bytes)


def _scan_file(file: IO[bytes], offset: int, search_bytes: int) -> Iterator[int]:
    buffer, last = b"", offset
    while offset - last < search_bytes and (chunk := file.read(_READ)):
        buffer += chunk
        for found in _STREAM_HEADER.finditer(buffer):
            last = offset + found.start()
            yield last
        offset += max(len(buffer) - _HEADER_BYTES + 1, 0)
        buffer = buffer[max(len(buffer) - _HEADER_BYTES + 1, 0) :]
