"""An explanation as lines for a terminal: the text on coloured grounds, a legend, and the most surprising places.

Neighbours of one colour stand in one escape sequence, and none is put inside a character: letters keep their accents,
emoji their parts, and scripts that join their letters go on joining where the colour does not change.
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
    Scale,
    indexed,
    level_of,
)
from charlm.evaluation.explain.explanation import Explanation
from charlm.evaluation.explain.surprising_places import find_places
from charlm.evaluation.explain.visible import shown_lines

NUM_PLACES = 5
_RESET = "\x1b[0m"
_END = "<eod>"
_LIGHT_GROUNDS = ("7", "15")  # of the sixteen, as COLORFGBG names them


class Depth(Enum):
    """How many colours a terminal shows."""

    NONE = 0
    INDEXED = 256
    TRUE = 1 << 24


def depth_of(environment: Mapping[str, str], *, is_terminal: bool) -> Depth:
    """What the environment says of the terminal. NO_COLOR (no-color.org) is heeded."""
    if not is_terminal or environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb":
        return Depth.NONE
    return Depth.TRUE if environment.get("COLORTERM") in ("truecolor", "24bit") else Depth.INDEXED


def scale_of(environment: Mapping[str, str]) -> Scale:
    """That of a dark ground, unless the terminal says that its own is light."""
    return ON_LIGHT if environment.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT_GROUNDS else ON_DARK


def coloured_lines(explanation: Explanation, depth: Depth, scale: Scale) -> Iterator[str]:
    """The text, its last line with the mark of the end, and the legend."""
    line = ""
    for level, text in _stretches(explanation):
        *whole, rest = shown_lines(text).split("\n")
        for part in whole:
            yield line + _painted(part, level, depth, scale)
            line = ""
        line += _painted(rest, level, depth, scale)
    if line:
        yield line
    yield ""
    yield legend(depth, scale)


def legend(depth: Depth, scale: Scale) -> str:
    """Each level as a cell, those of whole even bits with their number."""
    names = (f"{level // LEVELS_PER_BIT}" if level % (2 * LEVELS_PER_BIT) == 0 else "" for level in range(NUM_LEVELS))
    cells = "".join(_painted(f"{name:<2}", level, depth, scale) for level, name in enumerate(names))
    return f"bits {cells} and more"


def summary_lines(explanation: Explanation) -> Iterator[str]:
    """The score in a line, and the most surprising places with what the model expected there."""
    score = explanation.score
    ratios = (score.bits_per_character, score.perplexity)
    bits, perplexity = ("-" if ratio is None else f"{ratio:,.4f}" for ratio in ratios)
    sizes = f"{_counted(score.characters, 'character')}, {_counted(score.tokens, 'token')}"
    yield f"{bits} bits per character, perplexity {perplexity} per token; {sizes}"
    places = find_places(explanation, NUM_PLACES)
    if places:
        yield "most surprising:"
    for place in places:
        yield f"{place.bits:7.2f} bits  {place.before}[{place.text}]{place.after}"
        yield f"{place.probability:>12}  expected {place.expected}"


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def _stretches(explanation: Explanation) -> Iterator[tuple[int, str]]:
    """Runs of one colour; of units that end a line each by itself."""
    for level, run in groupby(_levels(explanation), key=lambda pair: pair[0]):
        yield level, "".join(text for _, text in run)


def _levels(explanation: Explanation) -> Iterator[tuple[int, str]]:
    end = level_of(explanation.end.bits), _END
    if explanation.is_backward:
        yield end
    for unit, bits in enumerate(explanation.shares_U.tolist()):
        yield level_of(bits), explanation.text_of(unit)
    if not explanation.is_backward:
        yield end


def _painted(text: str, level: int, depth: Depth, scale: Scale) -> str:
    """The lowest level is left as it is: it looks like text that nobody explained."""
    if not text or level == 0 or depth is Depth.NONE:
        return text
    ground, ink = (_code(colour, depth) for colour in (scale.levels[level], scale.ink))
    return f"\x1b[48;{ground};38;{ink}m{text}{_RESET}"


def _code(colour: Colour, depth: Depth) -> str:
    if depth is Depth.TRUE:
        return f"2;{colour.red};{colour.green};{colour.blue}"
    return f"5;{indexed(colour)}"
