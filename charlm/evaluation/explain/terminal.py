"""A drawing as lines for a terminal: the text on coloured backgrounds, a legend, and the remarkable places.

Neighbours of one colour are in one escape sequence, and no sequence is inside a character. So letters keep their
accents, emoji keep their parts, and letters of joining scripts stay joined where the colour does not change.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import groupby

from charlm.evaluation.explain.colours import Colour, ColourScale, ColourScales, nearest_xterm_colour
from charlm.evaluation.explain.drawing import NUM_SHOWN, Drawing, Legend, Places
from charlm.evaluation.explain.visible import escape_invisible_lines

_RESET = "\x1b[0m"
_LIGHT_BACKGROUNDS = ("7", "15")  # of the sixteen, as COLORFGBG names them


class ColourDepth(Enum):
    """The number of colours of a terminal."""

    NONE = 0
    INDEXED = 256
    TRUE = 1 << 24


def detect_colour_depth(environment: Mapping[str, str], *, is_terminal: bool) -> ColourDepth:
    """Return the depth that the environment names. NO_COLOR (no-color.org) turns colours off."""
    if not is_terminal or environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb":
        return ColourDepth.NONE
    return ColourDepth.TRUE if environment.get("COLORTERM") in ("truecolor", "24bit") else ColourDepth.INDEXED


def choose_colour_scale(environment: Mapping[str, str], scales: ColourScales) -> ColourScale:
    """Return the scale for a dark background, unless the terminal says that its background is light."""
    is_light = environment.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT_BACKGROUNDS
    return scales.on_light if is_light else scales.on_dark


def render_lines(drawing: Drawing, depth: ColourDepth, scale: ColourScale) -> Iterator[str]:
    """Yield the text, with <eod> where it is predicted, and the legend."""
    line = ""
    for level, run in groupby(drawing.parts(), key=lambda part: part.level):
        lines = (escape_invisible_lines(part.text) + "\n" * part.ends_line for part in run)
        *whole, rest = "".join(lines).split("\n")
        for piece in whole:
            yield line + _paint(piece, level, depth, scale)
            line = ""
        line += _paint(rest, level, depth, scale)
    if line:
        yield line
    yield ""
    yield legend_line(drawing.legend, depth, scale)


def legend_line(legend: Legend, depth: ColourDepth, scale: ColourScale) -> str:
    """Return a line with a cell for each level, with the labels in them."""
    cells = "".join(_paint(f"{label:<2}", level, depth, scale) for level, label in enumerate(legend.labels))
    return f"{legend.before} {cells} {legend.after}"


def summary_lines(drawing: Drawing) -> Iterator[str]:
    """Yield the figures and the most remarkable places."""
    yield from drawing.summary_lines()
    for places in drawing.places():
        yield from _place_lines(places)


def _place_lines(found: Places) -> Iterator[str]:
    if found.places:
        yield f"{found.heading}:"
    for place in found.places[:NUM_SHOWN]:
        yield f"{place.bits:>7} bits  {place.before}[{place.text}]{place.after}"
        about = f"{found.detail} {place.detail}" if found.detail else found.probability
        yield f"{place.probability:>12}  {about}"


def _paint(text: str, level: int, depth: ColourDepth, scale: ColourScale) -> str:
    """Return the text in the colours of its level. The level of the background keeps the terminal's own colours."""
    if not text or level == scale.neutral or depth is ColourDepth.NONE:
        return text
    background, text_colour = (_colour_code(colour, depth) for colour in (scale.levels[level], scale.text_colour))
    return f"\x1b[48;{background};38;{text_colour}m{text}{_RESET}"


def _colour_code(colour: Colour, depth: ColourDepth) -> str:
    if depth is ColourDepth.TRUE:
        return f"2;{colour.red};{colour.green};{colour.blue}"
    return f"5;{nearest_xterm_colour(colour)}"
