"""The page of `charlm export --format html`, opened from a file: it reads, writes and goes back as Python does."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

import charlm
from charlm.api import Model
from charlm.export.web_page.build_page import build_page
from charlm.nn.quantize import quantize_cells
from charlm.sampling.fast.stepper import choose_stepper
from charlm.vocab.char import CharVocab
from tests.browser.chromium import MARKS, chromium, finish, open_page, shown
from tests.export.web_page.models import TEXT, load_bundled, make_model

pytestmark = MARKS

HOSTILE = "</script><img src=x onerror=alert(1)>"
HEBREW = "שלום עולם"
PROMPT = "The list "
SEED, LENGTH = 7, 80


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def bundled() -> Model:
    return charlm.load("bundled")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "bundled.html"
    path.write_text(build_page(load_bundled(), "bundled").text, encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with open_page(browser, file.as_uri()) as page:
        finish(page)
        yield page


def read(page: Page, text: str) -> None:
    """Write a text of known characters into the field, and wait until the page has read it."""
    page.fill("#text", text)
    expect(page.locator(".figures")).to_have_text(re.compile(f"· {len(text)} tokens"))
    finish(page)


def write(page: Page) -> str:
    """Press Write, and return the whole text as it is shown, once it is written."""
    page.fill("#seed", str(SEED))
    page.fill("#length", str(LENGTH))
    page.click("#write")
    expect(page.locator("#status")).to_have_text(re.compile(f"Written with seed {SEED}, [\\d,]+ characters a second"))
    finish(page)
    return shown(page)


def test_a_seed_writes_what_python_writes(page: Page, bundled: Model) -> None:
    read(page, PROMPT)
    expected = bundled.sample(PROMPT, seed=SEED, length=LENGTH, precision="int8")
    write(page)
    page.click("#take")
    finish(page)
    assert page.input_value("#text") == PROMPT + expected


@torch.inference_mode()
def test_surprisals_and_bars_are_those_of_python(page: Page, bundled: Model) -> None:
    read(page, PROMPT)
    model, vocab = load_bundled().model, bundled.vocab
    quantize_cells(model)
    stepper = choose_stepper(model, model.initial_state(1), "int8")
    ids = vocab.encode(PROMPT).tolist()
    log_p = [
        stepper.step(torch.tensor([token]))[0].double().log_softmax(-1).numpy().copy() for token in [vocab.eod_id, *ids]
    ]
    bits = -sum(float(each[token]) for each, token in zip(log_p[:-1], ids, strict=True)) / math.log(2) / len(PROMPT)
    expect(page.locator(".figures")).to_have_text(f"{bits:.2f} bits per character · {len(ids)} tokens")
    likeliest = np.argsort(-log_p[-1])[:20]
    names = page.locator(".next .bars .token")
    expect(names).to_have_text([vocab.symbol(int(token)).replace(" ", "␣").replace("\n", "⏎") for token in likeliest])
    page.fill("#top-k", "3")
    expect(page.locator(".next .bars .cut")).to_have_count(17)


def test_a_choice_goes_on_from_its_place_and_undo_goes_back(page: Page) -> None:
    read(page, PROMPT)
    whole = write(page)
    page.locator(".unit").nth(4).click()
    chosen = page.locator(".card .bars button").nth(1)
    letter = chosen.locator(".token").inner_text()
    chosen.click()
    finish(page)
    expect(page.locator("#status")).to_have_text(re.compile("Written"))
    assert shown(page).startswith(PROMPT[:4] + letter)
    page.click("#undo")
    finish(page)
    assert shown(page) == whole
    page.click("#redo")
    finish(page)
    assert shown(page).startswith(PROMPT[:4] + letter)


def test_writing_can_be_stopped(page: Page) -> None:
    page.fill("#length", "10000")
    page.click("#write")
    expect(page.locator(".unit").nth(5)).to_be_visible()
    page.click("#write")
    expect(page.locator("#status")).to_have_text(re.compile("Stopped"))
    finish(page)
    assert 5 < page.locator(".unit").count() < 10_000
    expect(page.locator("#write")).to_have_text("Write")


def test_names_and_characters_are_text(browser: Browser, tmp_path: Path) -> None:
    """On the width of a phone, in the dark, with letters that run to the left."""
    vocab = CharVocab("".join(dict.fromkeys(HOSTILE + HEBREW)))
    path = tmp_path / "hostile.html"
    path.write_text(build_page(make_model("lstm", vocab), HOSTILE, facts=(("text", HOSTILE),)).text, encoding="utf-8")
    with open_page(browser, path.as_uri(), viewport={"width": 390, "height": 844}, color_scheme="dark") as page:
        finish(page)
        expect(page.locator("h1")).to_have_text(HOSTILE)
        read(page, HEBREW + HOSTILE)
        assert shown(page) == HEBREW + HOSTILE
        assert page.locator("main img").count() == 0
        write(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        read(page, HEBREW)
        boxes = [unit.bounding_box() for unit in page.locator(".unit").all()]
        left = [box["x"] for box in boxes if box]
        assert left == sorted(left, reverse=True)


def test_ngrams_run_in_the_browser(browser: Browser, tmp_path: Path) -> None:
    loaded = make_model("n-gram component")
    path = tmp_path / "ngrams.html"
    path.write_text(build_page(loaded, "n-grams").text, encoding="utf-8")
    text = TEXT[:100]
    ids = loaded.vocab.encode(text)
    with torch.inference_mode():
        inputs = torch.tensor([[loaded.vocab.eod_id, *ids[:-1].tolist()]])
        features, _ = loaded.model(inputs, loaded.model.initial_state(1))
        nats = loaded.model.head.nll(features, torch.from_numpy(ids.astype(np.int64))[None]).sum()
    with open_page(browser, path.as_uri()) as page:
        finish(page)
        read(page, text)
        expected = f"{float(nats) / math.log(2) / len(text):.2f} bits per character · {len(ids)} tokens"
        expect(page.locator(".figures")).to_have_text(expected)
