"""The proof, for the numbers of a given model, that no sum leaves its range: it is computed when the model is loaded.

    the largest |activation| of each source ──> largest |sum| of each row ──> of each product, norm, gate and logit

The proof holds for every text, since it assumes the worst activations. All arithmetic here is exact.

G gates, K columns of a matrix.
"""

import math
from collections.abc import Iterable

import numpy as np

from charlm.archives.integer_model.activation_tables import STEP_BITS
from charlm.archives.integer_model.fixed_point import (
    GATE_BITS,
    MAX_MEMORY,
    MAX_NARROW,
    MAX_WIDE,
    ONE,
    POWER_BITS,
    IntArray,
    wide_shift,
)
from charlm.archives.integer_model.layout import IntegerModel, Product, ProductGroup
from charlm.archives.integer_model.training_tables import check_tables, open_tables

_MAX_SUM = 1 << 62
_MAX_INT32 = (1 << 31) - 1
_MAX_GATE = 1 << 30
_MAX_BYTE = 128


def check_bounds(model: IntegerModel) -> None:
    """
    Raises:
        ValueError: for some text, a sum of this model could leave its range.
    """
    _check_tables(model)
    _check_embedding(model)
    description = model.description
    for layer in range(description.num_layers):
        gate = sum(_group_bound(model, group) for group in (model.input_group(layer), model.recurrent_group(layer)))
        gate += _largest(model.arrays[f"layers.{layer}.bias"])
        if description.cell == "gru":
            gate += _largest(model.arrays[f"layers.{layer}.candidate_bias"])
        _require(gate < _MAX_GATE, f"a gate of layer {layer}")
        if description.memory_epsilon:
            gain, bias = (_largest(model.arrays[f"layers.{layer}.memory_{name}"]) for name in ("gain", "bias"))
            _require(_is_summable(description.hidden_size, MAX_MEMORY), f"the norm of the memory of layer {layer}")
            normalised = _norm_bound(description.hidden_size, gain) + bias
            _require(normalised < _MAX_GATE, f"the memory of layer {layer}")
    logit = _group_bound(model, model.head_group) + _largest(model.arrays["head.bias"])
    _require(logit < _MAX_GATE, "a logit")
    if description.counts is not None:
        check_tables(open_tables(model.arrays, len(description.counts.table_sizes)), description.vocab_size)


def largest_summand(num_rows: int) -> int:
    """Return the largest |value| of so many values for which layer norm may add up the squares of differences."""
    return min(math.isqrt((_MAX_SUM - 1) // num_rows) // 2 - 1, MAX_MEMORY)


def _is_summable(num_rows: int, value: int) -> bool:
    return value <= MAX_MEMORY and num_rows * (2 * value) ** 2 < _MAX_SUM


def _check_tables(model: IntegerModel) -> None:
    """
    Raises:
        ValueError: a table rises where it must not, or leaves its range.
    """
    sigmoid, tanh, powers = (model.arrays[name].astype(np.int64) for name in ("sigmoid", "tanh", "powers"))
    rising = all(bool((np.diff(table) >= 0).all()) for table in (sigmoid, tanh, -powers))
    _require(rising, "the order of a table")
    _require(sigmoid[0] >= 0 and sigmoid[-1] <= ONE and abs(tanh).max() < ONE, "an activation")
    _require(powers[0] == 1 << POWER_BITS and powers[-1] << 1 == powers[0], "a power of two")
    assert (ONE << STEP_BITS) < _MAX_INT32, "an entry times a remainder has 32 bits"


def _check_embedding(model: IntegerModel) -> None:
    """
    Raises:
        ValueError: a sum of vectors does not fit into two bytes.
    """
    largest = _largest(model.arrays["embedding.tokens"])
    if model.description.context_orders:
        table = model.arrays["embedding.context"]
        largest += sum(_largest(part) for part in np.split(table, len(model.description.context_orders)))
    _require(largest <= MAX_WIDE, "an input vector")
    sums = (wide_shift(1 + layer) for layer in model.description.sums)
    _require(all(shift < GATE_BITS for shift in sums), "a sum of outputs")


def _group_bound(model: IntegerModel, group: ProductGroup) -> int:
    """Return the largest |value| of a group of products after its norms."""
    bound = sum(_product_bound(product, wide=model.description.is_wide(product.source)) for product in group.products)
    if not group.norm_sizes:
        return bound
    assert group.gain_G is not None, "norms have a gain"
    for size in group.norm_sizes:
        _require(_is_summable(size, bound), "the sum of squares of a norm")
    parts = np.split(group.gain_G, np.cumsum(group.norm_sizes)[:-1])
    return max(_norm_bound(size, _largest(gain)) for size, gain in zip(group.norm_sizes, parts, strict=True))


def _product_bound(product: Product, *, wide: bool) -> int:
    """Return the largest |value| of a product.

    Raises:
        ValueError: one byte's sum could leave 32 bits, or the scaled sum 62 bits.
    """
    one_norms_G = np.abs(product.matrix_GK.astype(np.int64)).sum(1)
    _require(_MAX_BYTE * int(one_norms_G.max()) <= _MAX_INT32, "the sum of a matrix's row")
    half = 1 << product.shift >> 1
    largest = MAX_WIDE if wide else MAX_NARROW
    pairs: Iterable[tuple[int, int]] = zip(one_norms_G.tolist(), product.multiplier_G.tolist(), strict=True)
    scaled = max(largest * norm * abs(multiplier) for norm, multiplier in pairs) + half
    _require(scaled < _MAX_SUM, "a scaled sum")
    return (scaled >> product.shift) + 1


def _norm_bound(size: int, gain: int) -> int:
    """|d| <= sqrt(size) std, so a normalised value is below that, and one more for rounding."""
    return (((math.isqrt(size) + 2) * gain) + (1 << GATE_BITS)) + 1


def _largest(array: IntArray) -> int:
    return int(np.abs(array.astype(np.int64)).max(initial=0))


def _require(holds: bool | np.bool_, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} could leave its range")
