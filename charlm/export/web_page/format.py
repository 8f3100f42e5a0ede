"""The entry of the table of formats."""

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from charlm.export.base import FileFormat

if TYPE_CHECKING:
    from charlm.export.exported_model import ExportedModel


class HtmlFormat(FileFormat):
    """One page that runs the model in a browser."""

    name = "html"
    description = "one page that runs the model in a browser"
    suffix = ".html"
    options = ("figures", "max_bytes")

    def write(self, model: "ExportedModel", file: IO[bytes]) -> Sequence[str]:
        from charlm.export.web_page.write_page import write_page

        return write_page(model, file)
