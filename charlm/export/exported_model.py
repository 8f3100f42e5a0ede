"""The model that is exported, and what its files may say about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charlm.checkpoint import LoadedModel
from charlm.export.figures import Figures


@dataclass(frozen=True)
class ExportOptions:
    """The options that only some formats have; `ExportFormat.options` names them."""

    licence: str | None = None
    """The licence of the weights, as the hub writes it."""
    figures: Figures | None = None
    """What was measured of the run."""
    max_bytes: int | None = None
    """The most bytes of the output; a limit of the format's own if left out."""


NO_OPTIONS = ExportOptions()


@dataclass(frozen=True)
class ExportedModel:
    """A model, in evaluation mode and on the CPU, and what is known about it."""

    name: str
    """The name of its run, fit for the name of a file."""
    loaded: LoadedModel
    text_origin: Mapping[str, Any] | None
    """Where the training text comes from, as corpus.json has it; None if that corpus is not found."""
    options: ExportOptions = NO_OPTIONS
