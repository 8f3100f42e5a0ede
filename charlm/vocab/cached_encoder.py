"""Text -> ids by way of its units: what stands between two spaces is encoded once, and then looked up.

For vocabularies whose tokens never reach over a space: the ids of a text are those of its units, one after another.
"""

from array import array
from collections.abc import Callable, Iterable

import numpy as np

from charlm.vocab.base import IntArray

_MAX_CACHED_LENGTH = 64  # characters that are worth remembering
_MAX_CACHED_SEGMENTS = 1 << 18  # some 70 MB; then it starts afresh

_ID_TYPE = np.dtype(np.int32)


class SegmentEncoder:
    """Remembers the ids of units; " word" is one, and so is what stands before the first space of a text."""

    def __init__(self, encode_segments: Callable[[list[str]], list[bytes]]) -> None:
        """
        Args:
            encode_segments: gives the ids of each unit as the bytes of 32-bit numbers (`pack_ids`).
        """
        self._encode_segments = encode_segments
        self._cache: dict[str, bytes] = {}
        """What follows a space -> the ids of both."""

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
    return array("i", ids).tobytes()
