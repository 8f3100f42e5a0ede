"""A dump -> ranges that several processes read; their pages, in order, are those of the whole file.

plan_dump(path) ──> DumpPlan ──pickled──> workers: read_range(plan, range) ──> Pages
                └─ header, format and cuts; nothing between the cuts is read
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
"""Compressed bytes of a task, at most: about 12 s of work."""
_MIN_TASK_BYTES = 2 << 20
_TARGET_NUM_TASKS = 64
"""Tasks of a smaller file. With fewer, some workers wait at the end: a quarter of the time at 200 MB."""


@dataclass(frozen=True, slots=True)
class DumpPlan:
    """How to read a dump in ranges; made once and sent to every worker."""

    path: ReadableFile
    format: str
    """`bz2`, `xz`, `gz` or `xml`."""
    size: int
    """Size of the file in bytes."""
    multistream: bool
    siteinfo: SiteInfo
    root_tag: bytes
    """The start tag of the root, which precedes the pages of all ranges but the first."""
    ranges: tuple[DumpRange, ...]
    """The ranges, in the order of the file."""
    all_versions: bool = False
    """Whether all revisions of a page are read, instead of the newest one."""


def plan_dump(path: ReadableFile, task_bytes: int | None = None, stream_starts: StreamStarts | None = None) -> DumpPlan:
    """Read the header of a dump and find out where it can be cut.

    Args:
        path: The file.
        task_bytes: Compressed bytes of a task, about; at least one bz2 stream. By default it depends on the file size.
        stream_starts: Where streams begin by the index. Each start is verified. By default the index is read if it
            lies beside a local file.

    Raises:
        UsageError: the file does not exist.
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
    """Return a reader of the pages of one range, in order. `.excerpt` of the last range tells whether the file is cut.

    Raises (from the iterator):
        DataError: damage of any kind, with the offset in the file.
        StorageError: the file cannot be read.
    """
    last, is_whole_file = range_.end == plan.size, range_ == DumpRange(0, plan.size)
    chunks = read_xml(plan.path, plan.format) if is_whole_file else read_range_xml(plan.path, range_)
    root_tag = plan.root_tag if range_.start else b""
    return PageReader(
        plan.path,
        chunks,
        plan.siteinfo,
        start=range_.start,
        root_tag=root_tag,
        last=last,
        all_versions=plan.all_versions,
        on_bytes=on_bytes,
    )
