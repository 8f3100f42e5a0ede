"""What a resumed run needs besides the model: training.json and training.safetensors."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from charlm.checkpoint.json_files import read_json_object
from charlm.tensor_files import read_tensors


@dataclass(frozen=True)
class ResumeData:
    """The data that a resumed run needs besides the model: JSON `metadata`, and `tensors`."""

    metadata: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


def load_resume_data(directory: Path) -> ResumeData:
    """Read the data for resuming, to the CPU; the manifest must have been verified (`load_model` verifies it)."""
    return ResumeData(read_json_object(directory / "training.json"), read_tensors(directory / "training.safetensors"))
