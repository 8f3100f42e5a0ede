"""Matrices and tables of an integer model in the order in which the C code reads them.

G gates, K columns of a matrix.
"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.layout import Array

_ROW_TILE = 64


def pair_entries(table: Array, middle: int) -> npt.NDArray[np.uint32]:
    """Return each entry of a table, less `middle`, in the lower 16 bits of a number, and the next one in the upper."""
    shifted = (table - middle).astype(np.int16).view(np.uint16).astype(np.uint32)
    following = np.append(shifted[1:], shifted[-1:])
    return (following << 16 | shifted).astype(np.uint32)


def pack(matrix_GK: npt.NDArray[np.int8], path: str) -> tuple[npt.NDArray[Any], int]:
    """Return a matrix in the order in which a path reads it, and its columns with padding.

    plain: as it is. avx2: pairs of columns in 16 bits, 16 rows side by side. vnni: four columns in bytes, 128 added, 64
    rows side by side.
    """
    rows, columns = (-(-size // tile) * tile for size, tile in zip(matrix_GK.shape, (_ROW_TILE, 4), strict=True))
    padded = np.zeros((rows, columns), dtype=np.int8)
    padded[: matrix_GK.shape[0], : matrix_GK.shape[1]] = matrix_GK
    if path == "plain":
        return padded, columns
    row_tile, group, shifted = (16, 2, padded.astype(np.int16)) if path == "avx2" else (64, 4, padded + np.int16(128))
    packed = shifted.reshape(rows // row_tile, row_tile, columns // group, group).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(packed, dtype=cast("npt.DTypeLike", np.int16 if path == "avx2" else np.uint8)), columns
