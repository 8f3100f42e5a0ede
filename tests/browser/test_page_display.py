"""How the page of `charlm serve` looks, and what it withstands: directions, widths, the dark, hostile text, keys."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from charlm.evaluation.explain.colours import SURPRISAL, ColourScale
from charlm.serving.access import LOOPBACK_NAMES, AccessRules
from charlm.vocab.base import NUM_BYTES
from charlm.vocab.char import CharVocab
from tests.browser.chromium import MARKS, chromium, finish, open_page, read, shown, write
from tests.browser.page_server import page_server
from tests.processes import Commands, until
from tests.serving.live_server import live_server
from tests.serving.served import make_model, set_bias

pytestmark = MARKS

HOSTILE = '<img src="x" onerror="window.isHacked = true">'
HEBREW = "שלום עולם"
VOCAB = CharVocab("".join(sorted(set(HOSTILE + HEBREW + "abcdefghijklmnopqrstuvwxyz \n"))))
MODELS = {name: make_model(name, VOCAB, seed=seed) for seed, name in enumerate((HOSTILE, "a" * 100))}
for model in MODELS.values():
    set_bias(model, -50, VOCAB.eod_id, *range(1, 1 + NUM_BYTES))
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with page_server(MODELS) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with open_page(browser, url) as page:
        yield page


def compare(page: Page, text: str) -> None:
    """Read a text with both models, and write on."""
    read(page, text)
    page.click("#compare")
    page.fill("#length", "60")
    write(page)


def test_text_runs_from_right_to_left(page: Page) -> None:
    read(page, HEBREW)
    left = [box["x"] for unit in page.locator(".unit").all() if (box := unit.bounding_box())]
    assert left == sorted(left, reverse=True)
    text = page.locator(".text").first.bounding_box()
    assert text
    assert left[0] > text["x"] + text["width"] / 2  # the line begins at the right edge
    page.focus(".text")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".unit").nth(1)).to_have_class(re.compile("now"))


def test_colours_do_not_part_letters_that_join(page: Page) -> None:
    """An Arabic word in colours is as wide as without them."""
    word = "محمد"
    read(page, word)
    widths = page.evaluate(
        """() => {
          const text = document.querySelector(".line"), range = document.createRange();
          const width = () => (range.selectNodeContents(text), range.getBoundingClientRect().width);
          const coloured = width();
          text.textContent = text.textContent;
          return [coloured, width()];
        }"""
    )
    assert widths[0] == pytest.approx(widths[1], abs=0.1)


def test_a_phone_needs_no_scrolling_to_the_side(browser: Browser, url: str) -> None:
    with open_page(browser, url, **PHONE) as page:
        compare(page, "a quick fox " + "w" * 200)
        page.locator(".unit").nth(5).tap()
        expect(page.locator(".card").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert [box["width"] <= 390 for each in page.locator(".card, .pane").all() if (box := each.bounding_box())]


@pytest.mark.parametrize(("scheme", "scale"), [("light", SURPRISAL.on_light), ("dark", SURPRISAL.on_dark)])
def test_colours_are_those_of_explain(
    browser: Browser, url: str, scheme: Literal["light", "dark"], scale: ColourScale
) -> None:
    with open_page(browser, url, color_scheme=scheme) as page:
        finish(page)
        colours_of = "(cells) => cells.map((cell) => getComputedStyle(cell).backgroundColor)"
        cells = page.locator(".legend b").evaluate_all(colours_of)
        expected = [f"rgb({colour.red}, {colour.green}, {colour.blue})" for colour in scale.levels]
        assert cells[1:] == expected[1:]  # the first has the colour of the page
        red = int(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))
        assert (red < 64) == (scheme == "dark")


def test_text_and_names_are_never_markup(browser: Browser, url: str) -> None:
    fragment = f"#text={HOSTILE}&model={HOSTILE}2&seed={HOSTILE}".replace('"', "%22").replace(" ", "%20")
    with open_page(browser, url + fragment, allowed=("TrustedHTML",)) as page:
        finish(page)
        assert f"{HOSTILE}2" in page.locator("#status").inner_text()
        assert page.input_value("#text") == HOSTILE
        page.fill("#length", "5")
        assert write(page).startswith(HOSTILE)
        assert page.locator("#model-1 option").first.inner_text() == HOSTILE
        assert page.locator("main img").count() == 0
        assert page.evaluate("window.isHacked") is None
        with pytest.raises(Exception, match="TrustedHTML"):
            page.evaluate("document.body.innerHTML = '<b>x</b>'")
        page.evaluate("window.violations = []")  # the one that was provoked


def test_text_cannot_change_the_direction_of_the_page(page: Page) -> None:
    read(page, "abc\u202edef\x00")
    assert shown(page) == r"abc\u202edef\x00"


def test_a_server_that_does_not_answer_is_told(browser: Browser, url: str) -> None:
    with open_page(browser, url, allowed=("ERR_INTERNET_DISCONNECTED",)) as page:
        read(page, "abc")
        page.context.set_offline(True)
        page.click("#write")
        finish(page)
        assert "does not answer" in page.locator("#status").inner_text()
        assert shown(page) == "abc"
        page.context.set_offline(False)
        assert len(write(page)) > 3


def test_a_killed_server_is_told_and_the_next_one_answers(browser: Browser, commands: Commands) -> None:
    with live_server(commands, "bundled") as server, open_page(browser, server.url, allowed=("ERR_",)) as page:
        read(page, "A list")
        page.fill("#length", "10000")
        page.click("#write")
        page.locator(".unit.written").nth(5).wait_for()
        server.process.send(signal.SIGKILL)
        server.process.wait()
        expect(page.locator("#status")).to_have_text("The connection to the server ended before the text did.")
        kept = shown(page)
        page.fill("#length", "5")
        page.click("#write")
        expect(page.locator("#status")).to_contain_text("The server does not answer")
        with commands.start("serve", "bundled", "--port", str(server.port)) as process:
            until(lambda: "\n" in process.out.text)
            assert write(page).startswith(kept)


def test_the_page_asks_for_the_key(browser: Browser) -> None:
    rules = AccessRules(host_names=LOOPBACK_NAMES, api_key="secret")
    with page_server(MODELS, rules=rules) as url, open_page(browser, url, allowed=("401",)) as page:
        dialog = page.get_by_role("dialog", name="The key of this server")
        dialog.get_by_label("The key").fill("wrong")
        dialog.get_by_role("button").click()
        expect(dialog.get_by_role("alert")).to_contain_text("does not accept")
        dialog.get_by_label("The key").fill("secret")
        page.keyboard.press("Enter")
        finish(page)
        read(page, "abc")
        assert shown(page) == "abc"
        stored = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
        assert stored == [0, 0, ""]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, url: str, scheme: Literal["light", "dark"]) -> None:
    """CHARLM_AXE is the path of axe.min.js, from the npm package axe-core."""
    axe = os.environ.get("CHARLM_AXE")
    if axe is None:
        pytest.skip("no axe-core: set CHARLM_AXE")
    with open_page(browser, url, color_scheme=scheme, bypass_csp=True) as page:
        compare(page, "a quick fox")
        page.fill("#top-k", "3")
        page.locator(".unit").nth(2).click()
        page.evaluate(Path(axe).read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")
        assert [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]] == []
        assert len(found["passes"]) > 20
