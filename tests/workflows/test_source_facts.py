"""What settings say about their source is what the source does: patterns of names, downloads, servers."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from charlm.errors import UsageError
from charlm.settings import type_names
from charlm.text.build import build_source
from charlm.text.document import Source
from charlm.text.settings import (
    Enwik8Settings,
    HubSettings,
    MixSettings,
    SampleSettings,
    SingleSource,
    SourceSettings,
    TextSettings,
    WikipediaSettings,
)
from charlm.text.source_base import BaseSourceSettings
from charlm.workflows.prepare_requests import check_download_options
from tests.source_cases import CASES

TEXT = TextSettings(input=("a.txt",))
DOWNLOADS: Mapping[str, tuple[SourceSettings, bool, bool]] = {
    "wiki": (WikipediaSettings(), True, True),
    "file": (WikipediaSettings(input=("a.xml",)), False, False),
    "file and URL": (WikipediaSettings(input=("a.xml", "HTTPS://example.org/b.xml")), True, True),
    "hub": (HubSettings(), False, True),
    "rows": (HubSettings(input=("a.jsonl",)), False, False),
    "text": (TEXT, False, False),
    "benchmark": (Enwik8Settings(), True, True),
    "copy of a benchmark": (Enwik8Settings(input=("enwik8",)), False, False),
    "sample": (SampleSettings(), False, False),
    "mix of text": (MixSettings(sources=(TEXT, TEXT)), False, False),
    "mix with the hub": (MixSettings(sources=(TEXT, HubSettings())), False, True),
    "mix with a wiki": (MixSettings(sources=(TEXT, WikipediaSettings())), True, True),
}
"""Settings, whether they leave downloads in the cache, and whether they ask a server."""


@pytest.mark.parametrize("case", DOWNLOADS)
def test_refresh_and_discard_dump_are_for_sources_that_download(case: str) -> None:
    source, keeps, asks = DOWNLOADS[case]
    assert (source.keeps_downloads, source.asks_a_server) == (keeps, asks)
    for option, allowed in (("refresh", asks), ("discard_dump", keeps)):
        given = {"refresh": False, "discard_dump": False, "dry_run": False, option: True}
        if allowed:
            check_download_options(source, **given)
        else:
            with pytest.raises(UsageError, match=option.replace("_", "-")):
                check_download_options(source, **given)


@pytest.mark.parametrize("kind", type_names(SingleSource))
def test_settings_know_whether_their_source_downloads(kind: str, tmp_path: Path) -> None:
    """A source that can refresh or discard its downloads says so in charlm/text/settings.py."""
    settings = CASES[kind](tmp_path, "river")
    source = build_source(settings)

    def is_overridden(name: str, kind: type, base: type) -> bool:
        return getattr(kind, name) is not getattr(base, name)

    keeps = is_overridden("keeps_downloads", type(settings), BaseSourceSettings)
    assert is_overridden("discard", type(source), Source) == keeps
    assert is_overridden("refresh", type(source), Source) == keeps
    asks = keeps or is_overridden("asks_a_server", type(settings), BaseSourceSettings)
    assert is_overridden("download_plan", type(source), Source) == asks


@pytest.mark.parametrize("kind", type_names(SingleSource))
def test_a_source_without_inputs_says_what_it_reads(kind: str, tmp_path: Path) -> None:
    settings = CASES[kind](tmp_path, "river")
    assert bool(settings.local_text) != bool(settings.inputs)
