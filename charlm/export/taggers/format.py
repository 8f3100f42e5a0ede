"""The entries of the table of formats."""

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from charlm.export.base import FileFormat

if TYPE_CHECKING:
    from charlm.export.exported_model import ExportedModel


class StanzaFormat(FileFormat):
    """A file that stanza loads."""

    name = "stanza"
    description = "a character language model for stanza's taggers"
    suffix = "-stanza.pt"

    def write(self, model: "ExportedModel", file: IO[bytes]) -> Sequence[str]:
        from charlm.export.taggers.stanza_file import write_stanza

        return write_stanza(model, file)


class FlairFormat(FileFormat):
    """A file that flair loads."""

    name = "flair"
    description = "a character language model for flair's taggers"
    suffix = "-flair.pt"

    def write(self, model: "ExportedModel", file: IO[bytes]) -> Sequence[str]:
        from charlm.export.taggers.flair_file import write_flair

        return write_flair(model, file)
