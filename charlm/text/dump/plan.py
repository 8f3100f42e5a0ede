"""A dump -> tasks that read it side by side; their pages, one task after the other, are those of the file read whole.

plan_dump(path) ──> DumpPlan ──pickled──> workers: read_range(plan, task) ──> Pages
           └─ header, format and cuts; nothing between them is read
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.index import read_index_beside
from charlm.text.dump.pages import DumpReader, PageReader
from charlm.text.dump.ranges import DumpRange, StreamStarts, find_ranges, is_multistream, read_range_xml
from charlm.text.reading.unpacking import BZ2, ReadableFile, detect_format, file_size, read_xml

TASK_BYTES = 12 << 20
"""Compressed bytes of a task, at most: some 12 s of work."""
_MIN_TASK_BYTES = 2 << 20
_TARGET_NUM_TASKS = 64
"""A smaller file is cut into about so many: with fewer, workers end far apart (a quarter of the time at 200 MB)."""


@dataclass(frozen=True, slots=True)
class DumpPlan:
    """How to read a dump in parts. Made once, sent to every worker."""

    path: ReadableFile
    format: str
    """`bz2`, `xz`, `gz` or `xml`."""
    size: int
    """Bytes of the file."""
    multistream: bool
    siteinfo: SiteInfo
    root_tag: bytes
    """The root's start tag, for what stands before the pages of all tasks but the first."""
    ranges: tuple[DumpRange, ...]
    """In the order of the file."""


def plan_dump(path: ReadableFile, task_bytes: int | None = None, stream_starts: StreamStarts | None = None) -> DumpPlan:
    """Read the header of a dump and find out where it can be cut.

    Args:
        path: The file.
        task_bytes: About so many compressed bytes a task, at least one bz2 stream; by the file's size if not given.
        stream_starts: Where streams begin, if an index tells; what it says is not trusted but tried. That beside a
            local file is found without.

    Raises:
        UsageError: there is no such file.
        DataError: another format, or its header is damaged.
        StorageError: the file cannot be read.
    """
    dump = DumpReader(path)
    size = file_size(path)
    format_name = detect_format(path)
    task_bytes = task_bytes or min(TASK_BYTES, max(_MIN_TASK_BYTES, size // _TARGET_NUM_TASKS))
    stream_starts = stream_starts or (read_index_beside(path) if isinstance(path, Path) else None)
    ranges = find_ranges(path, size, task_bytes, stream_starts) if format_name == BZ2 else (DumpRange(0, size),)
    multistream = len(ranges) > 1 or (format_name == BZ2 and is_multistream(path))
    return DumpPlan(path, format_name, size, multistream, dump.siteinfo, dump.root_tag, ranges)


def read_range(plan: DumpPlan, range_: DumpRange, on_bytes: Callable[[int], None] | None = None) -> PageReader:
    """The pages of one task, in order; `.excerpt` of the last task says, at the end, whether the file breaks off.

    Raises (from the iterator):
        DataError: damage of any kind, with the offset in the file.
        StorageError: the file cannot be read.
    """
    last, is_whole_file = range_.end == plan.size, range_ == DumpRange(0, plan.size)
    chunks = read_xml(plan.path, plan.format) if is_whole_file else read_range_xml(plan.path, range_)
    root_tag = plan.root_tag if range_.start else b""
    return PageReader(
        plan.path, chunks, plan.siteinfo, start=range_.start, root_tag=root_tag, last=last, on_bytes=on_bytes
    )
