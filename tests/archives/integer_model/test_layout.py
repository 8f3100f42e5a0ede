"""The file of an integer model: what it keeps, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.archives.integer_model.convert import convert_model
from charlm.archives.integer_model.description import CountsDescription
from charlm.archives.integer_model.layout import Array, IntegerModel
from charlm.archives.integer_model.parse_model import parse_model
from charlm.errors import CheckpointError
from tests.archives.integer_model.models import SUPPORTED, integer_model
from tests.nn.model_cases import SMALL, build

MODEL = convert_model(build("dense"), SMALL.eod_id, "ab" * 32, CountsDescription(orders=(1, 2, 5), slot_bits=4))


@pytest.mark.parametrize("case", SUPPORTED)
def test_a_file_keeps_every_integer(case: str) -> None:
    model = integer_model(case)
    found = parse_model(model.to_bytes(), "it")
    assert (found.description, found.weights_sha256, found.digest) == (model.description, "ab" * 32, model.digest)
    for name, array in model.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    assert found.to_bytes() == model.to_bytes()


def test_no_floats_are_stored() -> None:
    assert all(array.dtype.kind == "i" for array in MODEL.arrays.values())


@given(st.data())
def test_the_digest_changes_with_any_integer(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(MODEL.arrays)))
    changed = MODEL.arrays[name].copy()
    place = data.draw(st.integers(0, changed.size - 1))
    changed.flat[place] += np.int64(-1 if changed.flat[place] > 0 else 1).astype(changed.dtype)
    assert IntegerModel(MODEL.description, {**MODEL.arrays, name: changed}).digest != MODEL.digest


@pytest.mark.parametrize("field", ["eod_id", "zoneout", "zoneout_hidden", "context_buckets"])
def test_the_digest_changes_with_the_description(field: str) -> None:
    description = MODEL.description.model_copy(update={field: getattr(MODEL.description, field) + 1})
    assert IntegerModel(description, MODEL.arrays).digest != MODEL.digest


def test_weights_are_no_part_of_the_digest() -> None:
    assert IntegerModel(MODEL.description, MODEL.arrays, "cd" * 32).digest == MODEL.digest


def changed(**arrays: Array) -> bytes:
    """Return the file of a model with other arrays, whose digest is right."""
    names = {name.replace("__", "."): array for name, array in arrays.items()}
    return IntegerModel(MODEL.description, {**MODEL.arrays, **names}).to_bytes()


def full(name: str, value: int) -> Array:
    return np.full_like(MODEL.arrays[name], value)


def with_small_shift() -> bytes:
    """Return the file of a model whose logits are so large that their sum is not bounded."""
    head = MODEL.description.head
    products = tuple(product.model_copy(update={"shift": 1}) for product in head.products)
    description = MODEL.description.model_copy(update={"head": head.model_copy(update={"products": products})})
    return IntegerModel(description, MODEL.arrays).to_bytes()


def with_equal_orders() -> bytes:
    """Return the file of a model that would read the same n-gram twice."""
    description = MODEL.description.model_copy(update={"context_orders": (2, 2)})
    return IntegerModel(description, MODEL.arrays).to_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_equal_orders(), "the numbers must rise strictly"),
        (with_small_shift(), "a logit could leave its range"),
        (changed(head__bias=full("head.bias", 2**30)), "a logit could leave its range"),
        (changed(layers__0__bias=full("layers.0.bias", -(2**31))), "a gate of layer 0 could leave its range"),
        (changed(embedding__tokens=full("embedding.tokens", 32700)), "an input vector could leave its range"),
        (changed(sigmoid=full("sigmoid", 32769)), "an activation could leave its range"),
        (changed(tanh=-MODEL.arrays["tanh"]), "the order of a table could leave its range"),
        (changed(powers=full("powers", 1 << 30)), "a power of two could leave its range"),
        (changed(head__bias=np.zeros(3, dtype=np.int32)), "head.bias is int32"),
        (changed(head__bias=full("head.bias", 0).astype(np.int64)), "head.bias is int64"),
        (changed(other=np.zeros(3, dtype=np.int32)), "arrays are missing or unknown: other"),
        (b"", "is not an integer model"),
        (b"\xff" * 100, "is not an integer model"),
    ],
)
def test_impossible_numbers_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        parse_model(content, "it")


def test_a_damaged_file_is_refused_or_equal() -> None:
    """Whatever byte changes: the model is refused, or it is the same one."""
    content = MODEL.to_bytes()
    generator = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(content)
        damaged[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
        try:
            found = parse_model(bytes(damaged), "it")
        except CheckpointError:
            continue
        assert found.digest == MODEL.digest


@pytest.mark.parametrize("length", [1, 8, 100, 5000, -1])
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(CheckpointError, match="it is"):
        parse_model(MODEL.to_bytes()[:length], "it")
