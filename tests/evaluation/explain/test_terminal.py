"""The coloured text shows any text unchanged, and no character in it commands the terminal."""

import re

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from charlm.evaluation.explain.colours import ON_DARK, ON_LIGHT, SURPRISAL, bits_to_level, nearest_xterm_colour
from charlm.evaluation.explain.draw_surprisals import SurprisalDrawing
from charlm.evaluation.explain.drawing import BITS_LEGEND
from charlm.evaluation.explain.terminal import (
    ColourDepth,
    choose_colour_scale,
    detect_colour_depth,
    legend_line,
    render_lines,
    summary_lines,
)
from charlm.evaluation.explain.visible import escape_invisible_lines
from tests.evaluation.explain.models import drawn, explained, vocab_of

VOCAB = vocab_of("char")
WORDS = vocab_of("words of all sorts")
PAINT = re.compile(r"\x1b\[48;(?:2;\d+;\d+;\d+|5;\d+);38;(?:2;\d+;\d+;\d+|5;\d+)m(.*?)\x1b\[0m")
TEXTS = st.text(st.sampled_from("The quick\n\r\t\x1b\u202e\u0301東🙂") | st.characters(exclude_categories=("Cs",)))


def plain(line: str) -> str:
    return PAINT.sub(lambda found: found[1], line)


@given(text=TEXTS.filter(bool), depth=st.sampled_from([ColourDepth.INDEXED, ColourDepth.TRUE]), words=st.booleans())
@example(text="\x1b[2J\x1b]0;title\x07\u202e", depth=ColourDepth.TRUE, words=False)
def test_colours_change_nothing_in_the_text(text: str, depth: ColourDepth, words: bool) -> None:
    found = drawn(text, WORDS if words else VOCAB)
    lines = list(render_lines(found, depth, ON_DARK))
    assert "\n".join(map(plain, lines[:-2])) == escape_invisible_lines(text) + "<eod>"
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "".join(map(plain, lines)))
    assert all(line.count("\x1b[") == 2 * len(PAINT.findall(line)) for line in lines), "and all is closed"


def test_no_escape_sequence_is_inside_a_character() -> None:
    text = "👩\u200d👩\u200d👧e\u0301हिन्दी東京 quick"
    line = next(render_lines(drawn(text, VOCAB), ColourDepth.TRUE, ON_DARK))
    marks = re.split(r"\x1b\[[\d;]*m", line)
    assert sum(len(regex.findall(r"\X", part)) for part in marks) == len(regex.findall(r"\X", text + "<eod>"))


def test_each_character_has_the_colour_of_its_bits() -> None:
    found = explained("The quick ☃ fox", VOCAB)
    painted = [
        (bits_to_level(bits), found.unit_text(unit))
        for unit, bits in enumerate(found.bits_per_cluster_U.tolist())
        if bits_to_level(bits)
    ]
    line = next(render_lines(SurprisalDrawing(found), ColourDepth.TRUE, ON_LIGHT))
    expected = ""
    for level, text in [*painted, (bits_to_level(found.eod.bits), "<eod>")]:
        colour = ON_LIGHT.levels[level]
        expected += f"{colour.red};{colour.green};{colour.blue}:" * len(text)
    grounds = re.findall(r"\x1b\[48;2;(\d+;\d+;\d+);38;2;20;23;28m(.*?)\x1b\[0m", line)
    assert "".join(f"{ground}:" * len(text) for ground, text in grounds) == expected
    assert len(set(grounds)) > 3
    indexed_line = next(render_lines(SurprisalDrawing(found), ColourDepth.INDEXED, ON_LIGHT))
    assert f"48;5;{nearest_xterm_colour(ON_LIGHT.levels[20])};" in indexed_line


def test_a_backward_text_has_its_end_in_front() -> None:
    lines = list(render_lines(drawn("quick\n", VOCAB, direction="backward"), ColourDepth.TRUE, ON_DARK))
    assert [plain(line) for line in lines[:-1]] == ["<eod>quick⏎", ""]


def test_the_legend_names_bits() -> None:
    assert plain(legend_line(BITS_LEGEND, ColourDepth.TRUE, ON_DARK)).split() == "bits 0 2 4 6 8 10 and more".split()
    assert legend_line(BITS_LEGEND, ColourDepth.TRUE, ON_DARK).count("\x1b[48") == 20


def test_the_summary_is_plain() -> None:
    lines = list(summary_lines(drawn("The quick ☃\x1b fox", VOCAB)))
    assert re.fullmatch(r"[\d.]+ bits per character, perplexity [\d.,]+ per token; 16 characters, 19 tokens", lines[0])
    assert len(lines) == 2 + 2 * 5
    assert any(r"☃\x1b" in line.replace("[", "").replace("]", "") for line in lines[2:])
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    ("environment", "is_terminal", "depth"),
    [
        ({"TERM": "xterm-256color"}, True, ColourDepth.INDEXED),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, True, ColourDepth.TRUE),
        ({"TERM": "xterm", "COLORTERM": "24bit"}, True, ColourDepth.TRUE),
        ({"TERM": "xterm", "COLORTERM": "yes"}, True, ColourDepth.INDEXED),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, False, ColourDepth.NONE),
        ({"TERM": "xterm", "NO_COLOR": "1", "COLORTERM": "truecolor"}, True, ColourDepth.NONE),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, ColourDepth.INDEXED),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, True, ColourDepth.NONE),
        ({}, True, ColourDepth.NONE),
    ],
)
def test_a_terminal_says_what_it_can_show(environment: dict[str, str], is_terminal: bool, depth: ColourDepth) -> None:
    assert detect_colour_depth(environment, is_terminal=is_terminal) is depth


@pytest.mark.parametrize(("value", "is_light"), [("", False), ("15;0", False), ("0;15", True), ("0;default;7", True)])
def test_the_scale_fits_the_ground(value: str, is_light: bool) -> None:
    assert (choose_colour_scale({"COLORFGBG": value}, SURPRISAL) is ON_LIGHT) == is_light
