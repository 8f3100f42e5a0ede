"""The table of export formats."""

from charlm.errors import UsageError
from charlm.export.base import ExportFormat
from charlm.export.hub.format import HubFormat
from charlm.export.onnx_step.format import OnnxFormat
from charlm.export.taggers.format import FlairFormat, StanzaFormat
from charlm.export.web_page.format import HtmlFormat
from charlm.suggestions.words import format_value, join_words, suggest

FORMATS: tuple[ExportFormat, ...] = (HtmlFormat(), OnnxFormat(), HubFormat(), StanzaFormat(), FlairFormat())
"""All formats, in the order of the help."""


def find_format(name: str | None) -> ExportFormat:
    """Return a format by its name.

    Raises:
        UsageError: there is none, or no name.
    """
    names = [each.name for each in FORMATS]
    if name is None:
        raise UsageError("export needs a format", f"give --format {join_words(names, 'or')}")
    if name not in names:
        raise UsageError(f"--format {format_value(name)} is unknown", suggest(name, names, "give one of"))
    return FORMATS[names.index(name)]
