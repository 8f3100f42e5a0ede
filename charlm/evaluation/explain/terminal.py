"""An explanation as lines for a terminal: the text on coloured backgrounds, a legend, and the most surprising places.

Neighbours of one colour are in one escape sequence, and no sequence is inside a character. So letters keep their
accents, emoji keep their parts, and letters of joining scripts stay joined where the colour does not change.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import groupby

from charlm.evaluation.explain.colours import (
    LEVELS_PER_BIT,
    NUM_LEVELS,
    ON_DARK,
    ON_LIGHT,
    Colour,
    ColourScale,
    bits_to_level,
    nearest_xterm_colour,
)
from charlm.evaluation.explain.explanation import Explanation
from charlm.evaluation.explain.surprising_places import find_surprising_units
from charlm.evaluation.explain.visible import escape_invisible_lines
from charlm.formatting import pluralize

NUM_SURPRISING = 5
_RESET = "\x1b[0m"
_END = "<eod>"
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


def choose_colour_scale(environment: Mapping[str, str]) -> ColourScale:
    """Return the scale for a dark background, unless the terminal says that its background is light."""
    return ON_LIGHT if environment.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT_BACKGROUNDS else ON_DARK


def render_lines(explanation: Explanation, depth: ColourDepth, scale: ColourScale) -> Iterator[str]:
    """Yield the text, with <eod> at its end, and the legend."""
    line = ""
    for level, text in _colour_runs(explanation):
        *whole, rest = escape_invisible_lines(text).split("\n")
        for part in whole:
            yield line + _paint(part, level, depth, scale)
            line = ""
        line += _paint(rest, level, depth, scale)
    if line:
        yield line
    yield ""
    yield legend(depth, scale)


def legend(depth: ColourDepth, scale: ColourScale) -> str:
    """Return a line with a cell for each level; even numbers of bits are written into their cells."""
    names = (f"{level // LEVELS_PER_BIT}" if level % (2 * LEVELS_PER_BIT) == 0 else "" for level in range(NUM_LEVELS))
    cells = "".join(_paint(f"{name:<2}", level, depth, scale) for level, name in enumerate(names))
    return f"bits {cells} and more"


def summary_lines(explanation: Explanation) -> Iterator[str]:
    """Yield the score, and the most surprising places with what the model expected there."""
    score = explanation.score
    ratios = (score.bits_per_character, score.perplexity)
    bits, perplexity = ("-" if ratio is None else f"{ratio:,.4f}" for ratio in ratios)
    sizes = f"{pluralize(score.characters, 'character')}, {pluralize(score.tokens, 'token')}"
    yield f"{bits} bits per character, perplexity {perplexity} per token; {sizes}"
    places = find_surprising_units(explanation, NUM_SURPRISING)
    if places:
        yield "most surprising:"
    for place in places:
        yield f"{place.bits:7.2f} bits  {place.before}[{place.text}]{place.after}"
        yield f"{place.probability:>12}  expected {place.expected}"


def _colour_runs(explanation: Explanation) -> Iterator[tuple[int, str]]:
    """Yield the level and the text of neighbouring units of one colour."""
    for level, run in groupby(_levels(explanation), key=lambda pair: pair[0]):
        yield level, "".join(text for _, text in run)


def _levels(explanation: Explanation) -> Iterator[tuple[int, str]]:
    end = bits_to_level(explanation.eod.bits), _END
    if explanation.is_backward:
        yield end
    for unit, bits in enumerate(explanation.bits_per_cluster_U.tolist()):
        yield bits_to_level(bits), explanation.unit_text(unit)
    if not explanation.is_backward:
        yield end


def _paint(text: str, level: int, depth: ColourDepth, scale: ColourScale) -> str:
    """Return the text in the colours of its level. The lowest level keeps the terminal's own colours."""
    if not text or level == 0 or depth is ColourDepth.NONE:
        return text
    background, text_colour = (_colour_code(colour, depth) for colour in (scale.levels[level], scale.text_colour))
    return f"\x1b[48;{background};38;{text_colour}m{text}{_RESET}"


def _colour_code(colour: Colour, depth: ColourDepth) -> str:
    if depth is ColourDepth.TRUE:
        return f"2;{colour.red};{colour.green};{colour.blue}"
    return f"5;{nearest_xterm_colour(colour)}"
