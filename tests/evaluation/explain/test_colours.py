"""The scales: steps that look alike, text that can be read on each of them."""

import math
from itertools import pairwise

import pytest

from charlm.evaluation.explain.colours import (
    EFFECT,
    NO_EFFECT,
    NUM_LEVELS,
    ON_DARK,
    ON_LIGHT,
    Colour,
    ColourScale,
    bits_to_level,
    nearest_xterm_colour,
)

SCALES = pytest.mark.parametrize("scale", [ON_LIGHT, ON_DARK], ids=["light", "dark"])
DIVERGING = pytest.mark.parametrize("scale", [EFFECT.on_light, EFFECT.on_dark], ids=["light", "dark"])


def luminance(colour: Colour) -> float:
    """Relative luminance of sRGB (WCAG 2)."""
    parts = [value / 255 for value in (colour.red, colour.green, colour.blue)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: Colour, b: Colour) -> float:
    """WCAG 2."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@SCALES
def test_steps_look_equally_far_apart(scale: ColourScale) -> None:
    steps = [math.dist(a.lab, b.lab) for a, b in pairwise(scale.levels)]
    assert len(scale.levels) == NUM_LEVELS
    assert min(steps) > 0.8 * max(steps), "up to the corners and the rounding to bytes"
    assert min(steps) > 0.015, "and can be told apart"


@SCALES
def test_lightness_goes_one_way(scale: ColourScale) -> None:
    lightness = [colour.lab[0] for colour in scale.levels]
    away = 1 if scale is ON_DARK else -1
    assert all(away * (b - a) > 0.005 for a, b in pairwise(lightness))


@SCALES
def test_text_can_be_read_on_every_level(scale: ColourScale) -> None:
    assert min(contrast(scale.text_colour, colour) for colour in scale.levels) > 5
    terminal = [nearest_xterm_colour(colour) for colour in scale.levels]
    assert len(set(terminal)) >= 8


@DIVERGING
def test_both_sides_of_a_diverging_scale_lead_away_from_the_background(scale: ColourScale) -> None:
    away = 1 if scale is EFFECT.on_dark else -1
    assert len(scale.levels) == NUM_LEVELS
    assert scale.levels[NO_EFFECT] == (ON_DARK if scale is EFFECT.on_dark else ON_LIGHT).levels[0]
    for side in (scale.levels[NO_EFFECT:], scale.levels[NO_EFFECT::-1]):
        assert all(away * (b.lab[0] - a.lab[0]) > 0.005 for a, b in pairwise(side))
        steps = [math.dist(a.lab, b.lab) for a, b in pairwise(side)]
        assert 0.015 < 0.8 * max(steps) < min(steps)
    assert min(contrast(scale.text_colour, colour) for colour in scale.levels) > 5


@DIVERGING
def test_no_colour_of_one_side_is_one_of_the_other(scale: ColourScale) -> None:
    """Beside the faintest, which a terminal with 256 colours may show in grey."""
    terminal = [nearest_xterm_colour(colour) for colour in scale.levels]
    against, support = terminal[: NO_EFFECT - 2], terminal[NO_EFFECT + 3 :]
    assert not {*against} & {*terminal[NO_EFFECT:]}
    assert not {*support} & {*terminal[: NO_EFFECT + 1]}
    for below, above in zip(scale.levels[NO_EFFECT - 2 :: -1], scale.levels[NO_EFFECT + 2 :], strict=False):
        assert below.lab[2] > 0 > above.lab[2], "yellow against blue, which nearly all can tell apart"


def test_known_colours() -> None:
    white, red = Colour(255, 255, 255), Colour(255, 0, 0)
    assert white.hex == "#FFFFFF"
    assert white.lab == pytest.approx((1, 0, 0), abs=1e-3)
    assert red.lab == pytest.approx((0.628, 0.225, 0.126), abs=1e-3)
    assert contrast(white, Colour(0, 0, 0)) == pytest.approx(21)
    assert (nearest_xterm_colour(white), nearest_xterm_colour(red), nearest_xterm_colour(Colour(8, 8, 8))) == (
        231,
        196,
        232,
    )
    assert ON_LIGHT.levels[0] == white
    assert ON_DARK.levels[0].hex in ("#17191E", "#171A1F", "#16191F", "#171A1E", "#17191F")


@pytest.mark.parametrize(
    ("bits", "level"), [(0, 0), (-0.0, 0), (0.49, 0), (0.5, 1), (3.2, 6), (9.99, 19), (10, 20), (1000, 20)]
)
def test_levels_are_half_bits(bits: float, level: int) -> None:
    assert bits_to_level(bits) == level
