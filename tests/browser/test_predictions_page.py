"""The page of `charlm serve` with models of labels, tags and texts: bars, tags, alignments, labels to choose."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from charlm.checkpoint import LoadedModel
from charlm.evaluation.explain.alignment import AlignmentExplanation
from charlm.vocab.char import CharVocab
from charlm.workflows.explain import align_target
from charlm.workflows.predict import Predictor
from charlm.workflows.predict_options import PredictOptions
from charlm.workflows.prediction import Query, TextPrediction
from tests.browser.chromium import MARKS, chromium, finish, open_page, read, shown, write
from tests.browser.page_server import page_server
from tests.serving.served import make_model
from tests.serving.task_models import LETTERS, VOCAB, classifier, labelled_writer, tagger, transducer

pytestmark = MARKS

HOSTILE = '<img src="x" onerror="window.isHacked = true">'
HEBREW = "שלום עולם"
WIDE = CharVocab("".join(sorted(set(LETTERS + HEBREW + HOSTILE))))
TARGETS = CharVocab(LETTERS, byte_fallback=False)
PREDICTING: dict[str, LoadedModel] = {
    "labels": classifier("7", HOSTILE, "even", "odd", vocab=WIDE),
    "tags": tagger("A", HOSTILE, "NOUN", vocab=WIDE),
    "words": tagger("NOUN", "VERB", asks="words", vocab=WIDE),
    "copied": transducer(vocab=TARGETS, seed=25),  # with these seeds texts are not empty
    "soft": transducer("dot", vocab=TARGETS, seed=48),
}
MODELS = {**PREDICTING, "names": labelled_writer("alba", "echo", "iris"), "language": make_model("language", VOCAB)}
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


def choose(page: Page, model: str) -> Locator:
    """Choose a model in the first pane, and return what it predicts."""
    page.select_option("#model-1", model)
    finish(page)
    return page.locator(".pane").first.locator(".prediction")


def predict(page: Page, text: str) -> None:
    """Write a text into the field, and wait for what is predicted of it."""
    finish(page)
    with page.expect_response("**/predict"):
        page.fill("#text", text)
    finish(page)


def expected(model: str, text: str, top: int = 1) -> TextPrediction:
    return next(Predictor(PREDICTING[model], model, "cpu", PredictOptions(top=top)).predict([Query(text)]))


def alignment(model: str, text: str) -> AlignmentExplanation:
    target = expected(model, text, top=5).targets[0].text
    return align_target(PREDICTING[model], text, target, top=1, device="cpu")


def test_labels_are_bars_that_follow_the_typing(page: Page) -> None:
    prediction = choose(page, "labels")
    expect(prediction.locator(".hint")).to_be_visible()
    for text in ("a quick fox", "another"):
        predict(page, text)
        likeliest = [each.label for each in expected("labels", text, top=4).labels]
        expect(prediction.locator(".token")).to_have_text(likeliest)
        expect(page.locator("#said")).to_have_text(re.compile(re.escape(likeliest[0]) + ": "))
    assert page.evaluate("window.isHacked") is None
    expect(page.locator("#settings")).to_be_hidden()
    expect(page.locator("#write")).to_have_text("Predict")
    page.click("#undo")
    finish(page)
    best = expected("labels", "a quick fox").labels[0]
    expect(prediction.locator(".taken .token")).to_have_text(best.label)
    page.fill("#text", "")
    expect(prediction.locator(".hint")).to_have_text("Write a text to see what the model predicts.")
    expect(prediction.locator(".token").first).to_be_hidden()


def test_tags_have_their_names_below_and_tell_their_probabilities(page: Page) -> None:
    prediction = choose(page, "words")
    predict(page, "a quick\nfox")
    tags = expected("words", "a quick\nfox").tags
    parts = prediction.locator("ruby")
    expect(parts).to_have_count(3)
    expect(prediction.locator("rt")).to_have_text([tag.tag for tag in tags])
    expect(prediction.locator(".tagged .line")).to_have_count(2)
    parts.nth(1).hover()
    detail = prediction.locator(".tagged + .detail")
    expect(detail).to_contain_text(f"quick: {tags[1].tag}, probability")
    page.mouse.move(0, 0)
    expect(detail).to_be_empty()
    prediction.locator(".tagged").focus()
    page.keyboard.press("Home")
    expect(page.locator("#said")).to_contain_text(f"a: {tags[0].tag}, probability")
    page.keyboard.press("ArrowDown")
    expect(detail).to_contain_text("fox: ")
    colours = parts.evaluate_all("(all) => all.map((each) => getComputedStyle(each).backgroundColor)")
    assert len(set(colours)) == len({tag.tag for tag in tags})


def test_equal_tags_of_characters_are_one_part(page: Page) -> None:
    prediction = choose(page, "tags")
    text = "abc def " + HEBREW
    predict(page, text)
    shown_text = prediction.locator(".tagged").evaluate(
        "(box) => [...box.querySelectorAll('rt')].map((each) => each.remove()) && box.textContent"
    )
    assert shown_text == text
    predict(page, text + "a")
    total = sum(int(each.rsplit(" ", 1)[1]) for each in prediction.locator(".tag-legend li").all_inner_texts())
    assert total == sum(not character.isspace() for character in text) + 1
    assert page.locator("main img").count() == 0


def test_tagged_text_runs_from_right_to_left_on_a_phone(browser: Browser, url: str) -> None:
    with open_page(browser, url, **PHONE) as page:
        prediction = choose(page, "words")
        predict(page, HEBREW + " " + "w" * 100)
        left = [box["x"] for part in prediction.locator("ruby").all()[:2] if (box := part.bounding_box())]
        assert left == sorted(left, reverse=True)
        prediction.locator("ruby").first.tap()
        expect(prediction.locator(".tagged + .detail")).to_contain_text("probability")
        assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("model", ["copied", "soft"])
def test_a_written_character_shows_where_it_came_from(page: Page, model: str) -> None:
    prediction = choose(page, model)
    text = "quick fox"
    predict(page, text)
    found = alignment(model, text)
    texts = [each.text for each in expected(model, text, top=5).targets]
    expect(prediction.locator(".token")).to_have_count(len(texts))
    cells = prediction.locator(".cell")
    expect(cells).to_have_count(len(text))
    weights = found.weights_PC[0].tolist()
    prediction.locator(".target .unit").first.hover()
    likeliest = weights.index(max(weights))
    if max(weights) > 0.06:
        expect(prediction.locator(".alignment .detail")).to_contain_text(f"({likeliest + 1}) ")
    for index, weight in enumerate(weights):
        level = round(weight * 20)
        expect(cells.nth(index)).to_have_class(f"cell c{level}" if level else "cell")
    prediction.locator(".target").focus()
    page.keyboard.press("Home")
    expect(page.locator("#said")).to_contain_text("probability")
    page.keyboard.press("Escape")
    expect(prediction.locator(".alignment .detail")).to_contain_text("Point at a written character")


def test_a_text_is_written_for_the_chosen_label(browser: Browser, url: str, page: Page) -> None:
    choose(page, "names")
    read(page, "ab")
    page.fill("#length", "12")
    page.fill("#seed", "3")
    label = page.get_by_label("Label", exact=True)
    written: list[str] = []
    for name in ("alba", "iris", "alba", "iris"):
        label.select_option(name)
        finish(page)
        written.append(write(page))
        page.click("#undo")
        finish(page)
        assert shown(page) == "ab"
        expect(label).to_have_value(name)
    assert written[:2] == written[2:]
    assert written[0] != written[1]
    page.click("#share")
    with open_page(browser, page.url) as other:
        finish(other)
        assert write(other) == written[1]
        expect(other.get_by_label("Label", exact=True)).to_have_value("iris")


def test_one_pane_writes_and_the_other_predicts(page: Page) -> None:
    choose(page, "language")
    read(page, "a fox")
    page.click("#compare")
    page.select_option("#model-2", "labels")
    finish(page)
    second = page.locator(".pane").nth(1)
    expect(second.locator(".prediction .token").first).to_have_text(expected("labels", "a fox").labels[0].label)
    page.fill("#length", "5")
    assert write(page).startswith("a fox")
    expect(page.locator("#settings")).to_be_visible()
    page.select_option("#model-1", "labels")
    finish(page)
    expect(page.locator("#write")).to_have_text("Predict")


def test_a_link_to_a_model_that_predicts_waits_for_the_reader(browser: Browser, url: str) -> None:
    with open_page(browser, f"{url}#text=a fox&model=copied") as page:
        finish(page)
        expect(page.locator("#status")).to_contain_text("Press Predict to see what the model says")
        expect(page.locator(".prediction .token").first).to_be_hidden()
        page.click("#write")
        finish(page)
        best = expected("copied", "a fox", top=5).targets[0].text
        assert page.locator(".prediction .token").first.text_content() == best


def test_a_text_that_cannot_be_read_is_told(browser: Browser, url: str) -> None:
    with open_page(browser, url, allowed=("400",)) as page:
        choose(page, "copied")
        page.fill("#text", "a" * 1_001)
        expect(page.locator("#status")).to_contain_text("a text has 1,001 characters")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, url: str, scheme: Literal["light", "dark"]) -> None:
    """CHARLM_AXE is the path of axe.min.js, from the npm package axe-core."""
    axe = os.environ.get("CHARLM_AXE")
    if axe is None:
        pytest.skip("no axe-core: set CHARLM_AXE")
    with open_page(browser, url, color_scheme=scheme, bypass_csp=True) as page:
        page.evaluate(Path(axe).read_text(encoding="utf-8"))
        for model in (*PREDICTING, "names"):
            choose(page, model)
            page.fill("#text", "a quick fox")
            finish(page)
            page.click("#write")
            finish(page)
            found = page.evaluate("axe.run()")
            assert [f"{model} {each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]] == []
