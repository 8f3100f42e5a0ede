"""The index file of a multistream dump -> the offsets where its streams begin.

wiki-date-pages-articles-multistream1.xml-p1p9.bz2          streams of 100 pages
wiki-date-pages-articles-multistream-index1.txt-p1p9.bz2    one line a page: offset of its stream:page id:title
"""

import bisect
import re
from pathlib import Path

from charlm.errors import DataError
from charlm.text.dump.ranges import StreamStarts
from charlm.text.reading.unpacking import BZ2, read_xml

_OFFSET = re.compile(rb"^(\d{1,15}):", re.MULTILINE)


def index_name(name: str) -> str:
    """Return the name of the index of the dump file `name`; "" if it is not a multistream file."""
    found = re.sub(r"multistream(\d*)\.xml(.*\.bz2)$", r"multistream-index\1.txt\2", name)
    return found if found != name else ""


def find_index(path: Path) -> Path | None:
    """Return the index in the same folder, or None."""
    name = index_name(path.name)
    return path.with_name(name) if name and path.with_name(name).is_file() else None


def read_index(path: Path) -> list[int]:
    """Return the offsets where streams of pages begin, in order.

    Raises:
        DataError: damaged, or not an index.
    """
    stream_starts: set[int] = set()
    buffer = b""
    for piece in read_xml(path, BZ2):
        lines, _, buffer = (buffer + piece.xml).rpartition(b"\n")
        stream_starts.update(_offsets(path, lines))
    stream_starts.update(_offsets(path, buffer))
    if not stream_starts:
        raise DataError(f"{path} lists no streams", "delete it, or download it again")
    return sorted(stream_starts)


def _offsets(path: Path, lines: bytes) -> set[int]:
    offsets = _OFFSET.findall(lines)
    if lines and len(offsets) != lines.count(b"\n") + 1:
        raise DataError(
            f"{path} is not an index: a line does not begin with an offset", "delete it, or download it again"
        )
    return {int(offset) for offset in dict.fromkeys(offsets)}


def read_index_beside(path: Path) -> StreamStarts | None:
    """Return the stream starts of the index beside a file; None if there is no readable index."""
    index = find_index(path)
    try:
        return starts_from(read_index(index)) if index else None
    except DataError:
        return None  # then the file is searched for stream heads


def starts_from(stream_starts: list[int]) -> StreamStarts:
    return lambda offset: iter(stream_starts[bisect.bisect_left(stream_starts, offset) :])
