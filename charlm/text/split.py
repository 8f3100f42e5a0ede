"""Which split a document belongs to.

document id ──stable hash──> train | valid | test    a newer dump never moves a page from test to train
small corpora: by position in characters             a document at a border is cut into two parts
several versions of one page: where the first is     none of them is cut
enwik8, text8: by position in bytes                  as published; a border inside a character moves before it
"""

import bisect
import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from charlm.text.document import Document

SPLITS = ("train", "valid", "test")
MAX_PART_CHARACTERS = 1_000_000
"""Longer texts are stored in parts of this many characters, without <eod> between them."""

_LARGE_CORPUS = 100_000_000  # bytes
_MIN_DOCUMENTS_FOR_HASH = 1_000
_MIN_HELD_OUT_DOCUMENTS = 50
_MIN_HELD_OUT_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Part:
    """A document or a part of one. `part` counts from 0; <eod> follows where `is_last_part`."""

    document: Document
    part: int = 0
    is_last_part: bool = True
    label: str | None = None
    """The label of an example."""
    tags: tuple[str | None, ...] | None = None
    """The tags of an example, one for each character, None where there is none."""
    labels: tuple[str, ...] | None = None
    """Several labels of an example."""
    target: str | None = None
    """The other text of an example."""
    weight: float = 1.0
    """How much its target counts."""


def parse_percentages(spec: str) -> dict[str, int]:
    """ "90/5/5" -> {"train": 90, "valid": 5, "test": 5}; two numbers mean train and valid only.

    Raises:
        ValueError: not such a text.
    """
    percentages = _percentages(spec)
    if not percentages:
        meant = "/".join(re.findall("[0-9]+", spec))
        cure = f"write {meant}" if _percentages(meant) else "write whole numbers with slashes between"
        raise ValueError(f'{spec!r} is not two or three percentages that sum to 100, like "90/5/5"; {cure}')
    return dict(zip(SPLITS, percentages, strict=False))


def _percentages(spec: str) -> list[int]:
    """Return the percentages, or an empty list if they are not valid."""
    if not re.fullmatch(r"[0-9]{1,2}(/[0-9]{1,2}){1,2}", spec):
        return []
    percentages = [int(percentage) for percentage in spec.split("/")]
    return percentages if min(percentages) > 0 and sum(percentages) == 100 else []


def split_by_hash(document_id: str, percentages: dict[str, int]) -> str:
    """Return the split of a document, by the hash of its id."""
    position = int.from_bytes(hashlib.sha256(document_id.encode("utf-8")).digest()[:8], "big") * 100 >> 64
    for name, percentage in percentages.items():
        position -= percentage
        if position < 0:
            return name
    raise AssertionError("percentages sum to 100")


@dataclass(slots=True)
class SplitCounts:
    """Documents and characters of each split by hash, for one choice of percentages."""

    percentages: dict[str, int]
    documents: dict[str, int]
    characters: dict[str, int]

    @classmethod
    def of(cls, spec: str) -> "SplitCounts":
        percentages = parse_percentages(spec)
        return cls(percentages, dict.fromkeys(percentages, 0), dict.fromkeys(percentages, 0))

    def add(self, document_id: str, characters: int, *, is_last_piece: bool = True) -> None:
        """Count a document, or a piece of one; the last piece counts as the document."""
        name = split_by_hash(document_id, self.percentages)
        self.documents[name] += is_last_piece
        self.characters[name] += characters

    @property
    def method(self) -> str:
        """ "hash", or "position" if a held-out split by hash would be too small to measure on."""
        held_out = [name for name in self.percentages if name != "train"]
        too_small = any(
            self.documents[name] < _MIN_HELD_OUT_DOCUMENTS or self.characters[name] < _MIN_HELD_OUT_CHARACTERS
            for name in held_out
        )
        return "position" if too_small or sum(self.documents.values()) < _MIN_DOCUMENTS_FOR_HASH else "hash"


def default_spec(total_bytes: int) -> str:
    return "98/1/1" if total_bytes > _LARGE_CORPUS else "90/5/5"


CANDIDATE_SPLITS = ("98/1/1", "90/5/5")

Cuts = Mapping[str, Sequence[tuple[str, int]]]
"""Document id -> its parts in another corpus, in order: (split, characters)."""


@dataclass(frozen=True, slots=True)
class RepeatedPages:
    """The pages of which a corpus has several versions."""

    keys: "array[int]" = field(default_factory=lambda: array("q"))
    """Their `page_key`, sorted."""
    num_characters: "array[int]" = field(default_factory=lambda: array("q"))
    """The characters of all versions of each page."""

    def find(self, page_key: int) -> int | None:
        """Return the index of a page; None if it has only one version."""
        place = bisect.bisect_left(self.keys, page_key)
        return place if place < len(self.keys) and self.keys[place] == page_key else None


class SplitRouter:
    """Sends documents, in order, to their splits; cuts them at borders and every MAX_PART_CHARACTERS characters."""

    def __init__(
        self,
        percentages: dict[str, int],
        method: str,
        total: int,
        like: Cuts | None = None,
        repeated_pages: RepeatedPages | None = None,
    ) -> None:
        """
        Args:
            method: "hash", "position" or "bytes".
            total: the size of the corpus, in bytes for "bytes", otherwise in characters.
            like: the cuts of another corpus; documents that it does not have are split by hash.
            repeated_pages: the pages that have several versions among the documents.
        """
        self._percentages = percentages
        self._method = "hash" if like is not None else method
        self._reference_cuts = like or {}
        self.num_by_hash = 0  # documents
        self._repeated_pages = repeated_pages or RepeatedPages()
        self._split_of_page = bytearray(len(self._repeated_pages.keys))
        # of each: 1 + the index of its split; 0 before its first version
        self._position = 0
        self._borders: list[tuple[int, str]] = []  # (first character, or byte, after the split, name)
        self._parts_done = self._characters_done = 0  # of a document that comes in pieces
        cumulative = 0
        for name, percentage in percentages.items():
            cumulative += percentage
            self._borders.append((total * cumulative // 100, name))

    def route(self, document: Document, size: int | None = None) -> Iterator[tuple[str, Part]]:
        """Yield the parts of a document, or of a piece of one, each with its split.

        Args:
            size: characters of the whole document, if this is a piece of it.
        """
        parts = 0
        routed = self._route(document, len(document.text) if size is None else size)
        for name, part in self._with_other_versions(document, routed):
            parts += 1
            yield name, replace(part, part=self._parts_done + part.part)
        self._parts_done = 0 if document.is_last_piece else self._parts_done + parts
        self._characters_done = 0 if document.is_last_piece else self._characters_done + len(document.text)

    def _with_other_versions(
        self, document: Document, routed: Iterator[tuple[str, Part]]
    ) -> Iterator[tuple[str, Part]]:
        """Yield the parts as routed; of a page with several versions, all in the split where its first one begins.

        The position counts such a page as if all of its versions followed the first one.
        """
        place = self._repeated_pages.find(document.version.page_key)
        if place is None:
            yield from routed
            return
        names = list(self._percentages)
        if not self._split_of_page[place]:
            first_split, _ = next(routed)  # this advances the position by this version
            self._split_of_page[place] = 1 + names.index(first_split)
            self._position += self._repeated_pages.num_characters[place] - len(document.text)
        for part in _split_parts(document, []):
            yield names[self._split_of_page[place] - 1], part

    def _route(self, document: Document, num_characters: int) -> Iterator[tuple[str, Part]]:
        if document.id in self._reference_cuts:
            yield from self._cut_as_reference(document, num_characters, self._reference_cuts[document.id])
            return
        if self._method == "hash":
            self.num_by_hash += document.is_last_piece
            name = split_by_hash(document.id, self._percentages)
            for part in _split_parts(document, []):
                yield name, part
            return
        encoded = document.text.encode("utf-8") if self._method == "bytes" else None
        size = len(document.text if encoded is None else encoded)
        borders = [(border - self._position, name) for border, name in self._borders]
        self._position += size
        if encoded is not None:
            borders = [(_characters_in(encoded, border), name) for border, name in borders]
        yield from _cut(document, borders)

    def _cut_as_reference(
        self, document: Document, num_characters: int, cuts: Sequence[tuple[str, int]]
    ) -> Iterator[tuple[str, Part]]:
        """Cut where the other corpus was cut; a text whose length has changed goes to its first split as a whole."""
        if sum(size for _, size in cuts) != num_characters:
            cuts = [(cuts[0][0], num_characters)]
        cut_ends = accumulate(size for _, size in cuts)
        yield from _cut(
            document, [(end - self._characters_done, name) for (name, _), end in zip(cuts, cut_ends, strict=True)]
        )


def _cut(document: Document, borders: Sequence[tuple[int, str]]) -> Iterator[tuple[str, Part]]:
    """Yield the parts between `borders`, each with its split.

    Args:
        borders: (first character after the split, name of the split), increasing, counted from the document's start.
            An empty document after the last border belongs to the last split.
    """
    size = len(document.text)
    offset = 0
    for part in _split_parts(document, [border for border, _ in borders if 0 < border < size]):
        yield next((name for border, name in borders if offset < border), borders[-1][1]), part
        offset += len(part.document.text)


def _characters_in(encoded: bytes, num_bytes: int) -> int:
    """Return how many whole characters the first `num_bytes` bytes hold; outside the text, `num_bytes` itself."""
    if not 0 < num_bytes < len(encoded):
        return num_bytes
    return len(encoded[:num_bytes].decode("utf-8", errors="ignore"))


def _split_parts(document: Document, borders: list[int]) -> Iterator[Part]:
    """Cut a document at `borders` (offsets in characters) and every MAX_PART_CHARACTERS characters."""
    size = len(document.text)
    if size <= MAX_PART_CHARACTERS and not borders:
        yield Part(document, is_last_part=document.is_last_piece)
        return
    cuts = sorted({*range(MAX_PART_CHARACTERS, size, MAX_PART_CHARACTERS), *borders})
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, size], strict=True)):
        yield Part(replace(document, text=document.text[start:end]), number, document.is_last_piece and end == size)
