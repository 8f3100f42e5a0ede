"""charlm: character-level language models, from any Wikipedia to honestly measured text."""

from typing import TYPE_CHECKING

from charlm.version import __version__

if TYPE_CHECKING:
    import os

    import torch

    from charlm.api import Model

__all__ = ["__version__", "load"]


def load(
    run: "str | os.PathLike[str] | None" = None,
    *,
    checkpoint: str | int | None = None,
    device: "str | torch.device" = "auto",
) -> "Model":
    """Load a trained model: see `charlm.api.load`, imported only here, since torch takes
    seconds."""
    from charlm import api

    return api.load(run, checkpoint=checkpoint, device=device)
