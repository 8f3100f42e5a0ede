"""The JSON files of a checkpoint: read, and checked for who wrote them.

NAME.json ──read_json_object──> an object ──check_version──> one that this charlm can read, or a CheckpointError
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charlm import formats, storage
from charlm.errors import CheckpointError
from charlm.tensor_files import CHECKPOINT_CURE


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds an object.

    Raises:
        CheckpointError: the file cannot be read, or holds something else.
    """
    try:
        content = storage.read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged", CHECKPOINT_CURE) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is damaged", CHECKPOINT_CURE)
    return content


def check_version(directory: Path, content: Mapping[str, Any]) -> None:
    """Check that a file of a checkpoint has a format that this charlm can read.

    Raises:
        CheckpointError: it has no format, or that of a later charlm.
    """
    version = content.get("format")
    if not isinstance(version, int):
        raise CheckpointError(f"{directory} was not written by charlm", CHECKPOINT_CURE)
    if version > formats.TASK_CHECKPOINT:
        raise CheckpointError(
            f"{directory} has format {version}, written by charlm {content.get('charlm', 'of a later version')}",
            f"upgrade charlm; this one reads up to format {formats.TASK_CHECKPOINT}",
        )


def invalid_model_json(directory: Path, error: Exception) -> CheckpointError:
    """Return the error about a model.json with valid JSON but impossible values."""
    return CheckpointError(f"{directory / 'model.json'} does not describe a model: {error}", CHECKPOINT_CURE)
