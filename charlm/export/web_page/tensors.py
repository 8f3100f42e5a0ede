"""Arrays in one block of bytes, with an index that says where each begins: what page/tensors.js reads.

    float32 or float16 (where that loses nothing)    8-bit matrices, four rows side by side    streams of whole numbers

G rows, K columns.
"""

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

_ALIGNMENT = 4
_ROWS_TOGETHER = 8
"""Matrices are filled up with rows of zeros to a multiple of this, which the loop of page/products.js takes at once."""
_ROWS_IN_A_WORD = 4


class TensorBlock:
    """Collects arrays. `index` is JSON: name -> type, first byte, number of elements."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.index: dict[str, dict[str, Any]] = {}

    def add_floats(self, name: str, values: Tensor | npt.NDArray[Any]) -> str:
        """Add numbers as float16 if that loses nothing, else as float32. Return the name."""
        floats = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float32).ravel()
        with np.errstate(over="ignore"):
            halves = floats.astype(np.float16)
        if np.array_equal(halves.astype(np.float32), floats):
            return self._add(name, "f16", halves.tobytes(), floats.size)
        return self._add(name, "f32", floats.tobytes(), floats.size)

    def add_int8_matrix(self, name: str, matrix_GK: Tensor) -> str:
        """Add an 8-bit matrix in words of four rows, so that one read of a word gives the entries of four rows."""
        rows_GK = np.asarray(matrix_GK.cpu(), dtype=np.int8)
        padded = np.pad(rows_GK, ((0, -len(rows_GK) % _ROWS_TOGETHER), (0, 0)))
        words = padded.reshape(-1, _ROWS_IN_A_WORD, padded.shape[1]).transpose(0, 2, 1)
        return self._add(name, "i8x4", np.ascontiguousarray(words).tobytes(), padded.size // _ROWS_IN_A_WORD)

    def add_int8(self, name: str, values: Tensor) -> str:
        """Add 8-bit numbers in their order."""
        return self._add(name, "i8", np.asarray(values.cpu(), dtype=np.int8).tobytes(), values.numel())

    def add_whole_numbers(self, name: str, values: npt.NDArray[np.integer[Any]]) -> str:
        """Add numbers from 0 on in as few bytes as each needs: 7 bits in a byte, the lowest first (LEB128)."""
        return self._add(name, "leb128", encode_whole_numbers(values), len(values))

    def compress(self) -> bytes:
        """Return all arrays, compressed. Level 9 of zlib would take minutes for n-grams, and gain next to nothing."""
        return zlib.compress(b"".join(self._parts), 6)

    def _add(self, name: str, kind: str, data: bytes, size: int) -> str:
        assert name not in self.index
        self.index[name] = {"type": kind, "start": self._size, "bytes": len(data), "size": size}
        padded = data + bytes(-len(data) % _ALIGNMENT)
        self._parts.append(padded)
        self._size += len(padded)
        return name


def encode_whole_numbers(values: npt.NDArray[np.integer[Any]]) -> bytes:
    """Return numbers from 0 on as LEB128."""
    numbers = values.astype(np.uint64)
    num_groups = 1
    while numbers.size and int(numbers.max()) >> (7 * num_groups):
        num_groups += 1
    groups = (numbers[:, None] >> (np.arange(num_groups, dtype=np.uint64) * np.uint64(7))) & np.uint64(0x7F)
    is_used = np.ones((len(numbers), num_groups), dtype=np.bool_)
    for group in range(1, num_groups):
        is_used[:, group] = numbers >> np.uint64(7 * group) > 0
    goes_on = np.zeros_like(is_used)
    goes_on[:, :-1] = is_used[:, 1:]
    return (groups | (goes_on.astype(np.uint64) << np.uint64(7))).astype(np.uint8)[is_used].tobytes()
