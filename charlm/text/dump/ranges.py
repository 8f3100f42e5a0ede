"""A bz2 dump of many streams -> ranges of whole streams that can be read side by side.

    byte     0        8 M            16 M                        at each multiple of `task_bytes`: the next stream head
    streams  |--|-------|------|--------|-----|...               that holds up, or the next of the index file
    pages    h p p p p p p p p p p p p p p p p                   a range's pages are those that begin after its start
    ranges   [--------------)[--------------)[-----              and not after its end, whole

Wikimedia's multistream files begin each stream with a page; what pbzip2 writes cuts pages anywhere, hence `skip` and
`beyond`. Nothing rests on a head found by chance: a range is read only if one of its streams ends exactly at its end.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from charlm.errors import DataError
from charlm.text.reading.unpacking import BZ2, CURE, Piece, Readable, open_to_read, read_errors, read_pieces

_HEAD = re.compile(rb"BZh[1-9]\x31\x41\x59\x26\x53\x59")
"""A stream's header, and the magic number of its first block: 80 bits, so by chance once in 10^23 bytes."""
_LEN_HEAD = 10
_READ = 1 << 20
_PAGE = re.compile(rb"<page[\s>]")
_FIRST_PAGE_WITHIN = 4 << 20
"""Bytes of XML looked through for a page's beginning before the next head is tried."""
_CHECKED = 1_200_000
"""Bytes of XML after which the checksum of a bz2 block has been reached (it holds 900,000, or more of long runs)."""
_MOST_HEADS = 32
"""Heads tried for one cut; then the range grows by another `task_bytes`."""
_LONGEST_STREAM = 64 << 20
"""Where no head follows within as many bytes, none is looked for any more: the file is (from here) a single stream."""


@dataclass(frozen=True, slots=True)
class Range:
    """The pages that begin in some whole streams of a file (or the whole of a file of any format)."""

    start: int
    end: int
    """Offsets in the file."""
    skip: int = 0
    """Bytes of XML after `start` that belong to the range before."""
    beyond: int = 0
    """Bytes of XML after `end` that belong to this one: the rest of its last page."""


Heads = Callable[[int], Iterator[int]]
"""Offsets, from the one given on, where streams may begin."""


def find_ranges(path: Readable, size: int, task_bytes: int, indexed: Heads | None = None) -> tuple[Range, ...]:
    """Cut a bz2 file of `size` bytes into ranges of about `task_bytes`; one range if it can't be cut."""
    cuts = _find_cuts(path, size, task_bytes, indexed) if indexed else []
    cuts = cuts or _find_cuts(path, size, task_bytes, lambda offset: scan_heads(path, offset))
    edges = [(0, 0), *cuts, (size, 0)]
    return tuple(Range(start, end, skip, beyond) for (start, skip), (end, beyond) in itertools.pairwise(edges))


def is_multistream(path: Readable, within: int = _LONGEST_STREAM) -> bool:
    """Whether a second bz2 stream follows the first (looked for within so many bytes)."""
    return any(_is_stream(path, head) for head in scan_heads(path, 1, within))


def range_pieces(path: Readable, range_: Range) -> Iterator[Piece]:
    """The XML of a range of a bz2 file."""
    skip, beyond, offset = range_.skip, range_.beyond, range_.end
    for xml, offset in read_pieces(path, BZ2, range_.start, range_.end):
        yield Piece(xml[skip:], offset)
        skip = max(skip - len(xml), 0)
    pieces = read_pieces(path, BZ2, range_.end) if beyond else iter(())
    while beyond and (piece := next(pieces, None)):
        xml, offset = piece.xml[:beyond], piece.offset
        yield Piece(xml[skip:], range_.end)  # what it has read is the next range's to count
        skip, beyond = max(skip - len(xml), 0), beyond - len(xml)
    if beyond:
        raise DataError(f"{path} ends at byte {offset:,}: it has become shorter", CURE)


def _find_cuts(path: Readable, size: int, task_bytes: int, heads: Heads) -> list[tuple[int, int]]:
    """Stream heads, each with the bytes of XML between it and the page that begins after it."""
    cuts: list[tuple[int, int]] = []
    target = task_bytes
    while target < size:
        cut, tried = find_cut(path, heads(target))
        if cut:
            cuts.append(cut)
        if tried is None:
            break
        target = tried + task_bytes
    return cuts


def find_cut(path: Readable, heads: Iterator[int]) -> tuple[tuple[int, int] | None, int | None]:
    """The first head that holds up, with the bytes of XML before the page that begins after it; the last one tried."""
    tried = None
    for tried in itertools.islice(heads, _MOST_HEADS):
        skip = page_after(path, tried)
        if skip is not None:
            return (tried, skip), tried
    return None, tried


def page_after(path: Readable, head: int) -> int | None:
    """Bytes of XML between the start of a stream and that of the first page in it; None: no page soon, or no stream.

    Where a page begins the stream, that proves it one. Elsewhere its block must fit its checksum too: what a damaged
    block gives in place of text may have a `<page>` anywhere.
    """
    xml, found, enough = bytearray(), None, _FIRST_PAGE_WITHIN
    try:
        for piece in read_pieces(path, BZ2, head):
            searched = max(len(xml) - 6, 0)
            xml += piece.xml
            if found is None and (found := _PAGE.search(xml, searched)):
                if not xml[: found.start()].strip():
                    return 0
                enough = found.end() + _CHECKED
            if len(xml) > enough:
                break
    except DataError:
        return None  # a head by chance, or a damaged stream: whoever reads the range it lies in will say so
    return found.start() if found else None


def _is_stream(path: Readable, head: int) -> bool:
    inflated = 0
    try:
        for piece in read_pieces(path, BZ2, head):
            inflated += len(piece.xml)
            if inflated > _CHECKED:
                break
    except DataError:
        return False
    return True


def scan_heads(path: Readable, offset: int, within: int = _LONGEST_STREAM) -> Iterator[int]:
    """Offsets, from `offset` on, of what looks like the start of a bz2 stream, until none comes `within` bytes."""
    with open_to_read(path) as file, read_errors(path):
        file.seek(offset)
        yield from _heads_in(file, offset, within)


def _heads_in(file: IO[bytes], offset: int, within: int) -> Iterator[int]:
    kept, last = b"", offset
    while offset - last < within and (chunk := file.read(_READ)):
        kept += chunk
        for found in _HEAD.finditer(kept):
            last = offset + found.start()
            yield last
        offset += max(len(kept) - _LEN_HEAD + 1, 0)
        kept = kept[max(len(kept) - _LEN_HEAD + 1, 0) :]
