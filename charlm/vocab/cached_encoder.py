"""Text -> ids segment by segment: each different segment is encoded once, then looked up in a cache.

    "the cat sat the cat" ──cut before spaces──> "the", " cat", " sat", " the", " cat" ──cache──> ids, concatenated

This works for vocabularies in which a space can only begin a token.
"""

from array import array
from collections.abc import Callable, Iterable

import numpy as np

from charlm.vocab.base import IntArray

_MAX_CACHED_LENGTH = 64  # characters; longer segments rarely repeat
_MAX_CACHED_SEGMENTS = 1 << 18  # about 70 MB; then the cache is cleared

_ID_TYPE = np.dtype(np.int32)


class SegmentEncoder:
    """Encodes text and caches the ids of its segments: the text before the first space, then each " word"."""

    def __init__(self, encode_segments: Callable[[list[str]], list[bytes]]) -> None:
        """
        Args:
            encode_segments: returns the ids of each segment, packed by `pack_ids`.
        """
        self._encode_segments = encode_segments
        self._cache: dict[str, bytes] = {}
        """Text after a space -> the packed ids of the space and that text."""

    def encode(self, text: str) -> IntArray:
        first, *others = text.split(" ")
        if len(self._cache) > _MAX_CACHED_SEGMENTS:
            self._cache.clear()
        new = list(set(others).difference(self._cache))
        found, *encoded = self._encode_segments([first, *(" " + piece for piece in new)])
        self._cache.update(zip(new, encoded, strict=True))
        ids = found + b"".join(map(self._cache.__getitem__, others))
        for piece in new:
            if len(piece) > _MAX_CACHED_LENGTH:
                del self._cache[piece]
        return np.frombuffer(ids, dtype=_ID_TYPE)


def pack_ids(ids: Iterable[int]) -> bytes:
    """Return ids as the bytes of native 32-bit integers."""
    return array("i", ids).tobytes()
