"""The tables of an n-gram component in a checkpoint: ngrams.safetensors, and what model.json says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from charlm.errors import CheckpointError
from charlm.nn.ngrams.tables import NgramTables
from charlm.settings import Layer, Settings, lists_to_tuples, validate
from charlm.tensor_files import CHECKPOINT_CURE, read_tensors, write_tensors

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
    """Write the tables into a checkpoint, and return what model.json says of them."""
    tensors = {name: torch.from_numpy(array) for name, array in tables.to_arrays().items()}
    write_tensors(directory / NGRAMS_FILE, tensors)
    return NgramDescription(order=tables.order, ngrams=tables.num_ngrams)


def load_ngrams(directory: Path, vocab_size: int, order: int) -> NgramTables:
    """Read the tables of a checkpoint.

    Raises:
        CheckpointError: they are missing or damaged, or do not fit the model.
    """
    path = directory / NGRAMS_FILE
    arrays = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
    try:
        tables = NgramTables.from_arrays(arrays, vocab_size)
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", CHECKPOINT_CURE) from error
    if tables.order != order:
        raise CheckpointError(
            f"{path} has n-grams of up to {tables.order} tokens, and model.json says {order}", CHECKPOINT_CURE
        )
    return tables
