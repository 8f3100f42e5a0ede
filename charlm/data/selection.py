"""Staged shards -> which of their documents are kept, and what these amount to, in one pass over a few columns.

    digests ── equal texts: the first is kept ──> weights ── a source gives its share ──> mask per shard, tallies, sizes

Nothing here reads a text. Memory: some 50 bytes a document.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.data.documents import read_columns
from charlm.data.staging import Shard
from charlm.text.document import PageCounts
from charlm.text.split import SplitCounts

_MIN_STUB_COPIES = 5  # texts that differ only in names and numbers, from which on they count as near-identical

Mask = npt.NDArray[np.bool_]


@dataclass
class DocumentSelection:
    """All documents on disk, in the source's order, and what those that are kept amount to."""

    shards: list[Shard]
    kept: list[Mask]
    """Per shard, per row."""
    sizes: list[npt.NDArray[np.int64]]
    """Per shard, per row: the characters of the document that the row belongs to."""
    page_counts: PageCounts
    tallies: dict[str, SplitCounts]
    near_identical: int
    num_documents: int = 0
    num_characters: int = 0
    num_bytes: int = 0
    repeated_ids: frozenset[str] = frozenset()
    """Ids that several documents have."""

    def describe(self) -> dict[str, Any]:
        """For corpus.json: pages = kept + the sum of what was dropped, by reason."""
        description: dict[str, Any] = {
            "pages": self.page_counts.pages,
            "kept": self.num_documents,
            "dropped": dict(sorted(self.page_counts.dropped.items())),
            "near_identical": self.near_identical,
        }
        return description | ({"notes": self.page_counts.notes} if self.page_counts.notes else {})


def select_documents(
    shards: list[Shard], split_specs: Sequence[str], weights: Mapping[str, float]
) -> DocumentSelection:
    """
    Args:
        split_specs: the splits to tally, such as "90/5/5".
        weights: what stands before the "/" in a document's id -> its source's share of the characters; empty: keep all.
    """
    page_counts = PageCounts()
    for shard in shards:
        page_counts.add(shard.page_counts)
    assert shards, "a source has at least one task"
    columns = [read_columns(shard.path, ["digest", "skeleton", "ends", "characters"]) for shard in shards]
    rows = [len(column) for column in columns]
    ends = np.concatenate([column["ends"].to_numpy() for column in columns])
    document_of_row = np.cumsum(ends) - ends
    keep_document = _is_first_copy(np.concatenate([column["digest"].to_numpy() for column in columns])[ends])
    _count_dropped(page_counts, "duplicate", keep_document)
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
    return selection


def _count_dropped(page_counts: PageCounts, reason: str, kept: Mask) -> None:
    if dropped := int((~kept).sum()):
        page_counts.dropped[reason] += dropped


def _is_first_copy(digests: npt.NDArray[np.int64]) -> Mask:
    """The documents whose text did not stand before."""
    keep_document = np.zeros(len(digests), dtype=np.bool_)
    keep_document[np.unique(digests, return_index=True)[1]] = True
    return keep_document


def _select_by_weight(
    shards: list[Shard], keep_document: Mask, document_of_row: npt.NDArray[np.int64], weights: Mapping[str, float]
) -> Mask:
    """Which documents to keep so that every source gives its share: as much as the scarcest allows, chosen by hash."""
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
    hashes = np.zeros(sum(int(mask.sum()) for mask in selection.kept), dtype=np.int64)  # of ids; 0 where a text goes on
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
    """64 bits of a document's id."""
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest(), "big", signed=True)
