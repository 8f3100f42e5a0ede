"""States after prompts, so that a prompt that begins with one that was read needs only its rest.

    ids ──find──> the longest kept beginning ──read the rest──> state ──keep──> the least recently used go first

A state is found by a digest of the ids before it. It has pages of memory of its own. Among the large blocks of a
network, which come and go, small ones that stay would keep the holes between them from being used again: a server grew
by 5 MB for each state of 20 kB.
"""

import hashlib
import math
import mmap
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from charlm.sampling.prime import PrimedState
from charlm.serving.text_starts import TextStart
from charlm.vocab.base import IntArray

_OVERHEAD_BYTES = 1024  # of an entry beside its numbers: keys, tensor headers
_ALIGNMENT = 64  # bytes
_Start = tuple[int, int]
"""The model, and the number of the start."""
_Key = tuple[_Start, int, bytes]
"""The start, the number of ids, and their digest."""


class KeptState:
    """A model after the first ids of a prompt."""

    def __init__(self, num_ids: int, primed: PrimedState) -> None:
        self.num_ids = num_ids
        tensors = [tensor.cpu() for tensor in (primed.logits_1V, *primed.state)]
        self._device = primed.logits_1V.device
        self._kinds = [(tensor.dtype, tensor.shape) for tensor in tensors]
        self._pages = mmap.mmap(-1, _num_bytes(tensors))
        for tensor, place in zip(tensors, self._places(), strict=True):
            place.copy_(tensor)

    @property
    def primed(self) -> PrimedState:
        """A copy of the logits and the state."""
        logits_1V, *state = (place.to(self._device, copy=True) for place in self._places())
        return PrimedState(logits_1V, tuple(state))

    @property
    def num_bytes(self) -> int:
        return len(self._pages) + _OVERHEAD_BYTES

    def _places(self) -> Iterator[Tensor]:
        """Yield the tensors in the pages. They are made anew, as the descriptions of tensors are small blocks too."""
        offset = 0
        for dtype, shape in self._kinds:
            count = math.prod(shape)
            flat = (
                torch.frombuffer(self._pages, dtype=dtype, count=count, offset=offset)
                if count
                else torch.empty(0, dtype=dtype)
            )
            yield flat.view(shape)
            offset += _round_up(count * dtype.itemsize, _ALIGNMENT)


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
        if _num_bytes((primed.logits_1V, *primed.state)) + _OVERHEAD_BYTES > self._max_bytes:
            return
        entry = KeptState(len(ids), primed)
        self._entries[key] = entry
        self._lengths[_id(start)][len(ids)] += 1
        self.num_bytes += entry.num_bytes
        while self.num_bytes > self._max_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        (start, length, _), entry = self._entries.popitem(last=False)
        self.num_bytes -= entry.num_bytes
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


def _num_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of whole pages that hold the tensors."""
    return _round_up(max(1, sum(_round_up(tensor.nbytes, _ALIGNMENT) for tensor in tensors)), mmap.PAGESIZE)


def _round_up(num_bytes: int, multiple: int) -> int:
    return -(-num_bytes // multiple) * multiple
