"""What the header of an export says about its wiki, and what follows from it for a title."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_ENGLISH_NAMESPACES = {
    "media": -2, "special": -1, "talk": 1, "user": 2, "user talk": 3, "wikipedia": 4, "project": 4,
    "wikipedia talk": 5, "project talk": 5, "file": 6, "image": 6, "file talk": 7, "image talk": 7,
    "mediawiki": 8, "mediawiki talk": 9, "template": 10, "template talk": 11, "help": 12, "help talk": 13,
    "category": 14, "category talk": 15, "portal": 100, "portal talk": 101, "module": 828, "module talk": 829,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """The header of an export. All of it may be missing."""

    dbname: str = ""
    base: str = ""
    """Address of the main page."""
    language: str = ""
    namespaces: Mapping[int, str] = field(default_factory=dict[int, str])
    """Namespace number -> its name in the wiki's language; "" for articles."""
    version: str = ""
    """Of the export format: 0.3 (2005) to 0.11."""


def namespace_from_title(title: str, siteinfo: SiteInfo) -> int:
    """The namespace by the title's prefix, for exports before 0.6, which have no `<ns>`."""
    prefix, colon, _ = title.partition(":")
    names = _ENGLISH_NAMESPACES | {name.casefold(): number for number, name in siteinfo.namespaces.items() if name}
    return names.get(" ".join(prefix.replace("_", " ").split()).casefold(), 0) if colon else 0
