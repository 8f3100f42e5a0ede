"""An integer model: its description, and arrays of whole numbers by name.

    description + arrays ──to_bytes──> safetensors ──parse_model──> checked: names, shapes, types, bounds, digest

V vocabulary, D inputs, H hidden, G gates, K columns of a matrix, O orders of n-grams.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from charlm.archives.integer_model.activation_tables import NUM_ENTRIES, NUM_POWERS
from charlm.archives.integer_model.description import Description, GroupDescription
from charlm.archives.integer_model.training_tables import expected_tables

Array = npt.NDArray[Any]
DESCRIPTION, DIGEST, WEIGHTS = "description", "digest", "weights_sha256"


@dataclass(frozen=True)
class Product:
    """A matrix of 8 bits, and the multiplier of each row."""

    source: int
    matrix_GK: npt.NDArray[np.int8]
    multiplier_G: npt.NDArray[np.int32]
    shift: int


@dataclass(frozen=True)
class ProductGroup:
    """Products that are added up, and then normalised in parts."""

    products: tuple[Product, ...]
    norm_sizes: tuple[int, ...]
    gain_G: npt.NDArray[np.int32] | None
    """The gain of layer norm, 16 bits after the point."""
    epsilon: int


@dataclass(frozen=True)
class IntegerModel:
    """A model without floats. Two models with the same digest give the same frequencies everywhere."""

    description: Description
    arrays: dict[str, Array]
    weights_sha256: str = ""
    """The SHA-256 of the weights that it was prepared from, or "". It is no part of the digest."""

    @cached_property
    def digest(self) -> bytes:
        """The SHA-256 over the description and every array, 32 bytes."""
        state = hashlib.sha256(_description_bytes(self.description))
        for name, array in sorted(self.arrays.items()):
            state.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
            state.update(np.ascontiguousarray(array).tobytes())
        return state.digest()

    def input_group(self, layer: int) -> ProductGroup:
        return self._group(f"layers.{layer}.input", self.description.inputs[layer])

    def recurrent_group(self, layer: int) -> ProductGroup:
        return self._group(f"layers.{layer}.recurrent", self.description.recurrent[layer])

    @property
    def head_group(self) -> ProductGroup:
        return self._group("head", self.description.head)

    def _group(self, name: str, group: GroupDescription) -> ProductGroup:
        products = tuple(
            Product(each.source, self.arrays[f"{name}.{k}.matrix"], self.arrays[f"{name}.{k}.multiplier"], each.shift)
            for k, each in enumerate(group.products)
        )
        return ProductGroup(products, group.norm_sizes, self.arrays.get(f"{name}.gain"), group.epsilon)

    def to_bytes(self) -> bytes:
        """Return the content of a file, which is the same for equal models."""
        extra = {
            DESCRIPTION: np.frombuffer(_description_bytes(self.description), dtype=np.uint8),
            DIGEST: np.frombuffer(self.digest, dtype=np.uint8),
            WEIGHTS: np.frombuffer(bytes.fromhex(self.weights_sha256), dtype=np.uint8),
        }
        return safetensors.numpy.save(
            {name: np.ascontiguousarray(array) for name, array in {**self.arrays, **extra}.items()}
        )


def _description_bytes(description: Description) -> bytes:
    return json.dumps(description.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


def expected_arrays(description: Description) -> dict[str, tuple[npt.DTypeLike, tuple[int, ...]]]:
    """Return the type and shape of every array of a model."""
    gates, hidden = description.num_gates, description.hidden_size
    expected: dict[str, tuple[npt.DTypeLike, tuple[int, ...]]] = {
        "sigmoid": (np.int32, (NUM_ENTRIES,)),
        "tanh": (np.int32, (NUM_ENTRIES,)),
        "powers": (np.int32, (NUM_POWERS,)),
        "embedding.tokens": (np.int16, (description.vocab_size, description.embedding_size)),
        "head.bias": (np.int32, (description.vocab_size,)),
    }
    if description.context_orders:
        rows = len(description.context_orders) * description.context_buckets
        expected["embedding.context"] = (np.int16, (rows, description.embedding_size))
    if description.counts is not None:
        expected |= expected_tables(description.counts, description.vocab_size)
    groups = {"head": (description.head, description.vocab_size)}
    for layer, (inputs, recurrent) in enumerate(zip(description.inputs, description.recurrent, strict=True)):
        groups |= {f"layers.{layer}.input": (inputs, gates), f"layers.{layer}.recurrent": (recurrent, gates)}
        expected[f"layers.{layer}.bias"] = (np.int32, (gates,))
        if description.cell == "gru":
            expected[f"layers.{layer}.candidate_bias"] = (np.int32, (hidden,))
        if description.memory_epsilon:
            for name in ("memory_gain", "memory_bias"):
                expected[f"layers.{layer}.{name}"] = (np.int32, (hidden,))
    for name, (group, rows) in groups.items():
        for k, product in enumerate(group.products):
            expected[f"{name}.{k}.matrix"] = (np.int8, (rows, description.source_size(product.source)))
            expected[f"{name}.{k}.multiplier"] = (np.int32, (rows,))
        if group.norm_sizes:
            expected[f"{name}.gain"] = (np.int32, (rows,))
    return expected
