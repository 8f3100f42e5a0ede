"""A range coder of 64 bits: intervals of integer frequencies <-> bytes.

    (low, frequency) of each symbol, of a total of 2**24 ──encode──> the shortest code
    code ──RangeDecoder.step(frequencies)──> the symbols of the next step of all lanes, one after the other

Source: G. N. N. Martin, "Range encoding", 1979, with words of 32 bits. A number below 2**64 is the start of an interval
and another its length; each symbol narrows the interval to its part. While the length is below 2**32, the upper word of
the start is written. A later carry is added to what was written. The code ends with the fewest bytes that lie in the
interval if zeros follow. A decoder is two words ahead, so it reads at most 8 of these zeros.

The functions here are the reference; `range_coder.c` does the same to the bit. N: symbols; L: lanes; V: vocabulary.
"""

import ctypes
import functools
from pathlib import Path
from typing import Protocol

import numpy as np

from charlm.archives.predictor import TOTAL_BITS, SymbolArray, UInt32Array
from charlm.c_library import load_c_library

_SOURCE = Path(__file__).with_name("range_coder.c")
_FLAGS = ("-O3", "-fPIC", "-shared")
_MASK = (1 << 64) - 1
_MIN_RANGE = 1 << 32
_WORDS_AHEAD = 8
"""Bytes of two words."""


class RangeDecoder(Protocol):
    def step(self, frequencies_LV: UInt32Array) -> SymbolArray:
        """Return the next symbol of each lane, (L,), whose frequencies are given.

        Raises:
            ValueError: no code has these bytes, or they end too early.
        """
        ...

    @property
    def is_at_end(self) -> bool:
        """Whether all bytes of the code were read, as they are when its last symbol was decoded."""
        ...


def encode(low_N: UInt32Array, frequency_N: UInt32Array) -> bytes:
    """Return the code of symbols.

    Args:
        low_N: for each symbol the sum of the frequencies below it.
        frequency_N: its own frequency, at least 1; low + frequency is at most 2**24.
    """
    library = load_coder_library()
    if library is None:
        return encode_in_python(low_N, frequency_N)
    low_N, frequency_N = (np.ascontiguousarray(array, dtype=np.uint32) for array in (low_N, frequency_N))
    out = np.empty(4 * len(low_N) + 8, dtype=np.uint8)
    length = library.charlm_range_encode(low_N.ctypes.data, frequency_N.ctypes.data, len(low_N), out.ctypes.data)
    return out[:length].tobytes()


def open_decoder(code: bytes) -> RangeDecoder:
    """Return a decoder of `code`, which `encode` wrote; in C if it can be compiled."""
    library = load_coder_library()
    return PythonDecoder(code) if library is None else _CDecoder(code, library)


def encode_in_python(low_N: UInt32Array, frequency_N: UInt32Array) -> bytes:
    """Do what `encode` does, without a compiler."""
    code = bytearray()
    start, length = 0, _MASK
    for low, frequency in zip(low_N.tolist(), frequency_N.tolist(), strict=True):
        scale = length >> TOTAL_BITS
        start += scale * low
        length = scale * frequency
        if start > _MASK:
            _carry(code)
            start &= _MASK
        if length < _MIN_RANGE:
            code += (start >> 32).to_bytes(4, "big")
            start = start << 32 & _MASK
            length <<= 32
    for num_bytes in range(9):
        unit = 1 << (64 - 8 * num_bytes)
        rounded_up = -(-start // unit) * unit
        if rounded_up < start + length:
            if rounded_up > _MASK:
                _carry(code)
            code += (rounded_up & _MASK).to_bytes(8, "big")[:num_bytes]
            break
    return bytes(code)


def _carry(code: bytearray) -> None:
    """Add 1 to the number that the bytes are."""
    position = len(code) - 1
    while code[position] == 0xFF:
        code[position] = 0
        position -= 1
    code[position] += 1


class PythonDecoder:
    """Decodes without a compiler."""

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._position = _WORDS_AHEAD
        self._offset = int.from_bytes(code[:8].ljust(8, b"\0"), "big")
        self._length = _MASK

    def step(self, frequencies_LV: UInt32Array) -> SymbolArray:
        ends_LV = frequencies_LV.cumsum(axis=1, dtype=np.int64)
        symbols_L = np.empty(len(frequencies_LV), dtype=np.int64)
        for lane, (frequency_V, end_V) in enumerate(zip(frequencies_LV, ends_LV, strict=True)):
            scale = self._length >> TOTAL_BITS
            symbol = int(np.searchsorted(end_V, self._offset // scale, side="right"))
            if symbol == len(end_V):
                raise ValueError("no code has these bytes")
            frequency = int(frequency_V[symbol])
            self._offset -= scale * (int(end_V[symbol]) - frequency)
            self._length = scale * frequency
            if self._length < _MIN_RANGE:
                word = self._code[self._position : self._position + 4].ljust(4, b"\0")
                self._position += 4
                self._offset = self._offset << 32 | int.from_bytes(word, "big")
                self._length <<= 32
                if self._position > len(self._code) + _WORDS_AHEAD:
                    raise ValueError("the code ends too early")
            symbols_L[lane] = symbol
        return symbols_L

    @property
    def is_at_end(self) -> bool:
        return self._position >= len(self._code)


class _DecoderState(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("range", ctypes.c_uint64), ("position", ctypes.c_uint64))


class _CDecoder:
    """Decodes with the functions in C."""

    def __init__(self, code: bytes, library: ctypes.CDLL) -> None:
        self._code = np.frombuffer(code, dtype=np.uint8)
        self._library = library
        self._state = _DecoderState()
        library.charlm_range_start(ctypes.byref(self._state), self._code.ctypes.data, len(code))

    def step(self, frequencies_LV: UInt32Array) -> SymbolArray:
        frequencies_LV = np.ascontiguousarray(frequencies_LV, dtype=np.uint32)
        lanes, vocab_size = frequencies_LV.shape
        symbols_L = np.empty(lanes, dtype=np.int64)
        decoded = self._library.charlm_range_decode_step(
            ctypes.byref(self._state),
            self._code.ctypes.data,
            len(self._code),
            frequencies_LV.ctypes.data,
            lanes,
            vocab_size,
            symbols_L.ctypes.data,
        )
        if decoded != lanes:
            raise ValueError("no code has these bytes")
        return symbols_L

    @property
    def is_at_end(self) -> bool:
        return self._state.position >= len(self._code)


@functools.cache
def load_coder_library() -> ctypes.CDLL | None:
    """Return the functions in C, or None if they cannot be compiled or CHARLM_COMPILE is 0."""
    library = load_c_library([_SOURCE], _FLAGS)
    if library is None:
        return None
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.charlm_range_encode.argtypes = [pointer, pointer, size, pointer]
    library.charlm_range_encode.restype = size
    library.charlm_range_start.argtypes = [pointer, pointer, ctypes.c_uint64]
    library.charlm_range_start.restype = None
    library.charlm_range_decode_step.argtypes = [
        *(pointer, pointer, ctypes.c_uint64),
        *(pointer, size, size, pointer),
    ]
    library.charlm_range_decode_step.restype = size
    return library
