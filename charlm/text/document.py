"""What every source gives: documents of plain text, and an honest account of what it left out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
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


class Source(Protocol):
    """Where documents come from. `census` and `origin()` are complete once `documents()` is exhausted."""

    census: Census

    def documents(self) -> Iterator[Document]:
        """The documents, in an order that is the same every time."""
        ...

    def origin(self) -> dict[str, Any]:
        """For corpus.json: source, name, date, URLs and hashes, language, licence. No wall-clock time."""
        ...
