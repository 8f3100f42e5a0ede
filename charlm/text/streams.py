"""A bz2 dump of many streams -> ranges of whole streams that can be read side by side.

    byte     0        8 M            16 M                        at each multiple of `task_bytes`: the next stream head
    streams  |--|-------|------|--------|-----|...               that holds up, or the next of the index file
    pages    h p p p p p p p p p p p p p p p p                   a range's pages are those that begin after its start
    ranges   [--------------)[--------------)[-----              and not after its end, whole

Wikimedia's multistream files begin each stream with a page; what pbzip2 writes cuts pages anywhere, hence `skip` and
`beyond`. Nothing rests on a head found by chance: a range is read only if one of its streams ends exactly at its end.
"""

import bisect
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charlm.errors import CharlmError, DataError
from charlm.storage import storage_errors
from charlm.text.compression import BZ2, CURE, Piece, read_pieces

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


def find_ranges(path: Path, size: int, task_bytes: int) -> tuple[Range, ...]:
    """Cut a bz2 file of `size` bytes into ranges of about `task_bytes`; one range if it can't be cut."""
    indexed = _index_heads(path)
    cuts = _find_cuts(path, size, task_bytes, indexed) if indexed else []
    cuts = cuts or _find_cuts(path, size, task_bytes, lambda offset: _scan_heads(path, offset))
    edges = [(0, 0), *cuts, (size, 0)]
    return tuple(Range(start, end, skip, beyond) for (start, skip), (end, beyond) in itertools.pairwise(edges))


def is_multistream(path: Path) -> bool:
    """Whether a second bz2 stream follows the first (looked for within 64 MB)."""
    return any(_is_stream(path, head) for head in _scan_heads(path, 1))


def range_pieces(path: Path, range_: Range) -> Iterator[Piece]:
    """The XML of a range of a bz2 file."""
    skip, beyond = range_.skip, range_.beyond
    for xml, offset in read_pieces(path, BZ2, range_.start, range_.end):
        yield Piece(xml[skip:], offset)
        skip = max(skip - len(xml), 0)
    pieces = read_pieces(path, BZ2, range_.end) if beyond else iter(())
    while beyond and (piece := next(pieces, None)):
        xml = piece.xml[:beyond]
        yield Piece(xml[skip:], range_.end)  # what it has read is the next range's to count
        skip, beyond = max(skip - len(xml), 0), beyond - len(xml)
    if beyond:
        raise DataError(f"{path} ends at byte {path.stat().st_size:,}: it has become shorter", CURE)


def _find_cuts(path: Path, size: int, task_bytes: int, heads: Callable[[int], Iterator[int]]) -> list[tuple[int, int]]:
    """Stream heads, each with the bytes of XML between it and the page that begins after it."""
    cuts: list[tuple[int, int]] = []
    target = task_bytes
    while target < size:
        tried = None
        for tried in itertools.islice(heads(target), _MOST_HEADS):
            skip = _page_after(path, tried)
            if skip is not None:
                cuts.append((tried, skip))
                break
        if tried is None:
            break
        target = tried + task_bytes
    return cuts


def _page_after(path: Path, head: int) -> int | None:
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
    except CharlmError:
        return None  # a head by chance, or a damaged stream: whoever reads the range it lies in will say so
    return found.start() if found else None


def _is_stream(path: Path, head: int) -> bool:
    inflated = 0
    try:
        for piece in read_pieces(path, BZ2, head):
            inflated += len(piece.xml)
            if inflated > _CHECKED:
                break
    except CharlmError:
        return False
    return True


def _scan_heads(path: Path, offset: int) -> Iterator[int]:
    """Offsets, from `offset` on, of what looks like the start of a bz2 stream."""
    with storage_errors(path, "read"), open(path, "rb") as file:
        file.seek(offset)
        yield from _heads_in(file, offset)


def _heads_in(file: IO[bytes], offset: int) -> Iterator[int]:
    kept, last = b"", offset
    while (chunk := file.read(_READ)) and offset - last < _LONGEST_STREAM:
        kept += chunk
        for found in _HEAD.finditer(kept):
            last = offset + found.start()
            yield last
        offset += max(len(kept) - _LEN_HEAD + 1, 0)
        kept = kept[max(len(kept) - _LEN_HEAD + 1, 0) :]


def _index_heads(path: Path) -> Callable[[int], Iterator[int]] | None:
    """The heads in a `...-multistream-index.txt.bz2` beside a `...-multistream.xml.bz2`, if it is there and whole."""
    index = path.with_name(re.sub(r"multistream(\d*)\.xml(.*\.bz2)$", r"multistream-index\1.txt\2", path.name))
    if index == path or not index.is_file():
        return None
    heads: list[int] = []
    try:
        for line in _lines(index):
            offset, colon, _ = line.partition(b":")
            if not (colon and offset.isdigit()):
                return None
            if not heads or int(offset) != heads[-1]:
                heads.append(int(offset))
    except CharlmError:
        return None
    heads.sort()
    return lambda offset: iter(heads[bisect.bisect_left(heads, offset) :])


def _lines(path: Path) -> Iterator[bytes]:
    kept = b""
    for piece in read_pieces(path, BZ2):
        *lines, kept = (kept + piece.xml).split(b"\n")
        yield from lines
    if kept:
        yield kept
