"""What every source gives: documents of plain text, and an honest account of what it left out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Document:
    """One article, file or entry. `id` decides the split, so it must stay the same from one dump to the next."""

    id: str
    title: str
    text: str
    url: str = ""


@dataclass(slots=True)
class Census:
    """pages = documents kept + the sum of `dropped`, to the page."""

    pages: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What has to come over the network before a source can be read."""

    what: str
    bytes: int
    """Still to come; files of unknown size count as nothing."""
    directory: Path
    """The cache they go to."""


class Source(Protocol):
    """Where documents come from. `census` and `origin()` are complete once `documents()` is exhausted."""

    census: Census

    def documents(self) -> Iterator[Document]:
        """The documents, in an order that is the same every time."""
        ...

    def origin(self) -> dict[str, Any]:
        """For corpus.json: source, name, date, URLs and hashes, language, licence. No wall-clock time."""
        ...

    def download_plan(self) -> DownloadPlan | None:
        """What `fetch` would download; None where everything is here."""
        return None

    def fetch(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download what is missing; `on_progress` gets the bytes so far."""
        return

    def resolved(self) -> dict[str, Any]:
        """Settings that a server has decided (the date that `latest` stands for): a rerun keeps to them."""
        return {}
