"""An integer model: its description, and arrays of whole numbers by name.

    description + arrays ──to_bytes──> safetensors ──from_bytes──> checked: names, shapes, types, bounds, digest

V vocabulary, D inputs, H hidden, G gates, K columns of a matrix, O orders of n-grams.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from charlm.compression.integer_model.activation_tables import NUM_ENTRIES, NUM_POWERS
from charlm.compression.integer_model.count_features import num_features
from charlm.compression.integer_model.description import Description, GroupDescription
from charlm.compression.integer_model.training_tables import expected_tables
from charlm.errors import CheckpointError, SettingsError
from charlm.settings import Layer, lists_to_tuples, validate

Array = npt.NDArray[Any]
DESCRIPTION, DIGEST, WEIGHTS = "description", "digest", "weights_sha256"
CURE = "prepare the checkpoint again with `charlm compress --prepare`"


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

    @classmethod
    def from_bytes(cls, content: bytes, origin: str) -> Self:
        """Invert `to_bytes`.

        Args:
            origin: where the bytes come from, for messages.

        Raises:
            CheckpointError: this is no integer model, it is damaged, or its sums could leave their range.
        """
        from charlm.compression.integer_model.bounds import check_bounds

        try:
            arrays = safetensors.numpy.load(content)
            raw, digest, weights = (arrays.pop(name).tobytes() for name in (DESCRIPTION, DIGEST, WEIGHTS))
            tree: Any = lists_to_tuples(json.loads(raw))
            model = cls(validate(Description, Layer(tree)), arrays, weights.hex())
            _check_arrays(model)
            check_bounds(model)
        except (
            safetensors.SafetensorError,
            KeyError,
            TypeError,
            ValueError,
            RecursionError,
            SettingsError,
        ) as error:
            raise CheckpointError(f"{origin} is not an integer model of this charlm: {error}", CURE) from error
        if model.digest != digest:
            raise CheckpointError(f"{origin} is damaged: its digest is not the one that it names", CURE)
        return model


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
        expected["counts.weights"] = (np.int32, (num_features(description.counts),))
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


def _check_arrays(model: IntegerModel) -> None:
    """
    Raises:
        ValueError: an array is missing, unknown, or has another type or shape.
    """
    expected = expected_arrays(model.description)
    if set(expected) != set(model.arrays):
        wrong = sorted(set(expected) ^ set(model.arrays))
        raise ValueError(f"arrays are missing or unknown: {', '.join(wrong[:3])}")
    for name, (dtype, shape) in expected.items():
        array = model.arrays[name]
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
