"""Matrices, norms and tables of a network in whole numbers, from floats.

    W (G, K) in floats, scale of the source ──> 8 bits for each weight, a multiplier for each row, one shift
    gains, biases, epsilon                  ──> 16 bits after the point

G gates, K columns of a matrix, V vocabulary, D inputs, R rows of a table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.bounds import largest_summand
from charlm.archives.integer_model.description import GroupDescription, ProductDescription
from charlm.archives.integer_model.fixed_point import GATE_BITS, MAX_NARROW, MAX_WIDE
from charlm.archives.integer_model.layout import Array

Floats = npt.NDArray[np.float64]
_MULTIPLIER_BITS = 23
_MAX_SHIFT = 61
_MAX_SUM_BITS = 20
"""Bits after the point of a product that is normalised, at most."""
_MIN_SUM_BITS = 6


@dataclass(frozen=True)
class FloatProduct:
    """A matrix, and the source that it multiplies: whole numbers times `scale`, of at most `largest`."""

    source: int
    weight_GK: Floats
    scale: float
    largest: int


@dataclass(frozen=True)
class Norm:
    """Layer norms side by side, over `sizes` rows each."""

    sizes: tuple[int, ...]
    gain_G: Floats
    epsilon: float


def quantize_group(
    arrays: dict[str, Array], name: str, products: Sequence[FloatProduct], norm: Norm | None, unit: float = 1.0
) -> GroupDescription:
    """Add the arrays of a group of products, and describe it.

    Args:
        unit: the products are multiplied by it.

    Raises:
        ValueError: weights so large that no shift fits.
    """
    rounded = [_round_rows(product.weight_GK) for product in products]
    row_scales = [scale_G * product.scale * unit for product, (_, scale_G) in zip(products, rounded, strict=True)]
    bits = GATE_BITS if norm is None else _sum_bits(products, rounded, row_scales, max(norm.sizes))
    described: list[ProductDescription] = []
    for k, (product, (matrix_GK, _), scale_G) in enumerate(zip(products, rounded, row_scales, strict=True)):
        multiplier_G, shift = _multipliers(scale_G * 2.0**bits)
        arrays[f"{name}.{k}.matrix"] = matrix_GK
        arrays[f"{name}.{k}.multiplier"] = multiplier_G
        described.append(ProductDescription(source=product.source, shift=shift))
    if norm is None:
        return GroupDescription(products=tuple(described))
    arrays[f"{name}.gain"] = to_gate_bits(norm.gain_G)
    epsilon = max(1, round(norm.epsilon * 4.0**bits))
    return GroupDescription(products=tuple(described), norm_sizes=norm.sizes, epsilon=epsilon)


def to_gate_bits(values: Floats) -> npt.NDArray[np.int32]:
    """Return whole numbers with 16 bits after the point.

    Raises:
        ValueError: a value of 8,192 or more.
    """
    if np.abs(values).max(initial=0) >= 1 << 13:
        raise ValueError("a gain or a bias is too large")
    return np.rint(values * (1 << GATE_BITS)).astype(np.int32)


def quantize_embedding(
    tokens_VD: Floats, context: Sequence[Floats]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16] | None, float]:
    """Return the vectors of tokens and of context n-grams in two bytes, whose sums fit two bytes too, and their scale.

    Args:
        context: (R, D) the vectors of the n-grams of each length.
    """
    largest = np.abs(tokens_VD).max() + sum(np.abs(table).max() for table in context)
    scale = float(largest) / (MAX_WIDE - 1 - len(context)) or 1.0  # each rounding adds at most a half
    rows = np.concatenate(context) if context else None
    rounded = [None if table is None else np.rint(table / scale).astype(np.int16) for table in (tokens_VD, rows)]
    assert rounded[0] is not None
    return rounded[0], rounded[1], scale


def _round_rows(weight_GK: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return weights of at most 127, and the scale of each row."""
    scale_G = np.abs(weight_GK).max(axis=1) / MAX_NARROW
    divisor_G = np.where(scale_G > 0, scale_G, 1.0)
    return np.rint(weight_GK / divisor_G[:, None]).astype(np.int8), scale_G


def _sum_bits(
    products: Sequence[FloatProduct],
    rounded: Sequence[tuple[npt.NDArray[np.int8], Floats]],
    row_scales: Sequence[Floats],
    norm_size: int,
) -> int:
    """Return the bits after the point with which the largest sum that is possible still has a safe square."""
    largest = sum(
        float((np.abs(matrix_GK.astype(np.int64)).sum(1) * product.largest * scale_G).max())
        for product, (matrix_GK, _), scale_G in zip(products, rounded, row_scales, strict=True)
    )
    limit = largest_summand(norm_size) - 1 - 2 * len(products)
    bits = _MAX_SUM_BITS
    while largest * 1.001 * 2.0**bits > limit:
        bits -= 1
    if bits < _MIN_SUM_BITS:
        raise ValueError("the weights of a normalised product are too large")
    return bits


def _multipliers(scale_G: Floats) -> tuple[npt.NDArray[np.int32], int]:
    """Return m and s with m / 2**s close to the scales, where the largest m has 23 bits."""
    largest = float(scale_G.max())
    shift = min(_MULTIPLIER_BITS - math.frexp(largest)[1], _MAX_SHIFT) if largest else 1
    if shift < 1:
        raise ValueError("a matrix has weights that are too large")
    return np.rint(scale_G * 2.0**shift).astype(np.int32), shift
