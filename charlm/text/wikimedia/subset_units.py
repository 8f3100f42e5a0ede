"""A dump file -> its units: the pieces that a subset of it may consist of, each found when it is wanted.

index at hand           a unit a stream: what lies between one offset of the index and the next
multistream, here       the same streams, found by scanning for their heads; a page belongs to the unit it begins in
multistream, remote     a unit a slot of 2 MB: the streams that begin in it
anything else           one unit: the whole file
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import DataError
from charlm.text.dump.index import from_offset, index_beside, read_index
from charlm.text.dump.ranges import Heads, Range, find_cut, is_multistream, page_after, scan_heads
from charlm.text.reading.unpacking import BZ2, Readable, detect_format

_SLOT = 2 << 20


@dataclass(frozen=True)
class Units:
    """Each is known by the offset where it is looked for; `find` gives its range, None where no page begins in it."""

    offsets: Sequence[int]
    find: Callable[[int], Range | None]
    """From the place in `offsets`."""
    indexed: bool = False
    multistream: bool = True


def find_units(file: Readable, size: int, index: Path | None) -> Units:
    """The units of a dump file.

    Args:
        index: of a remote file. A local one has it beside itself; if it does not fit, it is as if there were none.

    Raises:
        DataError: the index is damaged, or of another file.
    """
    if index:
        heads = read_index(index)
        if heads[-1] >= size:
            raise DataError(f"{index} does not fit {file.name}, which ends before its last stream", "remove it")
        return _listed(heads, size)
    if not isinstance(file, Path):
        return _between(file, range(0, size, _SLOT), size, lambda offset: scan_heads(file, offset))
    if detect_format(file) != BZ2 or not is_multistream(file):
        return Units([0], lambda place: Range(0, size), multistream=False)
    listed = index_beside(file)
    try:
        heads = read_index(listed) if listed else []
    except DataError:
        heads = []  # they are found by looking for them, then
    if heads and heads[-1] < size and all(page_after(file, head) == 0 for head in (heads[0], heads[-1])):
        return _listed(heads, size)
    heads = [0, *scan_heads(file, 1)]
    return _between(file, heads, size, from_offset(heads))


def _listed(heads: Sequence[int], size: int) -> Units:
    edges = [*heads, size]
    return Units(heads, lambda place: Range(edges[place], edges[place + 1]), indexed=True)


def _between(file: Readable, offsets: Sequence[int], size: int, heads: Heads) -> Units:
    """The unit at an offset goes from the first head from there on that holds up to that of the next offset."""

    def cut(offset: int) -> tuple[int, int]:
        found, _ = find_cut(file, heads(offset))
        return found or (size, 0)

    def find(place: int) -> Range | None:
        start, skip = cut(offsets[place]) if place else (0, 0)
        end, beyond = cut(offsets[place + 1]) if place + 1 < len(offsets) else (size, 0)
        return Range(start, end, skip, beyond) if start < end else None

    return Units(offsets, find)
