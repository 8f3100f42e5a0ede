"""Settings -> the source of examples that they describe. Only the implementation that is needed is imported.

A derived source reads a prepared corpus, so `charlm/data/example_sources.py` builds it.
"""

from typing import assert_never

from charlm.text.examples.example import ExampleSource, TargetKind
from charlm.text.examples.settings import (
    AlignedSettings,
    ClassesSettings,
    ConlluSettings,
    TableSettings,
    TextExampleSettings,
)
from charlm.text.settings import HubSettings


def build_example_source(settings: TextExampleSettings | HubSettings, target: TargetKind) -> ExampleSource:
    """Return the source that the settings describe.

    Args:
        target: what the examples are to have. The settings of the corpus have checked that the source gives it.

    Raises:
        UsageError: an input does not exist.
        SettingsError: settings that contradict each other.
    """
    match settings:
        case TableSettings():
            from charlm.text.examples.table import TableSource

            return TableSource(settings, target)
        case ClassesSettings():
            from charlm.text.examples.classes import ClassesSource

            return ClassesSource(settings)
        case ConlluSettings():
            from charlm.text.examples.conllu import ConlluSource

            return ConlluSource(settings)
        case AlignedSettings():
            from charlm.text.examples.aligned import AlignedSource

            return AlignedSource(settings)
        case HubSettings():
            from charlm.text.examples.hub_rows import HubExamples

            return HubExamples(settings, target)
        case _:
            assert_never(settings)
