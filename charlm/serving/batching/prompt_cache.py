"""States after prompts, so that a prompt that begins with one that was read needs only its rest.

    ids ──find──> the longest kept beginning ──read the rest──> state ──keep──> the least recently used go first

A state is found by a digest of the ids before it.
"""

import hashlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from charlm.sampling.prime import PrimedState
from charlm.serving.text_starts import TextStart
from charlm.vocab.base import IntArray

_OVERHEAD_BYTES = 1024  # of an entry beside its numbers: keys, tensor headers
_Start = tuple[int, int]
"""The model, and the number of the start."""
_Key = tuple[_Start, int, bytes]
"""The start, the number of ids, and their digest."""


@dataclass(frozen=True)
class KeptState:
    """A model after the first ids of a prompt."""

    num_ids: int
    primed: PrimedState


class PromptCache:
    """Keeps states within a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[_Key, KeptState] = OrderedDict()
        self._lengths: defaultdict[_Start, Counter[int]] = defaultdict(Counter)
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, start: TextStart, ids: IntArray, is_usable: Callable[[int], bool]) -> KeptState | None:
        """Return the state after the longest beginning of the ids that is kept.

        Args:
            is_usable: whether a state after so many ids may be used.
        """
        lengths = sorted(length for length in self._lengths[_id(start)] if length <= len(ids) and is_usable(length))
        found = [key for key in _keys(start, ids, lengths) if key in self._entries]
        if not found:
            return None
        self._entries.move_to_end(found[-1])
        return self._entries[found[-1]]

    def keep(self, start: TextStart, ids: IntArray, primed: PrimedState) -> None:
        """Keep the state after all ids; forget others if there is no room for all."""
        (key,) = _keys(start, ids, [len(ids)])
        if key in self._entries:
            self._entries.move_to_end(key)
            return
        entry = KeptState(len(ids), primed)
        if _size(entry) > self._max_bytes:
            return
        self._entries[key] = entry
        self._lengths[_id(start)][len(ids)] += 1
        self.num_bytes += _size(entry)
        while self.num_bytes > self._max_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        (start, length, _), entry = self._entries.popitem(last=False)
        self.num_bytes -= _size(entry)
        lengths = self._lengths[start]
        lengths[length] -= 1
        if not lengths[length]:
            del lengths[length]


def _keys(start: TextStart, ids: IntArray, lengths: Iterable[int]) -> Iterator[_Key]:
    """Yield the keys of some beginnings of the ids, the shortest first; each id is hashed once."""
    digest, begin = hashlib.blake2b(digest_size=16), 0
    for length in lengths:
        digest.update(np.ascontiguousarray(ids[begin:length], dtype=np.int64).tobytes())
        begin = length
        yield _id(start), length, digest.copy().digest()


def _id(start: TextStart) -> _Start:
    return id(start.model), start.number


def _size(entry: KeptState) -> int:
    tensors = (entry.primed.logits_1V, *entry.primed.state)
    return sum(tensor.nbytes for tensor in tensors) + _OVERHEAD_BYTES
