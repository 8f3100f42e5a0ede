"""Settings -> the source that they describe. Only the implementation that is needed is imported."""

from typing import assert_never

from charlm.errors import SettingsError
from charlm.text.document import Source
from charlm.text.examples.settings import (
    AlignedSettings,
    ClassesSettings,
    ConlluSettings,
    DerivedSettings,
    TableSettings,
)
from charlm.text.settings import (
    Enwik8Settings,
    HubSettings,
    MixSettings,
    SampleSettings,
    SourceSettings,
    Text8Settings,
    TextSettings,
    WikipediaSettings,
)


def build_source(settings: SourceSettings) -> Source:
    """Return the source that the settings describe.

    Raises:
        UsageError: an input does not exist.
        SettingsError: settings that contradict each other.
    """
    match settings:
        case WikipediaSettings():
            from charlm.text.sources.wikipedia import WikipediaSource

            return WikipediaSource(settings)
        case HubSettings():
            from charlm.text.sources.hub.source import HubSource

            return HubSource(settings)
        case TextSettings():
            from charlm.text.sources.text_files import TextSource

            return TextSource(settings)
        case SampleSettings():
            from charlm.text.sources.python_docs import PythonDocsSource

            return PythonDocsSource()
        case Enwik8Settings():
            from charlm.text.sources.enwik8 import ENWIK8, Enwik8Task
            from charlm.text.sources.published_file import BenchmarkSource

            return BenchmarkSource(settings, ENWIK8, Enwik8Task)
        case Text8Settings():
            from charlm.text.sources.published_file import BenchmarkSource
            from charlm.text.sources.text8 import TEXT8, Text8Task

            return BenchmarkSource(settings, TEXT8, Text8Task)
        case MixSettings():
            from charlm.text.sources.mix import MixSource

            return MixSource(settings, [build_source(source) for source in settings.sources])
        case TableSettings() | ClassesSettings() | ConlluSettings() | AlignedSettings() | DerivedSettings():
            raise SettingsError(f"--source {settings.type} gives examples of a task", "add --task classify or another")
        case _:
            assert_never(settings)
