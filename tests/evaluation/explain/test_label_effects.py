"""Effects on a label: those of the shortened texts read alone, in the colours of their sign."""

import json
import math
import re

import numpy as np
import pytest
import regex
import torch

from charlm.errors import DataError
from charlm.evaluation.explain import effects as effects_module
from charlm.evaluation.explain.colours import EFFECT, NO_EFFECT, NUM_LEVELS, ColourScale, effect_to_level
from charlm.evaluation.explain.draw_effects import EffectDrawing
from charlm.evaluation.explain.effects import LabelEffects, find_effects
from charlm.evaluation.explain.page import render_page
from charlm.evaluation.explain.terminal import ColourDepth, render_lines, summary_lines
from charlm.evaluation.explain.visible import escape_invisible_lines
from charlm.vocab.base import Vocab
from tests.evaluation.explain.models import CPU, label_model_of, vocab_of
from tests.evaluation.explain.test_page import HOSTILE, Page
from tests.evaluation.explain.test_terminal import plain

NAMES = ("good", "bad", "</script><b>\x1b")
TEXTS = ["q", "The quick brown fox", "e\u0301e\u0301 👩\u200d👩\u200d👧\r\n☃ Ωq", HOSTILE]


def effects_of(text: str, *, label: int | None = None, vocab: str = "char", top: int = 5) -> LabelEffects:
    learned = vocab_of(vocab)
    model = label_model_of(learned, len(NAMES))
    return find_effects(model, learned, NAMES, text, label, top=top, device=CPU, on_progress=lambda tokens, total: None)


def log_probability(text: str, vocab: Vocab, label: int) -> float:
    """log2 p(label | text), by the model alone."""
    ids = torch.tensor([[*vocab.encode(text).tolist(), vocab.eod_id]])
    model = label_model_of(vocab, len(NAMES))
    with torch.inference_mode():
        features_BTH, _ = model(ids, model.initial_state(1), torch.tensor([ids.shape[1]]))
        log_p_L = model.head.logits(features_BTH[0, -1]).log_softmax(-1)
    return float(log_p_L[label]) / math.log(2)


@pytest.mark.parametrize("vocab", ["char", "byte", "words of all sorts"])
@pytest.mark.parametrize("text", TEXTS)
def test_an_effect_is_what_the_text_without_the_character_loses(text: str, vocab: str) -> None:
    found = effects_of(text, vocab=vocab)
    clusters = regex.findall(r"\X", text)
    assert [text[slice(*found.span(piece))] for piece in range(len(found.ends_P))] == clusters
    whole = log_probability(text, vocab_of(vocab), found.label)
    for piece, effect in enumerate(found.effects_P):
        start, end = found.span(piece)
        without = log_probability(text[:start] + text[end:], vocab_of(vocab), found.label)
        assert effect == pytest.approx(whole - without, abs=1e-4)
    assert found.best[0] == (NAMES[found.label], pytest.approx(2**whole, rel=1e-4))
    assert sum(p for _, p in found.best) == pytest.approx(1)


def test_another_label_can_be_explained() -> None:
    found, other = effects_of("The quick"), effects_of("The quick", label=2, top=1)
    assert other.to_json()["label"] == NAMES[2]
    assert found.label != 2
    assert list(other.to_json()["labels"]) == [NAMES[found.label]]
    assert "explained: " in "".join(summary_lines(EffectDrawing(other)))
    assert "explained: " not in "".join(summary_lines(EffectDrawing(found)))


@pytest.mark.parametrize(("length", "size", "number"), [(7, 1, 7), (8, 2, 4), (21, 3, 7), (22, 4, 6)])
def test_in_a_long_text_neighbours_are_left_out_together(
    monkeypatch: pytest.MonkeyPatch, length: int, size: int, number: int
) -> None:
    monkeypatch.setattr(effects_module, "MAX_PIECES", 7)
    monkeypatch.setattr(effects_module, "_BLOCK_CHARACTERS", 40)
    text = "e\u0301" * length
    found = effects_of(text)
    assert (found.cluster_size, len(found.ends_P), found.clusters_P.sum()) == (size, number, length)
    assert found.ends_P.tolist() == [min(2 * size * (piece + 1), len(text)) for piece in range(number)]
    expected = log_probability(text, vocab_of("char"), found.label) - log_probability(
        text[: found.ends_P[-2]], vocab_of("char"), found.label
    )
    assert found.effects_P[-1] == pytest.approx(expected, abs=1e-4)
    summary = "\n".join(EffectDrawing(found).summary_lines())
    assert (f"{size} neighbouring characters" in summary) == (size > 1)


def test_progress_is_in_tokens() -> None:
    vocab, seen = vocab_of("char"), list[tuple[int, int]]()
    find_effects(
        label_model_of(vocab, 3), vocab, NAMES, "quick", None, top=1, device=CPU,
        on_progress=lambda tokens, total: seen.append((tokens, total)),
    )  # fmt: skip
    assert sum(tokens for tokens, _ in seen) == 6 + 5 * 5
    assert {total for _, total in seen} == {6 * 6}


def test_overflowing_numbers_are_refused() -> None:
    vocab = vocab_of("char")
    model = label_model_of(vocab, 3)
    with torch.no_grad():
        next(model.head.parameters()).fill_(float("inf"))
    with pytest.raises(DataError, match="overflow"):
        find_effects(model, vocab, NAMES, "q", None, top=1, device=CPU, on_progress=lambda tokens, total: None)


def drawing_of(*effects: float) -> EffectDrawing:
    """The drawing of a text with an x for each effect."""
    without_P = math.log(0.25) - np.array(effects) * math.log(2)
    ends_P = np.arange(1, len(effects) + 1)
    log_p_L = np.log([0.25, 0.75])
    return EffectDrawing(
        LabelEffects("x" * len(effects), ("good", "bad"), 0, log_p_L, ends_P, np.ones_like(ends_P), without_P, 2)
    )


def test_colours_reach_to_the_largest_effect() -> None:
    drawing = drawing_of(0.0, 0.31, -0.31, 0.02, -1e-9)
    assert (drawing.legend.before, drawing.legend.after) == ("bits against -0.5", "+0.5 for")
    assert [part.level for part in drawing.parts()] == [10, 16, 4, 10, 10]
    assert [part.level for part in drawing_of(1.5, -3, 5).parts()] == [13, 4, 20]
    assert "-0.1" in drawing_of(1e-6).legend.before
    assert "-20 " in drawing_of(11, 1).legend.before + " "
    assert [effect_to_level(bits, 1) for bits in (-9, -1, 0, 1, 9)] == [0, 0, NO_EFFECT, NUM_LEVELS - 1, NUM_LEVELS - 1]


def test_the_strongest_come_first_on_each_side() -> None:
    for_good, against = drawing_of(0.1, -2, 0.5, 0.001, -0.3).places()
    assert (for_good.heading, [place.bits for place in for_good.places]) == ("for good", ["+0.50", "+0.10"])
    assert (against.heading, [place.part for place in against.places]) == ("against good", [1, 4])
    assert against.places[0].probability == "100 %"
    assert "no character changes the probability of good" in "\n".join(summary_lines(drawing_of(0.001, 0)))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("scale", [EFFECT.on_dark, EFFECT.on_light], ids=["dark", "light"])
def test_the_terminal_shows_the_text_and_no_command_in_it(text: str, scale: ColourScale) -> None:
    drawing = EffectDrawing(effects_of(text, label=2))
    for depth in (ColourDepth.TRUE, ColourDepth.INDEXED):
        lines = list(render_lines(drawing, depth, scale))
        assert "\n".join(map(plain, lines[:-2])).rstrip("\n") == escape_invisible_lines(text).rstrip("\n")
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", "".join(map(plain, lines)))
        assert len(set(re.findall(r"\x1b\[48;([\d;]+);38", lines[-1]))) >= 10
    assert "\x1b" not in "".join(summary_lines(drawing))


@pytest.mark.parametrize("text", TEXTS)
def test_the_page_holds_what_was_found(text: str) -> None:
    found = effects_of(text, label=2)
    drawing = EffectDrawing(found)
    source = "".join(render_page(drawing, HOSTILE))
    page = Page(source)
    data = json.loads(page.scripts[0])
    assert "".join(content for _, content in page.characters) == escape_invisible_lines(text)
    assert [int(attributes["class"][1:]) for attributes, _ in page.characters] == [
        part.level for part in drawing.parts()
    ]
    assert np.array(data["effects"]) / 1000 == pytest.approx(found.effects_P, abs=6e-4)
    assert 2 ** (-np.array(data["bits_without"]) / 1000) == pytest.approx(np.exp(found.without_P), rel=1e-3)
    assert 2 ** -data["bits"] == pytest.approx(found.probability(2), rel=1e-4)
    assert data["label"] == r"</script><b>\x1b"
    assert not {"b", "img"} & {tag for tag, attributes in page.elements if "class" not in attributes}
    assert len(page.scripts) == 2
