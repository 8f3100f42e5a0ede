"""Arrays on disk, in format 1.0 of NumPy: written block by block, mapped without trust in what their header says."""

import tokenize
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from charlm import storage
from charlm.errors import DataError

_HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


class ArrayWriter:
    """Writes an array of one axis block by block; the file appears when it is complete."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._path = path
        self._dtype = dtype
        self._file_stack = ExitStack()
        self.size = 0

    def __enter__(self) -> Self:
        self._file = self._file_stack.enter_context(storage.atomic_file(self._path))
        self._file.write(b"\0" * _HEADER_BYTES)
        return self

    def append(self, block: npt.NDArray[Any]) -> None:
        assert block.dtype == self._dtype
        self._file.write(np.ascontiguousarray(block).data)
        self.size += len(block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file_stack:  # after an error no file appears
            if error is not None:
                raise error
            self._file.seek(0)
            self._file.write(_header(self._dtype, self.size))


def _header(id_dtype: np.dtype[Any], size: int) -> bytes:
    """Return a .npy header (version 1.0) of fixed length, which can be written after the data."""
    fields = f"{{'descr': '{np.lib.format.dtype_to_descr(id_dtype)}', 'fortran_order': False, 'shape': ({size},), }}"
    body = fields.encode("latin-1").ljust(_HEADER_BYTES - 11) + b"\n"
    return _MAGIC + len(body).to_bytes(2, "little") + body


def open_memmap(path: Path) -> npt.NDArray[Any]:
    """Map an array; `np.load` would also open pickles and archives, and allocate any size that a header gives."""
    try:
        with open(path, "rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:  # later versions have headers of unlimited length
                raise ValueError("not an array in format 1.0 of NumPy")
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", "prepare the corpus again") from error
    except (ValueError, TypeError, EOFError, OverflowError, SyntaxError, tokenize.TokenError) as error:
        raise DataError(f"{path} is damaged: {error}", "prepare the corpus again") from error
