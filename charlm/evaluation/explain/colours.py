"""Colours for bits: steps that look equally large, on a light and on a dark background.

    surprisal    level 0   below half a bit: the background      level 20   ten bits and more
    effect       level 0   the most against       level 10   none: the background       level 20   the most for

Each scale is a path through OKLab (Ottosson, 2020) in steps of equal length. Lightness is monotonic along it, so that
people with any kind of colour blindness can read it. Effects have two such paths, blue and orange, which nearly all of
them can tell apart. Text has a contrast of at least 5:1 on every level.
"""

import math
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, pairwise

NUM_LEVELS = 21
NO_EFFECT = NUM_LEVELS // 2
LEVELS_PER_BIT = 2
_POINTS_PER_SEGMENT = 200  # points of the path between two corners
_CUBE = (0, 95, 135, 175, 215, 255)

Lab = tuple[float, float, float]
Corners = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Colour:
    """sRGB, 0..255."""

    red: int
    green: int
    blue: int

    @property
    def hex(self) -> str:
        return f"#{self.red:02X}{self.green:02X}{self.blue:02X}"

    @property
    def lab(self) -> Lab:
        """OKLab: lightness 0..1, green to red, blue to yellow."""
        red, green, blue = map(_srgb_to_linear, (self.red, self.green, self.blue))
        long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
        medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
        short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
        return (
            0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
            1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
            0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
        )


@dataclass(frozen=True)
class ColourScale:
    """The colour of text, and the corners of the path of backgrounds: lightness, chroma, and hue in degrees.

    A diverging scale has a second path for the levels below that of the background.
    """

    text_colour: Colour
    corners: Corners
    corners_below: Corners = ()

    @property
    def neutral(self) -> int:
        """The level of the background."""
        return NO_EFFECT if self.corners_below else 0

    @cached_property
    def levels(self) -> tuple[Colour, ...]:
        """The colour of each level."""
        below = _steps(self.corners_below, NO_EFFECT + 1)[:0:-1] if self.corners_below else ()
        return (*below, *_steps(self.corners, NUM_LEVELS - len(below)))


@dataclass(frozen=True)
class ColourScales:
    """The same scale on both backgrounds."""

    on_light: ColourScale
    on_dark: ColourScale


ON_LIGHT = ColourScale(Colour(20, 23, 28), ((1, 0, 0), (0.955, 0.09, 100), (0.83, 0.135, 75), (0.68, 0.185, 38)))
ON_DARK = ColourScale(
    Colour(255, 255, 255), ((0.215, 0.01, 260), (0.33, 0.085, 290), (0.44, 0.145, 340), (0.55, 0.185, 22))
)
SURPRISAL = ColourScales(ON_LIGHT, ON_DARK)
EFFECT = ColourScales(
    ColourScale(
        ON_LIGHT.text_colour,
        ((1, 0, 0), (0.92, 0.05, 225), (0.68, 0.145, 250)),
        ((1, 0, 0), (0.92, 0.08, 80), (0.68, 0.165, 50)),
    ),
    ColourScale(
        ON_DARK.text_colour,
        (ON_DARK.corners[0], (0.29, 0.14, 264), (0.54, 0.16, 256)),
        (ON_DARK.corners[0], (0.31, 0.11, 30), (0.53, 0.135, 45)),
    ),
)


def bits_to_level(bits: float) -> int:
    return min(NUM_LEVELS - 1, max(0, int(bits * LEVELS_PER_BIT)))


def effect_to_level(bits: float, reach: float) -> int:
    """Return the level of an effect, where those of `reach` bits and more have the last level on their side."""
    return NO_EFFECT + round(NO_EFFECT * max(-1.0, min(1.0, bits / reach)))


def _steps(corners: Corners, number: int) -> tuple[Colour, ...]:
    """Return colours along a path in steps of equal length."""
    points = [_from_polar(*corner) for corner in corners]
    path = [
        _interpolate(a, b, step / _POINTS_PER_SEGMENT)
        for a, b in pairwise(points)
        for step in range(_POINTS_PER_SEGMENT)
    ] + points[-1:]
    path_lengths = [0.0, *accumulate(math.dist(a, b) for a, b in pairwise(path))]
    target_lengths = (path_lengths[-1] * step / (number - 1) for step in range(number))
    nearest = (
        min(range(len(path)), key=lambda position: abs(path_lengths[position] - goal)) for goal in target_lengths
    )
    return tuple(_from_lab(path[position]) for position in nearest)


@cache
def nearest_xterm_colour(colour: Colour) -> int:
    """Return the nearest of the 240 colours that are the same in every terminal with 256 colours."""
    return min(range(16, 256), key=lambda index: math.dist(_xterm_colour(index).lab, colour.lab))


@cache
def _xterm_colour(index: int) -> Colour:
    """Return colour 16..255 of xterm: a cube with six steps on each side, then greys."""
    if index >= 232:
        return Colour(*[8 + 10 * (index - 232)] * 3)
    red, rest = divmod(index - 16, 36)
    return Colour(_CUBE[red], _CUBE[rest // 6], _CUBE[rest % 6])


def _from_polar(lightness: float, chroma: float, hue: float) -> Lab:
    return lightness, chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))


def _interpolate(a: Lab, b: Lab, fraction: float) -> Lab:
    first, second, third = (x + (y - x) * fraction for x, y in zip(a, b, strict=True))
    return first, second, third


def _from_lab(lab: Lab) -> Colour:
    lightness, a, b = lab
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return Colour(
        _linear_to_srgb(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _linear_to_srgb(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _linear_to_srgb(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def _srgb_to_linear(value: int) -> float:
    fraction = value / 255
    return fraction / 12.92 if fraction <= 0.04045 else ((fraction + 0.055) / 1.055) ** 2.4


def _linear_to_srgb(linear: float) -> int:
    fraction = min(1.0, max(0.0, linear))
    return round(255 * (12.92 * fraction if fraction <= 0.0031308 else 1.055 * fraction ** (1 / 2.4) - 0.055))
