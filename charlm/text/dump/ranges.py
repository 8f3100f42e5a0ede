"""A bz2 dump of many streams -> ranges of whole streams that several processes can read.

    byte     0        8 M            16 M                        at each multiple of `task_bytes`: the next stream head
    streams  |--|-------|------|--------|-----|...               that is verified, or the next one of the index file
    pages    h p p p p p p p p p p p p p p p p                   a range has the whole pages that begin after its start
    ranges   [--------------)[--------------)[-----              and not after its end

Wikimedia's multistream files begin each stream with a page. Files of pbzip2 cut pages anywhere, hence `skip_bytes` and
`tail_bytes`. Ten bytes that only look like a head do no harm: a range is valid only if a stream ends exactly at its
end.
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
"""The header of a stream and the magic number of its first block: 80 bits, by chance once in 10^23 bytes."""
_HEADER_BYTES = 10
_READ = 1 << 20
_PAGE = re.compile(rb"<page[\s>]")
_FIRST_PAGE_SEARCH_BYTES = 4 << 20
"""Bytes of XML searched for the start of a page before the next head is tried."""
_VERIFIED_BYTES = 1_200_000
"""Bytes of XML after which the checksum of a bz2 block was checked (a block has 900,000, more with long runs)."""
_MAX_STARTS_TRIED = 32
"""Heads tried for one cut; after that the range grows by `task_bytes`."""
_MAX_STREAM_BYTES = 64 << 20
"""Bytes without a head after which the search ends: the rest of the file is a single stream."""


@dataclass(frozen=True, slots=True)
class DumpRange:
    """The pages that begin in some whole streams of a bz2 file, or all pages of a file of any format."""

    start: int
    end: int
    """`start` and `end` are offsets in the file."""
    skip_bytes: int = 0
    """Bytes of XML after `start` that belong to the previous range."""
    tail_bytes: int = 0
    """Bytes of XML after `end` that belong to this range: the rest of its last page."""


StreamStarts = Callable[[int], Iterator[int]]
"""A function that yields the offsets, from a given one on, where streams may begin."""


def find_ranges(
    path: ReadableFile, size: int, task_bytes: int, indexed_starts: StreamStarts | None = None
) -> tuple[DumpRange, ...]:
    """Cut a bz2 file of `size` bytes into ranges of about `task_bytes`; one range if it cannot be cut."""
    cuts = _find_cuts(path, size, task_bytes, indexed_starts) if indexed_starts else []
    cuts = cuts or _find_cuts(path, size, task_bytes, lambda offset: scan_stream_starts(path, offset))
    edges = [(0, 0), *cuts, (size, 0)]
    return tuple(
        DumpRange(start, end, skip_bytes, tail_bytes)
        for (start, skip_bytes), (end, tail_bytes) in itertools.pairwise(edges)
    )


def is_multistream(path: ReadableFile, search_bytes: int = _MAX_STREAM_BYTES) -> bool:
    """Return whether a second bz2 stream begins within `search_bytes`."""
    return any(_is_stream(path, stream_start) for stream_start in scan_stream_starts(path, 1, search_bytes))


def read_range_xml(path: ReadableFile, range_: DumpRange) -> Iterator[XmlChunk]:
    """Yield the XML of a range of a bz2 file."""
    skip_bytes, tail_bytes, offset = range_.skip_bytes, range_.tail_bytes, range_.end
    for xml, offset in read_xml(path, BZ2, range_.start, range_.end):
        yield XmlChunk(xml[skip_bytes:], offset)
        skip_bytes = max(skip_bytes - len(xml), 0)
    pieces = read_xml(path, BZ2, range_.end) if tail_bytes else iter(())
    while tail_bytes and (piece := next(pieces, None)):
        xml, offset = piece.xml[:tail_bytes], piece.offset
        yield XmlChunk(xml[skip_bytes:], range_.end)  # these compressed bytes are counted by the next range
        skip_bytes, tail_bytes = max(skip_bytes - len(xml), 0), tail_bytes - len(xml)
    if tail_bytes:
        raise DataError(f"{path} ends at byte {offset:,}: it was shortened", DAMAGED_FILE_CURE)


def _find_cuts(path: ReadableFile, size: int, task_bytes: int, stream_starts: StreamStarts) -> list[tuple[int, int]]:
    """Return the cuts: offsets of stream heads, each with the bytes of XML before the next page."""
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
    """Return the first verified head, with the bytes of XML before the next page; and the last head tried."""
    tried = None
    for tried in itertools.islice(stream_starts, _MAX_STARTS_TRIED):
        skip_bytes = bytes_before_page(path, tried)
        if skip_bytes is not None:
            return (tried, skip_bytes), tried
    return None, tried


def bytes_before_page(path: ReadableFile, stream_start: int) -> int | None:
    """Return the bytes of XML between the start of a stream and its first page; None if there is no stream or page.

    A stream that begins with a page is proved by it. Otherwise the checksum of its block is checked too, because a
    damaged block may give `<page>` anywhere.
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
        return None  # not a head, or a damaged stream: an error when its range is read
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
    """Yield the offsets, from `offset` on, of bytes that look like the start of a bz2 stream.

    The search ends when `search_bytes` bytes have none.
    """
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
