"""What the names of dump files say: the order of the parts of a dump, and its date.

ruwiki-20240801-pages-articles1.xml-p1p224167.bz2 ──> 20240801, pages 1 to 224,167
"""

import re

from charlm.text.wikimedia.dump_file import DumpPart


def in_page_order(given: tuple[DumpPart, ...]) -> tuple[DumpPart, ...]:
    """Sort parts by the page numbers in their names; if any has none, keep the given order."""
    found = [re.search(r"\.xml-p(\d+)p(\d+)", part.path.name) for part in given]
    ranges = [(int(match[1]), int(match[2])) for match in found if match]
    if len(ranges) < len(given):
        return given
    return tuple(part for _, part in sorted(zip(ranges, given, strict=True), key=lambda entry: entry[0]))


def date_from_names(given: tuple[DumpPart, ...]) -> str:
    """Return the date in names such as ruwiki-20240801-pages-articles.xml.bz2 if all names agree; otherwise ""."""
    dates = {found[1] if (found := re.search(r"-([12]\d{7})-", part.path.name)) else "" for part in given}
    return dates.pop() if len(dates) == 1 else ""
