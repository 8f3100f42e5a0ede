"""charlm: character-level language models, from any Wikipedia to honestly measured text."""

from typing import TYPE_CHECKING

from charlm.version import __version__

if TYPE_CHECKING:
    from charlm.api import Model

__all__ = ["__version__", "load"]


def load(run: str | None = None, *, checkpoint: str | None = None, device: str = "auto") -> "Model":
    """Load a trained model that scores and samples text: see `charlm.api.load`, imported only here, since torch takes
    seconds."""
    from charlm import api

    return api.load(run, checkpoint=checkpoint, device=device)
