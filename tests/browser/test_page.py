"""What a reader does with the page of `charlm serve`: write, stop, branch, undo, compare, share."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from charlm.api import Model
from charlm.evaluation.explain.draw_surprisals import SurprisalDrawing
from charlm.evaluation.explain.explanation import explain
from charlm.evaluation.explain.visible import escape_invisible_lines
from charlm.sampling.filters import Filter, MinP, Temperature, TopK, TopP, apply_filters
from charlm.vocab.base import NUM_BYTES
from charlm.vocab.char import CharVocab
from charlm.workflows.evaluate import stream_from_text
from tests.browser.chromium import MARKS, chromium, finish, open_page, read, request_count, shown, write
from tests.browser.page_server import page_server
from tests.serving.served import CPU, TEXT, make_model, set_bias, vocabularies

pytestmark = MARKS

HEBREW = "שלום עולם, مرحبا بالعالم"
LETTERS = CharVocab("".join(sorted(set(TEXT + HEBREW))))
VOCABULARIES = {"letters": LETTERS, "other": LETTERS} | vocabularies()
MODELS = {name: make_model(name, vocab, seed=seed) for seed, (name, vocab) in enumerate(VOCABULARIES.items())}
for name in ("letters", "other"):
    set_bias(MODELS[name], -50, LETTERS.eod_id, *range(1, 1 + NUM_BYTES))
set_bias(MODELS["byte"], 5, VOCABULARIES["byte"].eod_id)
CLUSTERS = "é e\u0301 👩‍👩‍👧 🇫🇷🇩🇪 ☃ नी \u202e\x00\xad\t\n\u0600\U000e0001"
"""Characters of several code points, and invisible ones; no vocabulary of letters has all of them."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """The log of the server."""
    return []


@pytest.fixture(scope="module")
def url(lines: list[str]) -> Iterator[str]:
    with page_server(MODELS, lines=lines) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with open_page(browser, url) as page:
        yield page


def units(page: Page) -> list[tuple[str, str]]:
    """The text of each unit, and the class of its colour."""
    found = page.evaluate("[...document.querySelectorAll('.unit')].map((unit) => [unit.textContent, unit.className])")
    return [(text, next(name for name in classes.split() if re.fullmatch(r"c\d+", name))) for text, classes in found]


def drawn(model: Model, text: str) -> list[tuple[str, str]]:
    """The same as `charlm explain` draws them, without the <eod> at the end."""
    stream = stream_from_text(text, model.vocab)
    found = explain(model.network, model.vocab, text, stream, direction="forward", top=1, device=CPU)
    parts = SurprisalDrawing(found).parts()
    return [(escape_invisible_lines(part.text), f"c{part.level}") for part in parts if not part.is_end]


def test_a_text_has_the_units_and_colours_of_explain(page: Page) -> None:
    text = f"{TEXT}{CLUSTERS} {HEBREW}"
    read(page, text)
    for name, model in MODELS.items():
        page.select_option("#model-1", name)
        finish(page)
        assert units(page) == drawn(model, text), name


def test_bars_follow_the_sliders_without_asking_the_server(page: Page, lines: list[str]) -> None:
    read(page, "quick")
    asked = len(lines)
    bars = page.locator(".bars li")
    expect(bars).to_have_count(20)
    widths: list[float] = []
    for temperature in ("2", "1", "0.3", "0"):
        page.locator("#temperature").fill(temperature)
        widths.append(float(bars.first.locator(".bar").evaluate("(bar) => parseFloat(bar.style.width)")))
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] == 100
    assert page.locator(".bars li.cut").count() == 19
    page.locator("#temperature").fill("1")
    page.fill("#top-k", "5")
    assert page.locator(".bars li.cut").count() == 15
    assert "cut by top-k" in bars.nth(5).inner_text()
    assert page.locator(".summary").first.inner_text().startswith(f"5 of {LETTERS.size} tokens")
    assert len(lines) == asked


def test_what_is_cut_off_is_what_the_server_cuts_off(page: Page) -> None:
    """The scripts and charlm's filters agree on random distributions."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        logits = torch.from_numpy(rng.normal(0, rng.uniform(0.1, 4), 50)).double()
        log_p = logits.log_softmax(-1).sort(descending=True).values
        values: dict[str, Any] = {
            "temperature": float(rng.choice([0, 0.3, 1, 1.7])),
            "topK": int(rng.integers(1, 60)) if rng.random() < 0.5 else None,
            "topP": float(rng.uniform(0.05, 1)) if rng.random() < 0.5 else None,
            "minP": float(rng.uniform(0, 0.5)) if rng.random() < 0.5 else None,
        }
        kinds = (("topK", TopK), ("topP", TopP), ("minP", MinP))
        chosen = [kind(values[name]) for name, kind in kinds if values[name] is not None]
        filters: list[Filter] = [Temperature(values["temperature"]), *chosen]
        expected = apply_filters(filters, log_p[None])[0].softmax(-1)
        found = page.evaluate(
            """async ([logProbabilities, settings]) => {
              const { shapeDistribution } = await import("/page/distribution.js");
              const { probabilities, numKept, mass } = shapeDistribution(logProbabilities, settings);
              return [...probabilities].map((probability, index) => (index < numKept ? probability / mass : 0));
            }""",
            [log_p.tolist(), values],
        )
        np.testing.assert_allclose(found, expected, atol=1e-9, err_msg=str(values))


def test_text_streams_in_and_stops(page: Page) -> None:
    read(page, "quick")
    page.fill("#length", "10000")
    page.click("#write")
    expect(page.locator("#write")).to_have_text("Stop")
    page.locator(".unit.written").nth(20).wait_for()
    page.click("#write")
    finish(page)
    expect(page.locator("#write")).to_have_text("Write")
    kept = shown(page)
    assert kept.startswith("quick")
    assert page.locator("#status").inner_text() == "Stopped."
    page.click("#undo")
    finish(page)
    assert shown(page) == "quick"
    page.click("#redo")
    finish(page)
    assert shown(page) == kept


def test_another_token_is_chosen_with_the_pointer(page: Page) -> None:
    read(page, "the fox")
    page.fill("#length", "6")
    page.locator(".unit").nth(4).click()
    card = page.get_by_role("dialog", name="What else could stand here")
    expect(card.locator("[aria-current]")).to_have_count(1)
    other = card.locator("li:not(.taken) button").first
    name = other.locator(".token").inner_text()
    other.click()
    finish(page)
    texts = page.locator(".unit").all_inner_texts()
    assert texts[:4] == list("the ")
    assert page.locator(".unit.chosen").inner_text().strip() in (name, "⏎", "")
    assert page.locator(".unit.written").count() <= 6
    expect(card).to_be_hidden()


def test_another_token_is_chosen_with_the_keyboard(page: Page) -> None:
    read(page, "the fox")
    page.fill("#length", "3")
    page.focus(".text")
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.locator("#said").inner_text().startswith("e: probability")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "text"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown" if page.locator(".card li").first.get_attribute("class") == "taken" else "ArrowUp")
    page.keyboard.press("Enter")
    finish(page)
    assert page.locator(".unit.chosen").count() == 1
    assert shown(page).startswith("th")
    assert not shown(page).startswith("the")
    page.keyboard.press("Control+z")
    finish(page)
    assert shown(page) == "the fox"


def test_a_link_fills_the_form_and_asks_for_nothing(browser: Browser, url: str, page: Page, lines: list[str]) -> None:
    read(page, "mягких")
    page.locator("#temperature").fill("0.55")
    page.fill("#top-k", "7")
    page.fill("#length", "40")
    written = write(page)
    page.click("#share")
    asked = request_count(lines, "POST")
    with open_page(browser, page.url) as other:
        finish(other)
        other.wait_for_timeout(600)
        assert request_count(lines, "POST") == asked
        assert other.input_value("#text") == "mягких"
        assert (other.input_value("#top-k"), other.input_value("#temperature")) == ("7", "0.55")
        assert write(other) == written
        page.click("#compare")
        finish(page)
        page.select_option("#model-2", "word")
        finish(page)
        page.click("#share")
        other.goto(page.url)
        assert other.locator("#model-2").input_value() == "word"


def test_two_models_read_and_write_the_same_text(page: Page) -> None:
    read(page, "the quick")
    page.click("#compare")
    finish(page)
    assert page.locator("#model-2").input_value() == "other"
    assert shown(page, 0) == shown(page, 1) == "the quick"
    first, second = (pane.inner_text() for pane in page.locator(".figures").all())
    assert first != second
    page.fill("#length", "30")
    write(page)
    assert shown(page, 0) != shown(page, 1)
    page.click("#take")
    finish(page)
    assert page.input_value("#text").startswith("the quick")
    page.click("#compare")
    expect(page.locator(".pane").nth(1)).to_be_hidden()


def test_a_text_may_end_and_another_begin(page: Page) -> None:
    """<eod> is a token that can be chosen, and the next document follows."""
    page.select_option("#model-1", "byte")
    read(page, "é")
    page.locator("#temperature").fill("0")
    page.locator(".next .bars button", has_text="<eod>").click()
    finish(page)
    assert shown(page).strip() == "é<eod>"
    page.fill("#length", "5")
    assert len(write(page)) > len("é<eod>")


def test_a_second_model_reads_the_text_before_it_writes(page: Page) -> None:
    """Though Write is pressed before it has read."""
    read(page, "a quick")
    page.fill("#length", "5")
    page.evaluate("document.getElementById('compare').click(); document.getElementById('write').click()")
    finish(page)
    for pane in page.locator(".pane .text").all():
        assert pane.inner_text().startswith("a quick")
        assert pane.locator(".unit.written").count() == 5
