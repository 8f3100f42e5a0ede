"""The entry of the table of formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlm import storage
from charlm.export.base import DirectoryFormat

if TYPE_CHECKING:
    from charlm.export.exported_model import ExportedModel


class HubFormat(DirectoryFormat):
    """A directory that is a checkpoint with a model card."""

    name = "hub"
    description = "a directory for the Hugging Face hub"
    suffix = "-hub"
    options = ("licence", "figures")
    takes_any_task = True
    marks = (storage.MANIFEST, "README.md")

    def write(self, model: "ExportedModel", folder: Path) -> Sequence[str]:
        from charlm.export.hub.write import write_hub

        return write_hub(model, folder)
