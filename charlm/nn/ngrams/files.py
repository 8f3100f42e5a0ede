"""The tables of an n-gram component in a checkpoint: ngrams.safetensors, and what model.json says of it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from charlm import storage
from charlm.errors import CheckpointError, StorageError
from charlm.nn.ngrams.tables import NgramTables
from charlm.settings import Layer, Settings, lists_to_tuples, validate
from charlm.tensor_files import CHECKPOINT_CURE, read_tensors, tensors_to_bytes

NGRAMS_FILE = "ngrams.safetensors"


class NgramDescription(Settings):
    """What model.json says of the tables."""

    order: int = Field(ge=2)
    """Length of the longest n-grams."""
    ngrams: int = Field(ge=0)
    """The number of n-grams of 2 or more tokens."""


def parse_ngrams(content: Mapping[str, Any]) -> NgramDescription:
    """
    Raises:
        SettingsError, TypeError, ValueError: model.json describes no tables.
    """
    return validate(NgramDescription, Layer(lists_to_tuples(content)))


def save_ngrams(directory: Path, tables: NgramTables) -> NgramDescription:
    """Write the tables into a checkpoint, and return what model.json says of them.

    They are the same in all checkpoints of a run, so the file of a neighbour gets a second name where it can.
    """
    content = tensors_to_bytes({name: torch.from_numpy(array) for name, array in tables.to_arrays().items()})
    digest = hashlib.sha256(content).hexdigest()
    path = directory / NGRAMS_FILE
    for twin in sorted(directory.parent.glob(f"*/{NGRAMS_FILE}")):
        if twin != path and storage.has_manifest(twin.parent) and _has_digest(twin, digest):
            storage.link_or_copy(twin, path)
            break
    else:
        storage.write_bytes(path, content)
    return NgramDescription(order=tables.order, ngrams=tables.num_ngrams)


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return storage.sha256(path) == digest
    except StorageError:  # somebody else's file
        return False


def load_ngrams(directory: Path, vocab_size: int, described: NgramDescription) -> NgramTables:
    """Read the tables of a checkpoint.

    Raises:
        CheckpointError: they are missing or damaged, or do not fit the model.
    """
    path = directory / NGRAMS_FILE
    try:
        arrays = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
        tables = NgramTables.from_arrays(arrays, vocab_size)
        if (tables.order, tables.num_ngrams) != (described.order, described.ngrams):
            raise ValueError(f"it has {tables.num_ngrams:,} n-grams of up to {tables.order} tokens, unlike model.json")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", CHECKPOINT_CURE) from error
    return tables
