"""One step of the network in numpy: slow, and the definition that the C code agrees with to the bit.

    symbols_L ──embedding──> x ──layers──> h ──head──> logits ──2**(logit - largest)──> powers_LV, their sums

L lanes, V vocabulary, D inputs, H hidden, G gates, K columns of a matrix, N lengths of n-grams.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charlm.archives.integer_model.activation_tables import look_up, negative_power
from charlm.archives.integer_model.fixed_point import (
    GATE_BITS,
    MAX_MEMORY,
    ONE,
    UNIT_BITS,
    Int64Array,
    divide_rounded,
    integer_sqrt,
    quantize_unit,
    shift_rounded,
    wide_shift,
)
from charlm.archives.integer_model.layout import IntegerModel, ProductGroup
from charlm.nn.embeddings.context import context_rows

_ROOT_BITS = 60


class _Product(NamedTuple):
    source: int
    matrix_KG: npt.NDArray[np.float64]
    multiplier_G: Int64Array
    shift: int

    def run(self, source_LK: Int64Array) -> Int64Array:
        """Return the scaled product (L, G). Doubles hold whole numbers below 2**53 exactly, in whatever order they
        add."""
        sums_LG = (source_LK.astype(np.float64) @ self.matrix_KG).astype(np.int64)
        return shift_rounded(sums_LG * self.multiplier_G, self.shift)


class _Group(NamedTuple):
    products: list[_Product]
    norm_sizes: tuple[int, ...]
    gain_G: Int64Array
    epsilon: int

    @classmethod
    def of(cls, group: ProductGroup) -> "_Group":
        products = [
            _Product(each.source, each.matrix_GK.T.astype(np.float64), each.multiplier_G.astype(np.int64), each.shift)
            for each in group.products
        ]
        gain_G = np.zeros(0, dtype=np.int64) if group.gain_G is None else group.gain_G.astype(np.int64)
        return cls(products, group.norm_sizes, gain_G, group.epsilon)

    def run(self, sources: dict[int, Int64Array]) -> Int64Array:
        first, *others = (product.run(sources[product.source]) for product in self.products)
        summed = first + sum(others)
        if not self.norm_sizes:
            return summed
        parts = np.split(summed, np.cumsum(self.norm_sizes)[:-1], axis=1)
        normalised = np.concatenate([normalise(part, self.epsilon) for part in parts], axis=1)
        return shift_rounded(normalised * self.gain_G, GATE_BITS)


class ReferenceNetwork:
    """The states of all lanes, and their steps."""

    def __init__(self, model: IntegerModel) -> None:
        self._model, self._arrays = model, {name: array.astype(np.int64) for name, array in model.arrays.items()}
        description = model.description
        self._inputs = [_Group.of(model.input_group(layer)) for layer in range(description.num_layers)]
        self._recurrent = [_Group.of(model.recurrent_group(layer)) for layer in range(description.num_layers)]
        self._head = _Group.of(model.head_group)
        self.start(0)

    def start(self, num_lanes: int) -> None:
        """Forget all symbols; the lanes have read nothing."""
        description = self._model.description
        shape = description.num_layers, num_lanes, description.hidden_size
        self._hidden, self._memory = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        longest = max(description.context_orders, default=1)
        self._history = np.full((num_lanes, longest), -1, dtype=np.int64)

    def connect(self, reader: object) -> bool:
        """Return False: no function in C is called."""
        return False

    def step(self, symbols_L: Int64Array) -> Int64Array:
        """Let the first lanes read a symbol each; return 2**(logit - largest), (L, V), 30 bits after the point."""
        description, num_lanes = self._model.description, len(symbols_L)
        sources = {0: self._embed(symbols_L)}
        total = np.zeros((num_lanes, description.hidden_size), dtype=np.int64)
        for layer in range(description.num_layers):
            hidden, memory = self._hidden[layer, :num_lanes], self._memory[layer, :num_lanes]
            sources[1 + layer] = quantize_unit(hidden)
            gates = self._inputs[layer].run(sources)
            recurrent = self._recurrent[layer].run(sources)
            new = self._run_cell(layer, gates, recurrent, hidden, memory)
            self._hidden[layer, :num_lanes] = new
            sources[1 + layer] = quantize_unit(new)
            total = total + new
            if layer in description.sums:
                sources[1 + description.num_layers + layer] = shift_rounded(total, wide_shift(1 + layer))
        logits_LV = self._head.run(sources) + self._arrays["head.bias"]
        return negative_power(self._arrays["powers"], logits_LV.max(axis=1, keepdims=True) - logits_LV)

    def _embed(self, symbols_L: Int64Array) -> Int64Array:
        description, history = self._model.description, self._history[: len(symbols_L)]
        history[:, :-1], history[:, -1] = history[:, 1:].copy(), symbols_L
        x_LD = self._arrays["embedding.tokens"][symbols_L]
        if description.context_orders:
            for rows in context_rows(history, 1, description.context_orders, description.context_buckets):
                x_LD = x_LD + self._arrays["embedding.context"][rows[:, 0]]
        return x_LD

    def _run_cell(
        self, layer: int, gates: Int64Array, recurrent: Int64Array, hidden: Int64Array, memory: Int64Array
    ) -> Int64Array:
        """Return the next hidden state; an LSTM's memory is changed in place."""
        description, size = self._model.description, self._model.description.hidden_size
        sigmoid, tanh, bias = self._arrays["sigmoid"], self._arrays["tanh"], self._arrays[f"layers.{layer}.bias"]
        gates = gates + bias
        match description.cell:
            case "rnn":
                return _keep(look_up(tanh, gates + recurrent), hidden, description.zoneout)
            case "gru":
                reset, update = np.split(look_up(sigmoid, gates[:, : 2 * size] + recurrent[:, : 2 * size]), 2, axis=1)
                candidate_h = recurrent[:, 2 * size :] + self._arrays[f"layers.{layer}.candidate_bias"]
                candidate = look_up(tanh, gates[:, 2 * size :] + shift_rounded(reset * candidate_h, UNIT_BITS))
                new = shift_rounded((ONE - update) * candidate + update * hidden, UNIT_BITS)
                return _keep(new, hidden, description.zoneout)
            case "lstm":
                *i, f, g, o = np.split(gates + recurrent, gates.shape[1] // size, axis=1)
                forget, candidate, output = look_up(sigmoid, f), look_up(tanh, g), look_up(sigmoid, o)
                entry = look_up(sigmoid, i[0]) if i else ONE - forget
                new_memory = shift_rounded(forget * memory + 2 * entry * candidate, UNIT_BITS)
                new_memory = np.clip(new_memory, -MAX_MEMORY, MAX_MEMORY)
                read = new_memory
                if description.memory_epsilon:
                    normalised = normalise(new_memory, description.memory_epsilon)
                    gain, bias = (self._arrays[f"layers.{layer}.memory_{name}"] for name in ("gain", "bias"))
                    read = shift_rounded(normalised * gain, GATE_BITS) + bias
                new = shift_rounded(output * look_up(tanh, read), UNIT_BITS)
                memory[:] = _keep(new_memory, memory, description.zoneout)
                return _keep(new, hidden, description.zoneout_hidden)


def normalise(values: Int64Array, epsilon: int) -> Int64Array:
    """Return (x - mean) / sqrt(variance + epsilon) over the last axis, 16 bits after the point.

    The variance is brought to 61 or 62 bits by a shift of 2 k, so that its root has 31 bits, whatever its size.
    """
    size = values.shape[-1]
    deviations = values - divide_rounded(values.sum(-1, keepdims=True), size)
    variances = (deviations * deviations).sum(-1, keepdims=True) // size + epsilon
    k = np.zeros_like(variances)
    for step in (16, 8, 4, 2, 1):
        k += np.where(variances << (2 * k) < 1 << (_ROOT_BITS + 2 - 2 * step), step, 0)
    inverse = (1 << _ROOT_BITS) // integer_sqrt(variances << (2 * k))
    return shift_rounded(deviations * inverse, _ROOT_BITS - GATE_BITS - k)


def _keep(new: Int64Array, old: Int64Array, zoneout: int) -> Int64Array:
    """Return the mean of zoneout: a share of the old value stays."""
    return new + shift_rounded((old - new) * zoneout, UNIT_BITS) if zoneout else new
