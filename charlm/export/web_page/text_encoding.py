"""Bytes as printable ASCII that can stand in a script element: 13 bits in two of 91 characters, 23 % more than bytes.

The digits are the characters from # to ~ without <, the only one that HTML reads in a script. Base64 would need 33 %.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_BASE = 91
_BITS = 13
_FIRST, _LEFT_OUT = ord("#"), ord("<")
_CHUNK = _BITS * 1 << 16
_LINE = 160
"""Characters of a line, since tools that show a file may be slow on a single long one."""


def encode_bytes(data: bytes) -> Iterator[str]:
    """Yield the text of `data` in lines. Its reader must know the number of bytes: the last bits are filled with 0."""
    for start in range(0, len(data), _CHUNK):
        digits = _to_digits(np.frombuffer(data[start : start + _CHUNK], dtype=np.uint8))
        text = (digits + _FIRST + (digits + _FIRST >= _LEFT_OUT)).astype(np.uint8).tobytes().decode("ascii")
        yield "".join(text[begin : begin + _LINE] + "\n" for begin in range(0, len(text), _LINE))


def encoded_size(num_bytes: int) -> int:
    """Return the number of characters of `encode_bytes`."""
    full, rest = divmod(num_bytes, _CHUNK)
    sizes = [*[_CHUNK] * full, rest] if rest else [_CHUNK] * full
    digits = [2 * -(-8 * size // _BITS) for size in sizes]
    return sum(count + -(-count // _LINE) for count in digits)


def _to_digits(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    bits = np.unpackbits(data)
    padded = np.append(bits, np.zeros(-len(bits) % _BITS, dtype=np.uint8)).reshape(-1, _BITS)
    numbers = padded.astype(np.int32) @ (1 << np.arange(_BITS - 1, -1, -1, dtype=np.int32))
    return np.stack(np.divmod(numbers, _BASE), axis=1).ravel()
