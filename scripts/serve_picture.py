"""Take the picture of the page of `charlm serve` for charlm/docs/serving.md: `python scripts/serve_picture.py`.

It serves the bundled model, writes a text with a seed, and points at a character. It needs Chromium and playwright.
"""

import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parents[1] / "charlm" / "docs" / "images" / "serve.png"
CHROMIUM = os.environ.get("CHARLM_CHROMIUM", "/usr/bin/chromium")
FRAGMENT = "#text=A list is a mutable sequence of&temperature=0.7&topP=0.95&length=330&seed=38"
POINTED = 35
"""The character of the text that is pointed at."""


def main() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "charlm", "serve", "bundled", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None, "it is a pipe"
    try:
        take(server.stdout.readline().strip() + "/" + FRAGMENT)
    finally:
        server.terminate()
        server.wait()


def take(url: str) -> None:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1220, "height": 880})
        page.goto(url)
        page.wait_for_selector("body.ready")
        page.click("#write")
        page.wait_for_selector("body:not(.busy)")
        page.locator(".unit").nth(POINTED).hover()
        page.wait_for_timeout(300)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
