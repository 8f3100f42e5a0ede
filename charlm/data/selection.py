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
from charlm.text.document import Census
from charlm.text.split import Tally

_STUB_COPIES = 5  # texts that differ only in names and numbers, from which on they count as near-identical

Mask = npt.NDArray[np.bool_]


@dataclass
class Survey:
    """All documents on disk, in the source's order, and what those that are kept amount to."""

    shards: list[Shard]
    kept: list[Mask]
    """Per shard, per row."""
    sizes: list[npt.NDArray[np.int64]]
    """Per shard, per row: the characters of the document that the row belongs to."""
    census: Census
    tallies: dict[str, Tally]
    near_identical: int
    documents: int = 0
    characters: int = 0
    bytes: int = 0
    repeated: frozenset[str] = frozenset()
    """Ids that several documents have."""

    def describe(self) -> dict[str, Any]:
        """For corpus.json: pages = kept + the sum of what was dropped, by reason."""
        description: dict[str, Any] = {
            "pages": self.census.pages,
            "kept": self.documents,
            "dropped": dict(sorted(self.census.dropped.items())),
            "near_identical": self.near_identical,
        }
        return description | ({"notes": self.census.notes} if self.census.notes else {})


def survey(shards: list[Shard], specs: Sequence[str], weights: Mapping[str, float]) -> Survey:
    """
    Args:
        specs: the splits to tally, such as "90/5/5".
        weights: what stands before the "/" in a document's id -> its source's share of the characters; empty: keep all.
    """
    census = Census()
    for shard in shards:
        census.add(shard.census)
    assert shards, "a source has at least one task"
    columns = [read_columns(shard.path, ["digest", "skeleton", "ends", "characters"]) for shard in shards]
    rows = [len(column) for column in columns]
    ends = np.concatenate([column["ends"].to_numpy() for column in columns])
    document_of_row = np.cumsum(ends) - ends
    first = _first_of_each(np.concatenate([column["digest"].to_numpy() for column in columns])[ends])
    _count(census, "duplicate", first)
    if weights:
        shares = _within_weights(shards, first, document_of_row, weights)
        _count(census, "weight", shares[first])
        first &= shares
    kept = first[document_of_row]
    skeletons = np.concatenate([column["skeleton"].to_numpy() for column in columns])[kept]
    _, copies = np.unique(skeletons[skeletons != 0], return_counts=True)
    near_identical = int(copies[copies >= _STUB_COPIES].sum())
    characters = np.concatenate([column["characters"].to_numpy() for column in columns])
    sizes = np.bincount(document_of_row, weights=characters).astype(np.int64)[document_of_row]
    borders = np.cumsum(rows)[:-1]
    tallies = {spec: Tally.of(spec) for spec in specs}
    found = Survey(shards, np.split(kept, borders), np.split(sizes, borders), census, tallies, near_identical)
    _add_up(found)
    return found


def _count(census: Census, reason: str, kept: Mask) -> None:
    if dropped := int((~kept).sum()):
        census.dropped[reason] += dropped


def _first_of_each(digests: npt.NDArray[np.int64]) -> Mask:
    """The documents whose text did not stand before."""
    first = np.zeros(len(digests), dtype=np.bool_)
    first[np.unique(digests, return_index=True)[1]] = True
    return first


def _within_weights(
    shards: list[Shard], first: Mask, document_of_row: npt.NDArray[np.int64], weights: Mapping[str, float]
) -> Mask:
    """Which documents to keep so that every source gives its share: as much as the scarcest allows, chosen by hash."""
    names = list(weights)
    source = np.zeros(len(first), dtype=np.int16)
    order = np.zeros(len(first), dtype=np.int64)
    sizes = np.zeros(len(first), dtype=np.int64)
    row = 0
    for shard in shards:
        columns = read_columns(shard.path, ["id", "characters"]).to_pydict()
        for identifier, characters in zip(columns["id"], columns["characters"], strict=True):
            document = document_of_row[row]
            source[document] = names.index(identifier.partition("/")[0])
            order[document] = hash_of(identifier)
            sizes[document] += characters
            row += 1
    sizes[~first] = 0
    totals = np.array([sizes[source == number].sum() for number in range(len(names))], dtype=np.float64)
    shares = np.array([weights[name] for name in names])
    targets = shares * min(totals / shares)
    kept = np.zeros(len(first), dtype=np.bool_)
    for number, target in enumerate(targets):
        candidates = np.flatnonzero((source == number) & first)
        candidates = candidates[np.argsort(order[candidates], kind="stable")]
        kept[candidates[np.cumsum(sizes[candidates]) <= target * (1 + 1e-12)]] = True
    return kept


def _add_up(found: Survey) -> None:
    hashes = np.zeros(sum(int(mask.sum()) for mask in found.kept), dtype=np.int64)  # of ids; 0 where a text goes on
    row = 0
    for shard, mask in zip(found.shards, found.kept, strict=True):
        columns = read_columns(shard.path, ["id", "characters", "bytes", "ends"]).to_pydict()
        for identifier, characters, num_bytes, last, keep in zip(*columns.values(), mask, strict=True):
            if not keep:
                continue
            hashes[row] = hash_of(identifier) if last else 0
            row += 1
            found.documents += last
            found.characters += characters
            found.bytes += num_bytes
            for tally in found.tallies.values():
                tally.add(identifier, characters, ends=last)
    values, counts = np.unique(hashes[hashes != 0], return_counts=True)
    if several := set(values[counts > 1].tolist()):
        found.repeated = frozenset(
            identifier
            for shard in found.shards
            for identifier in read_columns(shard.path, ["id"])["id"].to_pylist()
            if hash_of(identifier) in several
        )


def hash_of(identifier: str) -> int:
    """64 bits of a document's id."""
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest(), "big", signed=True)
