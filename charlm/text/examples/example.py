"""An example, and the form of everything that yields examples."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

GivenSplit = Literal["train", "valid", "test"]
TargetKind = Literal["label", "labels", "tags", "target"]
"""What an example has: a label, several labels, tags of its characters, or another text."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and what a model is asked about it: a label, a tag for each character that has one, or another text."""

    id: str
    """Where the example comes from, for messages: a file and a line, or the id of a sentence."""
    text: str
    label: str | None = None
    tags: tuple[str | None, ...] | None = None
    """One for each character of the text (code point); None where nothing is asked."""
    labels: tuple[str, ...] | None = None
    """Several labels, each with its column: `language=Russian`."""
    target: str | None = None
    """The other text, which a model writes when it is given this one."""
    weight: float = 1.0
    """How much a target counts, such as its frequency."""
    split: GivenSplit | None = None
    """The split that the source gives; None if the text decides."""
    title: str = ""


@dataclass(slots=True)
class ExampleCounts:
    """Counts of what a source has read and dropped, for corpus.json."""

    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    """Reason -> number of examples dropped for it, such as `empty`, `no label`, `no target`."""
    notes: list[str] = field(default_factory=list[str])
    """Remarks, such as what was ignored."""


def digest_entries(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return one hash of the names and hashes in the entries of several files."""
    content = "\n".join(f"{entry['sha256']} {entry['name']}" for entry in entries)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


class ExampleSource(ABC):
    """A source of examples."""

    @abstractmethod
    def read(self, counts: ExampleCounts) -> Iterator[Example]:
        """Yield all examples, in the same order every time, and count what is read and dropped.

        Raises:
            DataError: the input is broken; the error names file and line.
        """

    @abstractmethod
    def origin(self) -> dict[str, Any]:
        """Return the entry of corpus.json: source, name, hashes, licence; no wall-clock time and no folder."""

    def local_files(self) -> list[dict[str, Any]]:
        """Return name, size and SHA-256 of each local file that decides the examples; none of a remote input."""
        return []

    def fingerprint(self) -> str | None:
        """Return a hash of the local input, or None if it is remote."""
        entries = self.local_files()
        return digest_entries(entries) if entries else None
