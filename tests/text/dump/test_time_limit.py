"""Cleaning a page may take five minutes of work, however long the process is stopped meanwhile."""

import time
from collections.abc import Callable

import pytest

from charlm.errors import DataError
from charlm.text.document import PageCounts
from charlm.text.dump import articles
from charlm.text.dump.articles import clean_pages
from charlm.text.dump.elements import SiteInfo
from charlm.text.dump.pages import Page
from charlm.text.wikitext import CleanedPage, Cleaner

LIMIT = 0.1  # seconds


def clean_slowly(monkeypatch: pytest.MonkeyPatch, wait: Callable[[], None]) -> list[str]:
    """Clean a page whose cleaning takes longer than the limit; return the texts."""

    def clean(cleaner: Cleaner, text: str, title: str) -> CleanedPage:
        wait()
        return original(cleaner, text, title)

    original = Cleaner.clean
    monkeypatch.setattr(Cleaner, "clean", clean)
    monkeypatch.setattr(articles, "_PAGE_TIMEOUT", LIMIT)
    page = Page("1", 0, "Rome", False, "wikitext", "Rome is a city.")
    return [document.text for document in clean_pages([page], SiteInfo(), "drop", PageCounts())]


def test_time_in_which_the_process_does_nothing_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of one that was stopped by Ctrl-Z and goes on."""
    assert clean_slowly(monkeypatch, lambda: time.sleep(3 * LIMIT)) == ["Rome is a city."]


def test_endless_work_ends_with_an_error_that_names_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pass

    with pytest.raises(DataError, match=r"cleaning page 1 \(Rome\) takes longer than 0.1 s"):
        clean_slowly(monkeypatch, work)
