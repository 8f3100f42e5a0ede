"""Text -> ids by way of its units: what stands between two spaces is encoded once, and then looked up.

For vocabularies whose tokens never reach over a space: the ids of a text are those of its units, one after another.
"""

from array import array
from collections.abc import Callable, Iterable

import numpy as np

from charlm.vocab.base import IntArray

_LONGEST_UNIT = 64  # characters that are worth remembering
_MOST_UNITS = 1 << 18  # some 70 MB; then it starts afresh

_ID_TYPE = np.dtype(np.int32)


class UnitEncoder:
    """Remembers the ids of units; " word" is one, and so is what stands before the first space of a text."""

    def __init__(self, encode_units: Callable[[list[str]], list[bytes]]) -> None:
        """
        Args:
            encode_units: gives the ids of each unit as the bytes of 32-bit numbers (`packed`).
        """
        self._encode_units = encode_units
        self._known: dict[str, bytes] = {}
        """What follows a space -> the ids of both."""

    def encode(self, text: str) -> IntArray:
        first, *others = text.split(" ")
        if len(self._known) > _MOST_UNITS:
            self._known.clear()
        new = list(set(others).difference(self._known))
        found, *encoded = self._encode_units([first, *(" " + piece for piece in new)])
        self._known.update(zip(new, encoded, strict=True))
        ids = found + b"".join(map(self._known.__getitem__, others))
        for piece in new:
            if len(piece) > _LONGEST_UNIT:
                del self._known[piece]
        return np.frombuffer(ids, dtype=_ID_TYPE)


def packed(ids: Iterable[int]) -> bytes:
    return array("i", ids).tobytes()
