"""Counts of the pages of a dump, without cleaning: for `charlm inspect`, and to test the readers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlm.text.dump.plan import DumpPlan, DumpRange, plan_dump, read_range
from charlm.text.reading.unpacking import ReadableFile


@dataclass(slots=True)
class PageKindCounts:
    """Pages by kind; one page may count in several kinds. Counts of ranges can be added."""

    pages: int = 0
    namespaces: Counter[int] = field(default_factory=Counter[int])
    models: Counter[str] = field(default_factory=Counter[str])
    redirects: int = 0
    empty: int = 0
    """Pages whose text is missing or blank; in a stub dump all pages."""
    characters: int = 0
    """Characters of wikitext and other text, before cleaning."""
    excerpt: bool = False
    """Whether the file ends without `</mediawiki>`."""

    def __add__(self, other: "PageKindCounts") -> "PageKindCounts":
        return PageKindCounts(
            self.pages + other.pages,
            self.namespaces + other.namespaces,
            self.models + other.models,
            self.redirects + other.redirects,
            self.empty + other.empty,
            self.characters + other.characters,
            self.excerpt or other.excerpt,
        )


@dataclass(frozen=True, slots=True)
class DumpCounts:
    """The header of a dump and the counts of its pages."""

    plan: DumpPlan
    counts: PageKindCounts

    def as_json(self) -> dict[str, Any]:
        """Return the object of `charlm inspect DUMP --json`."""
        site, counts = self.plan.siteinfo, self.counts
        return {
            "format": self.plan.format,
            "bytes": self.plan.size,
            "multistream": self.plan.multistream,
            "export_version": site.version,
            "wiki": site.dbname,
            "language": site.language,
            "pages": counts.pages,
            "articles": counts.namespaces[0],
            "namespaces": {str(number): count for number, count in sorted(counts.namespaces.items())},
            "redirects": counts.redirects,
            "models": dict(sorted(counts.models.items())),
            "empty": counts.empty,
            "characters": counts.characters,
            "note": excerpt_note(self.plan.path) if counts.excerpt else "",
        }


def excerpt_note(path: ReadableFile) -> str:
    return f"{path.name} is an excerpt: it ends without </mediawiki>"


def count_pages(path: Path, on_bytes: Callable[[int], None] | None = None) -> DumpCounts:
    """Read a whole dump and count its pages.

    Raises:
        UsageError: the file does not exist.
        DataError: it is damaged, or not a dump.
    """
    dump = plan_dump(path)
    return DumpCounts(
        dump, sum((count_pages_in_range(dump, range_, on_bytes) for range_ in dump.ranges), PageKindCounts())
    )


def count_pages_in_range(
    plan: DumpPlan, range_: DumpRange, on_bytes: Callable[[int], None] | None = None
) -> PageKindCounts:
    """Return the counts of one range; those of all ranges add up to the counts of the dump."""
    counts = PageKindCounts()
    pages = read_range(plan, range_, on_bytes)
    for page in pages:
        counts.pages += 1
        counts.namespaces[page.namespace] += 1
        counts.models[page.model] += 1
        counts.redirects += page.redirect
        counts.empty += not page.text.strip()
        counts.characters += len(page.text)
    counts.excerpt = pages.excerpt
    return counts
