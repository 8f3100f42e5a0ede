"""Debian's Chromium, driven by playwright, and pages that must not complain."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path(os.environ.get("CHARLM_CHROMIUM", "/usr/bin/chromium"))
MARKS = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: there is no {CHROMIUM}"),
]
TIMEOUT = 20_000  # milliseconds; only a failure takes that long

_COLLECT_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@contextmanager
def chromium() -> Generator[Browser, None, None]:
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Browser, url: str, *, allowed: tuple[str, ...] = (), **options: Any
) -> Generator[Page, None, None]:
    """Open a page; at the end it must have reported no error, and must not have broken its policy.

    Args:
        allowed: parts of errors that the test provokes.
        options: of the browser's context.
    """
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.add_init_script(_COLLECT_VIOLATIONS)
        page.goto(url)
        yield page
        assert page.evaluate("window.violations") == []
        unexpected = [text for text in complaints if not any(part in text for part in allowed)]
        assert not unexpected, unexpected


def finish(page: Page) -> None:
    """Wait until the page has done all that it was asked for."""
    page.wait_for_selector("body.ready:not(.busy)")


def read(page: Page, text: str) -> None:
    """Write a text into the field, and wait until the page has read it."""
    finish(page)
    with page.expect_response("**/distribution"):
        page.fill("#text", text)
    finish(page)


def write(page: Page) -> str:
    """Press Write, and return the whole text once it is written."""
    page.click("#write")
    finish(page)
    return shown(page)


def shown(page: Page, pane: int = 0) -> str:
    """The text of a pane."""
    return page.locator(".text").nth(pane).inner_text()


def request_count(lines: list[str], path: str) -> int:
    return sum(path in line for line in lines)
