"""An explanation as one self-contained HTML page.

    text       an element for each unit, in the colour of its bits; readable without the script
    tables     the most surprising places, and the score in every unit
    costs      data for the script, which shows a card for the unit under the pointer (`data.py`)

Texts, tokens and the names of runs are always escaped. A policy in the page also forbids it to load anything.
"""

import math
from collections.abc import Iterator
from html import escape
from itertools import chain
from pathlib import Path

from charlm import storage
from charlm.evaluation.explain.colours import LEVELS_PER_BIT, NUM_LEVELS, ON_DARK, ON_LIGHT, Colour, bits_to_level
from charlm.evaluation.explain.data import surprisals_as_json
from charlm.evaluation.explain.explanation import Explanation
from charlm.evaluation.explain.surprising_places import SurprisingUnit, find_surprising_units
from charlm.evaluation.explain.visible import escape_invisible, escape_invisible_lines
from charlm.formatting import format_number
from charlm.html_page import page_end, page_start

_NUM_SURPRISING = 10
_UNITS_PER_PARAGRAPH = 500  # a browser lays out only the paragraphs in sight
_HERE = Path(__file__).parent
_END = '<i class="c{level} end">&lt;eod&gt;</i>'


def write_page(explanation: Explanation, name: str, path: Path) -> None:
    """Write the page of an explanation.

    Args:
        name: of the run.

    Raises:
        StorageError: the file cannot be written.
    """
    with storage.atomic_file(path) as file:
        file.writelines(piece.encode("utf-8") for piece in render_page(explanation, name))


def render_page(explanation: Explanation, name: str) -> Iterator[str]:
    """Yield the page in pieces."""
    style = (_HERE / "page.css").read_text(encoding="utf-8") + _colours()
    yield page_start(escape_invisible(name), "explain", style)
    bits = explanation.score.bits_per_character
    yield f'<p class="soft">{format_number(bits)} bits per character. The colour of each character shows its surprisal:'
    yield " minus the base-2 logarithm of the probability that the model gave it."
    if explanation.is_backward:
        yield " This model reads from the end: each character is predicted from the text after it."
    yield "</p>\n"
    yield from _legend()
    yield '<p class="soft hint">Point at a character, tap it, or move with the arrow keys: its bits, its probability,'
    yield " and what the model expected.</p>\n"
    yield from _text(explanation)
    yield '<div id="card" role="status" hidden></div>\n'
    yield from _surprising_table(find_surprising_units(explanation, _NUM_SURPRISING), int(explanation.is_backward))
    yield from _score_table(explanation)
    yield from page_end("costs", surprisals_as_json(explanation), _HERE / "page.js")


def _colours() -> str:
    light, dark = (
        f":root{{--ink:{scale.text_colour.hex}}}" + "".join(map(_level_style, range(1, NUM_LEVELS), scale.levels[1:]))
        for scale in (ON_LIGHT, ON_DARK)
    )
    return f"{light}\n@media (prefers-color-scheme: dark){{{dark}}}\n"


def _level_style(level: int, colour: Colour) -> str:
    return f".c{level}{{background:{colour.hex}}}"


def _legend() -> Iterator[str]:
    yield '<div class="legend" role="img" aria-label="Colours from 0 to 10 bits and more"><span>bits</span>'
    for level in range(NUM_LEVELS):
        bits, rest = divmod(level, LEVELS_PER_BIT)
        label = f"{bits}" if rest == 0 and bits % 2 == 0 else ""
        yield f'<b class="c{level}">{label}</b>'
    yield "<span>and more</span></div>\n"


def _text(explanation: Explanation) -> Iterator[str]:
    """Yield paragraphs of whole lines. A browser finds the direction of each, and lays it out when it is in sight."""
    end = _END.format(level=bits_to_level(explanation.eod.bits))
    first = [(end, False)] if explanation.is_backward else []
    last = [] if explanation.is_backward else [(end, False)]
    yield '<div id="text" tabindex="0" role="group" aria-label="Text; the arrow keys move from character to character">'
    yield '<p data-from="0" dir="auto">'
    start = 0
    for number, (element, ends_line) in enumerate(chain(first, _elements(explanation), last), 1):
        yield element
        if ends_line and number - start >= _UNITS_PER_PARAGRAPH:
            yield f'</p><p data-from="{number}" dir="auto">'
            start = number
    yield "</p></div>\n"


def _elements(explanation: Explanation) -> Iterator[tuple[str, bool]]:
    """Yield the element of each unit, and whether a line ends with it."""
    for unit, (bits, clusters) in enumerate(
        zip(explanation.bits_per_cluster_U.tolist(), explanation.units.clusters_U.tolist(), strict=True)
    ):
        text = explanation.unit_text(unit)
        clusters_attribute = f' data-characters="{clusters}"' if clusters > 1 else ""
        yield (
            f'<i class="c{bits_to_level(bits)}"{clusters_attribute}>{escape(escape_invisible_lines(text))}</i>',
            text.endswith("\n"),
        )


def _surprising_table(places: list[SurprisingUnit], offset: int) -> Iterator[str]:
    if not places:
        return
    yield "<h2>Most surprising</h2>\n"
    yield '<div class="scroll places" tabindex="0" role="region" aria-label="Most surprising places"><table><thead><tr>'
    yield '<th scope="col" class="number">bits</th><th scope="col" class="number">probability</th>'
    yield '<th scope="col">place</th><th scope="col">expected</th></tr></thead><tbody>\n'
    for place in places:
        yield f'<tr><td class="number">{place.bits:.2f}</td><td class="number">{escape(place.probability)}</td>'
        yield f'<td><button type="button" data-unit="{place.unit + offset}" dir="auto">{escape(place.before)}'
        yield f"<mark>{escape(place.text)}</mark>{escape(place.after)}</button></td>"
        yield f'<td dir="auto">{escape(place.expected)}</td></tr>\n'
    yield "</tbody></table></div>\n"


def _score_table(explanation: Explanation) -> Iterator[str]:
    yield '<h2>Score</h2>\n<table class="figures"><tbody>\n'
    bits = explanation.score.nats / math.log(2)
    for name, value in {**explanation.score.to_json(), "bits": bits}.items():
        label = name.replace("_", " ")
        yield f'<tr><th scope="row">{label}</th><td class="number">{format_number(value)}</td></tr>\n'
    yield "</tbody></table>\n"
