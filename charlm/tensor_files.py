"""Files of tensors in a checkpoint: safetensors, neither written nor read with pickle."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from charlm import storage
from charlm.errors import CheckpointError

CHECKPOINT_CURE = "copy the whole checkpoint directory again, or use another checkpoint (--checkpoint)"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, from any device."""
    storage.write_bytes(path, tensors_to_bytes(tensors))


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the content of a file of tensors."""
    return safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def read_tensors(
    path: Path, expected: Mapping[str, tuple[int, ...]] | None = None, device: torch.device | None = None
) -> dict[str, Tensor]:
    """Return the tensors of a file; with `expected`, names and shapes are compared before anything is allocated.

    The tensors are copied to torch's own alignment: in a file they start at any multiple of 8 bytes, and products with
    such a matrix differ in their last bits from products with an aligned one.

    Raises:
        CheckpointError: the file is damaged, or its tensors are not the expected ones.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device=str(device or "cpu")) as file:
            found_shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
            if expected is not None and found_shapes != expected:
                mismatched = sorted(
                    name for name in {*found_shapes, *expected} if found_shapes.get(name) != expected.get(name)
                )
                raise CheckpointError(f"{path} does not fit model.json: {', '.join(mismatched[:3])}", CHECKPOINT_CURE)
            return {name: file.get_tensor(name).clone() for name in found_shapes}
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", CHECKPOINT_CURE) from error
