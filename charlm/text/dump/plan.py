"""A dump -> tasks that read it side by side; their pages, one task after the other, are those of the file read whole.

plan(path) ──> DumpPlan ──pickled──> workers: read_range(plan, task) ──> Pages
           └─ header, format and cuts; nothing between them is read
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charlm.text.dump.index import heads_beside
from charlm.text.dump.pages import Dump, Pages
from charlm.text.dump.ranges import Heads, Range, find_ranges, is_multistream, range_pieces
from charlm.text.dump.siteinfo import SiteInfo
from charlm.text.reading.unpacking import BZ2, Readable, detect_format, read_pieces, size_of

TASK_BYTES = 12 << 20
"""Compressed bytes of a task, at most: some 12 s of work."""
_MIN_TASK_BYTES = 2 << 20
_TASKS = 64
"""A smaller file is cut into about so many: with fewer, workers end far apart (a quarter of the time at 200 MB)."""


@dataclass(frozen=True, slots=True)
class DumpPlan:
    """How to read a dump in parts. Made once, sent to every worker."""

    path: Readable
    format: str
    """`bz2`, `xz`, `gz` or `xml`."""
    size: int
    """Bytes of the file."""
    multistream: bool
    siteinfo: SiteInfo
    opening: bytes
    """The root's start tag, for what stands before the pages of all tasks but the first."""
    tasks: tuple[Range, ...]
    """In the order of the file."""


def plan(path: Readable, task_bytes: int | None = None, heads: Heads | None = None) -> DumpPlan:
    """Read the header of a dump and find out where it can be cut.

    Args:
        path: The file.
        task_bytes: About so many compressed bytes a task, at least one bz2 stream; by the file's size if not given.
        heads: Where streams begin, if an index tells; what it says is not trusted but tried. That beside a local file
            is found without.

    Raises:
        UsageError: there is no such file.
        DataError: another format, or its header is damaged.
        StorageError: the file cannot be read.
    """
    dump = Dump(path)
    size = size_of(path)
    format_name = detect_format(path)
    task_bytes = task_bytes or min(TASK_BYTES, max(_MIN_TASK_BYTES, size // _TASKS))
    heads = heads or (heads_beside(path) if isinstance(path, Path) else None)
    tasks = find_ranges(path, size, task_bytes, heads) if format_name == BZ2 else (Range(0, size),)
    multistream = len(tasks) > 1 or (format_name == BZ2 and is_multistream(path))
    return DumpPlan(path, format_name, size, multistream, dump.siteinfo, dump.opening, tasks)


def read_range(plan: DumpPlan, task: Range, on_bytes: Callable[[int], None] | None = None) -> Pages:
    """The pages of one task, in order; `.excerpt` of the last task says, at the end, whether the file breaks off.

    Raises (from the iterator):
        DataError: damage of any kind, with the offset in the file.
        StorageError: the file cannot be read.
    """
    last, whole = task.end == plan.size, task == Range(0, plan.size)
    pieces = read_pieces(plan.path, plan.format) if whole else range_pieces(plan.path, task)
    opening = plan.opening if task.start else b""
    return Pages(plan.path, pieces, plan.siteinfo, start=task.start, opening=opening, last=last, on_bytes=on_bytes)
