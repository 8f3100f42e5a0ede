"""Versions of wiki pages in the staged shards -> which of them are the newest, and which pages have several.

    page_key of all documents ── those that occur twice, or in dropped pages ──> revisions ──> the newest of each page
                               └─ without those that one shard gives to pages with different titles

Memory: 16 bytes per document, and 16 for each page that has several versions.
"""

from array import array
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from charlm.data.documents import read_columns
from charlm.data.staging import Shard
from charlm.text.document import PageVersion
from charlm.text.split import RepeatedPages

Keys = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def find_newest_versions(shards: Sequence[Shard]) -> tuple[Mask, Keys]:
    """Return for each document whether no shard has a newer version of its page, and the key of its page.

    Documents whose page or revision is unknown are newest. The key is 0 if it is unknown or not to be trusted: in a
    dump that was written by hand, pages with different titles may have one id.
    """
    keys = np.concatenate([_read_versions(shard)[:, 0].copy() for shard in shards])
    is_newest = np.ones(len(keys), dtype=np.bool_)
    known = np.sort(keys)
    dropped = [found[_contains(known, found[:, 0])] for found in (shard.read_dropped_versions() for shard in shards)]
    pages = np.union1d(_find_repeated(known), np.concatenate(dropped)[:, 0])
    del known
    if not len(pages):
        return is_newest, keys

    def versions() -> Iterator[npt.NDArray[np.int64]]:
        """Yield the versions of these pages in each shard, kept and dropped."""
        for shard, others in zip(shards, dropped, strict=True):
            found = np.concatenate([_read_versions(shard), others])
            yield found[_contains(pages, found[:, 0])]

    not_trusted = np.unique(np.concatenate([_find_ambiguous(found) for found in versions()]))
    keys[_contains(not_trusted, keys)] = 0
    pages = pages[~_contains(not_trusted, pages)]
    newest = np.zeros(len(pages), dtype=np.int64)
    for found in versions():
        np.maximum.at(newest, np.searchsorted(pages, found[:, 0]), found[:, 1])
    start = 0
    for shard in shards:
        found = _read_versions(shard)
        is_version = _contains(pages, found[:, 0]) & (found[:, 1] > 0)
        is_newest[start : start + len(found)][is_version] = (
            found[is_version, 1] == newest[np.searchsorted(pages, found[is_version, 0])]
        )
        start += len(found)
    return is_newest, keys


def find_repeated_pages(keys: Keys, num_characters: npt.NDArray[np.int64]) -> RepeatedPages:
    """Return the pages that several documents have.

    Args:
        keys, num_characters: of each document.
    """
    pages = _find_repeated(np.sort(keys))
    is_version = _contains(pages, keys)
    places = np.searchsorted(pages, keys[is_version])
    sizes = np.bincount(places, weights=num_characters[is_version], minlength=len(pages)).astype(np.int64)
    return RepeatedPages(array("q", pages.tobytes()), array("q", sizes.tobytes()))


def _read_versions(shard: Shard) -> npt.NDArray[np.int64]:
    """Return the versions in a shard, (num_documents, 3): the fields of `PageVersion`."""
    table = read_columns(shard.path, ["ends", *PageVersion._fields])
    return np.stack([table[name].to_numpy() for name in PageVersion._fields], axis=1)[table["ends"].to_numpy()]


def _find_repeated(sorted_keys: Keys) -> Keys:
    """Return the keys, but 0, that occur several times, each once."""
    repeated = np.unique(sorted_keys[1:][sorted_keys[1:] == sorted_keys[:-1]])
    return repeated[repeated != 0]


def _find_ambiguous(versions: npt.NDArray[np.int64]) -> Keys:
    """Return the keys of pages that have several titles; those of unknown title do not count."""
    titles = np.unique(versions[versions[:, 2] != 0][:, [0, 2]], axis=0)
    return _find_repeated(titles[:, 0])


def _contains(sorted_keys: Keys, keys: Keys) -> Mask:
    """Mark the keys that are among the sorted ones."""
    if not len(sorted_keys):
        return np.zeros(len(keys), dtype=np.bool_)
    return sorted_keys[np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)] == keys
