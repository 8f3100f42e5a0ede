"""Staged shards -> the documents that are kept, and their counts, without reading texts.

    pages ── drop older versions ──> digests ── drop copies of equal texts
          ──> weights ── sample each source to its weight ──> mask per shard, counts

Memory: about 100 bytes per document.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.data.documents import read_columns
from charlm.data.page_versions import find_newest_versions, find_repeated_pages
from charlm.data.staging import Shard
from charlm.text.document import PageCounts
from charlm.text.split import RepeatedPages, SplitCounts

_MIN_STUB_COPIES = 5  # this many texts that differ only in names and numbers count as near-identical

Mask = npt.NDArray[np.bool_]


@dataclass
class DocumentSelection:
    """The documents in the staged shards, in the order of the source, and the counts of those that are kept."""

    shards: list[Shard]
    kept: list[Mask]
    """Whether each row of each shard is kept."""
    sizes: list[npt.NDArray[np.int64]]
    """For each row of each shard, the number of characters of its whole document."""
    page_counts: PageCounts
    tallies: dict[str, SplitCounts]
    near_identical: int
    num_documents: int = 0
    num_characters: int = 0
    num_bytes: int = 0
    repeated_ids: frozenset[str] = frozenset()
    """Ids that more than one document has."""
    repeated_pages: RepeatedPages = field(default_factory=RepeatedPages)
    """The pages of which several versions are kept."""

    def read_ids(self) -> Iterator[str]:
        """Yield the id of each document that is kept, once for each of its rows."""
        for shard, mask in zip(self.shards, self.kept, strict=True):
            ids = read_columns(shard.path, ["id"])["id"].to_pylist()
            yield from (identifier for identifier, keep in zip(ids, mask, strict=True) if keep)

    def describe(self) -> dict[str, Any]:
        """Return the counts for corpus.json; pages = kept + the sum of the dropped ones over all reasons."""
        description: dict[str, Any] = {
            "pages": self.page_counts.pages,
            "kept": self.num_documents,
            "dropped": dict(sorted(self.page_counts.dropped.items())),
            "near_identical": self.near_identical,
        }
        cut = dict(sorted(self.page_counts.cut.items()))
        notes = self.page_counts.notes
        return description | ({"cut": cut} if cut else {}) | ({"notes": notes} if notes else {})


def select_documents(
    shards: list[Shard], split_specs: Sequence[str], weights: Mapping[str, float]
) -> DocumentSelection:
    """Choose the documents to keep: the newest version of each page, of equal texts the first, and so many of each
    source as its weight allows.

    Args:
        split_specs: splits to count documents for, for example "90/5/5".
        weights: prefix of the document ids of a source (before "/") -> its fraction of the characters; empty: keep all.
    """
    page_counts = PageCounts()
    for shard in shards:
        page_counts.add(shard.page_counts)
    assert shards, "a source has at least one task"
    columns = [read_columns(shard.path, ["digest", "skeleton", "ends", "characters"]) for shard in shards]
    rows = [len(column) for column in columns]
    ends = np.concatenate([column["ends"].to_numpy() for column in columns])
    document_of_row = np.cumsum(ends) - ends
    keep_document, page_keys = find_newest_versions(shards)
    _count_dropped(page_counts, "older version", keep_document)
    digests = np.concatenate([column["digest"].to_numpy() for column in columns])[ends]
    first_copies = _is_first_copy(digests, keep_document)
    _count_dropped(page_counts, "duplicate", first_copies[keep_document])
    keep_document = first_copies
    if weights:
        within_weights = _select_by_weight(shards, keep_document, document_of_row, weights)
        _count_dropped(page_counts, "weight", within_weights[keep_document])
        keep_document &= within_weights
    kept = keep_document[document_of_row]
    skeletons = np.concatenate([column["skeleton"].to_numpy() for column in columns])[kept]
    _, copies = np.unique(skeletons[skeletons != 0], return_counts=True)
    near_identical = int(copies[copies >= _MIN_STUB_COPIES].sum())
    characters = np.concatenate([column["characters"].to_numpy() for column in columns])
    sizes = np.bincount(document_of_row, weights=characters).astype(np.int64)[document_of_row]
    boundaries = np.cumsum(rows)[:-1]
    tallies = {spec: SplitCounts.of(spec) for spec in split_specs}
    selection = DocumentSelection(
        shards, np.split(kept, boundaries), np.split(sizes, boundaries), page_counts, tallies, near_identical
    )
    _sum_kept(selection)
    selection.repeated_pages = find_repeated_pages(page_keys[keep_document], sizes[ends][keep_document])
    return selection


def _count_dropped(page_counts: PageCounts, reason: str, kept: Mask) -> None:
    if dropped := int((~kept).sum()):
        page_counts.dropped[reason] += dropped


def _is_first_copy(digests: npt.NDArray[np.int64], candidates: Mask) -> Mask:
    """Mark the candidates whose text is not a copy of an earlier one."""
    is_first = np.zeros(len(digests), dtype=np.bool_)
    places = np.flatnonzero(candidates)
    is_first[places[np.unique(digests[places], return_index=True)[1]]] = True
    return is_first


def _select_by_weight(
    shards: list[Shard], keep_document: Mask, document_of_row: npt.NDArray[np.int64], weights: Mapping[str, float]
) -> Mask:
    """Mark a sample of documents, chosen by hash, in which each source has its weight and the scarcest is used up."""
    names = list(weights)
    source = np.zeros(len(keep_document), dtype=np.int16)
    order = np.zeros(len(keep_document), dtype=np.int64)
    sizes = np.zeros(len(keep_document), dtype=np.int64)
    row = 0
    for shard in shards:
        columns = read_columns(shard.path, ["id", "characters"]).to_pydict()
        for identifier, characters in zip(columns["id"], columns["characters"], strict=True):
            document = document_of_row[row]
            source[document] = names.index(identifier.partition("/")[0])
            order[document] = hash_id(identifier)
            sizes[document] += characters
            row += 1
    sizes[~keep_document] = 0
    totals = np.array([sizes[source == number].sum() for number in range(len(names))], dtype=np.float64)
    weights_S = np.array([weights[name] for name in names])
    targets = weights_S * min(totals / weights_S)
    kept = np.zeros(len(keep_document), dtype=np.bool_)
    for number, target in enumerate(targets):
        candidates = np.flatnonzero((source == number) & keep_document)
        candidates = candidates[np.argsort(order[candidates], kind="stable")]
        kept[candidates[np.cumsum(sizes[candidates]) <= target * (1 + 1e-12)]] = True
    return kept


def _sum_kept(selection: DocumentSelection) -> None:
    # of the ids of documents, in their last rows; 0 in other rows
    hashes = np.zeros(sum(int(mask.sum()) for mask in selection.kept), dtype=np.int64)
    row = 0
    for shard, mask in zip(selection.shards, selection.kept, strict=True):
        columns = read_columns(shard.path, ["id", "characters", "bytes", "ends"]).to_pydict()
        for identifier, characters, num_bytes, last, keep in zip(*columns.values(), mask, strict=True):
            if not keep:
                continue
            hashes[row] = hash_id(identifier) if last else 0
            row += 1
            selection.num_documents += last
            selection.num_characters += characters
            selection.num_bytes += num_bytes
            for tally in selection.tallies.values():
                tally.add(identifier, characters, is_last_piece=last)
    values, counts = np.unique(hashes[hashes != 0], return_counts=True)
    if repeated_hashes := set(values[counts > 1].tolist()):
        selection.repeated_ids = frozenset(
            identifier
            for shard in selection.shards
            for identifier in read_columns(shard.path, ["id"])["id"].to_pylist()
            if hash_id(identifier) in repeated_hashes
        )


def hash_id(identifier: str) -> int:
    """Return a 64-bit hash of a document's id."""
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest(), "big", signed=True)
