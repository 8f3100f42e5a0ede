"""Hashes that name a checkpoint or its weights; copies have the same."""

from pathlib import Path

from charlm import storage
from charlm.checkpoint.json_files import read_json_object
from charlm.errors import CheckpointError
from charlm.tensor_files import CHECKPOINT_CURE


def weights_hash(directory: Path) -> str:
    """Return the SHA-256 of a checkpoint's weights, which copies have too; the manifest must have been verified.

    Raises:
        CheckpointError: the manifest does not name them.
    """
    manifest = read_json_object(directory / storage.MANIFEST)
    try:
        return str(manifest["files"]["model.safetensors"]["sha256"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{directory / storage.MANIFEST} is damaged", CHECKPOINT_CURE) from error


def checkpoint_hash(directory: Path) -> str:
    """Return the SHA-256 of a checkpoint's manifest, and so of all its files; copies have it too."""
    return storage.sha256(directory / storage.MANIFEST)
