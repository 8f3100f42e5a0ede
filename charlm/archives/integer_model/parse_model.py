"""The bytes of a file -> an integer model that is safe to run: names, types, shapes, bounds and the digest are checked.

The bytes may come from anybody, in an archive.
"""

import json
from typing import Any

import safetensors
import safetensors.numpy

from charlm.archives.integer_model.bounds import check_bounds
from charlm.archives.integer_model.description import Description
from charlm.archives.integer_model.layout import DESCRIPTION, DIGEST, WEIGHTS, IntegerModel, expected_arrays
from charlm.errors import CheckpointError, SettingsError
from charlm.settings import Layer, lists_to_tuples, validate

CURE = "prepare the checkpoint again with `charlm compress --prepare`"


def parse_model(content: bytes, origin: str) -> IntegerModel:
    """Invert `IntegerModel.to_bytes`.

    Args:
        origin: where the bytes come from, for messages.

    Raises:
        CheckpointError: this is no integer model, it is damaged, or its sums could leave their range.
    """
    try:
        arrays = safetensors.numpy.load(content)
        raw, digest, weights = (arrays.pop(name).tobytes() for name in (DESCRIPTION, DIGEST, WEIGHTS))
        tree: Any = lists_to_tuples(json.loads(raw))
        model = IntegerModel(validate(Description, Layer(tree)), arrays, weights.hex())
        _check_arrays(model)
        check_bounds(model)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError, SettingsError) as error:
        raise CheckpointError(f"{origin} is not an integer model of this charlm: {error}", CURE) from error
    if model.digest != digest:
        raise CheckpointError(f"{origin} is damaged: its digest is not the one that it names", CURE)
    return model


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
