"""The integer model of a checkpoint: written once, beside the weights that it was made from.

    CHECKPOINT/integer.safetensors ── absent: converted and written ── present: read, checked ──> IntegerPredictor

The manifest does not name the file: it names its own digest, and the weights. It cannot be made again to the bit on
another machine, since floats decide the rounding, so it must be copied with the checkpoint to read what it compressed.
"""

from pathlib import Path

import torch

from charlm import storage
from charlm.archives.integer_model.convert import convert
from charlm.archives.integer_model.layout import IntegerModel
from charlm.archives.integer_model.parse_model import CURE, parse_model
from charlm.archives.integer_model.predictor import IntegerPredictor
from charlm.checkpoint import load_model, weights_hash
from charlm.errors import CheckpointError, UsageError
from charlm.tensor_files import CHECKPOINT_CURE

FILE_NAME = "integer.safetensors"


def open_predictor(directory: Path, *, prepare: bool, path: Path | None = None) -> IntegerPredictor:
    """Return the predictor of a checkpoint.

    Args:
        prepare: convert the model if there is no integer model yet, and write it.
        path: of the integer model; None: beside the weights.

    Raises:
        UsageError: a part of the model has no integer form; or there is no integer model yet, and `prepare` is False.
        CheckpointError: the checkpoint or its integer model is damaged, or they do not belong together.
        StorageError: the integer model cannot be written.
    """
    path = path or directory / FILE_NAME
    if path.exists() or not prepare:
        return IntegerPredictor(load_integer_model(directory, path))
    model = convert(load_model(directory, torch.device("cpu")))
    storage.make_directory(path.parent)
    storage.write_bytes(path, model.to_bytes())
    return IntegerPredictor(model)


def load_integer_model(directory: Path, path: Path | None = None) -> IntegerModel:
    """Read the integer model of a checkpoint.

    Args:
        path: where it is; None: beside the weights.

    Raises:
        UsageError: there is none yet.
        CheckpointError: it or the manifest is damaged, or it was made from other weights.
    """
    storage.verify_manifest(directory, CHECKPOINT_CURE)
    path = path or directory / FILE_NAME
    if not path.exists():
        raise UsageError(f"{directory} has no integer model yet", "make it with `charlm compress --prepare`")
    with storage.storage_errors(path, "read"):
        content = path.read_bytes()
    model = parse_model(content, str(path))
    if model.weights_sha256 != weights_hash(directory):
        raise CheckpointError(f"{path} was made from other weights than those beside it", CURE)
    return model
