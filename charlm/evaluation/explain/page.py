"""A drawing as one self-contained HTML page.

    text       an element for each part, in its colour; readable without the script
    tables     the most remarkable places, and figures
    cards      data for the scripts, which show a card for the part under the pointer (`cards.py`)

Texts, tokens and names of runs and labels are always escaped. A policy in the page also forbids it to load anything.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from charlm import storage
from charlm.evaluation.explain.colour_style import scales_style
from charlm.evaluation.explain.drawing import Drawing, Legend, Part, Places
from charlm.evaluation.explain.visible import escape_invisible, escape_invisible_lines
from charlm.html_page import page_end, page_start

_PARTS_PER_PARAGRAPH = 500  # a browser lays out only the paragraphs in sight
_HERE = Path(__file__).parent


def write_page(drawing: Drawing, name: str, path: Path) -> None:
    """Write the page of an explanation.

    Args:
        name: of the run.

    Raises:
        StorageError: the file cannot be written.
    """
    with storage.atomic_file(path) as file:
        file.writelines(piece.encode("utf-8") for piece in render_page(drawing, name))


def render_page(drawing: Drawing, name: str) -> Iterator[str]:
    """Yield the page in pieces."""
    style = (_HERE / "page.css").read_text(encoding="utf-8") + scales_style(drawing.scales)
    yield page_start(escape_invisible(name), "explain", style)
    yield f'<p class="soft">{escape(drawing.introduction())}</p>\n'
    yield from _legend(drawing.legend)
    yield '<p class="soft hint">Point at a character, tap it, or move with the arrow keys:'
    yield f" {escape(drawing.hint)}.</p>\n"
    yield from _text(drawing)
    yield '<div id="card" role="status" hidden></div>\n'
    for places in drawing.places():
        yield from _places_table(places)
    heading, figures = drawing.figures()
    yield f'<h2>{escape(heading)}</h2>\n<table class="figures"><tbody>\n'
    for label, value in figures.items():
        yield f'<tr><th scope="row">{escape(label)}</th><td class="number">{escape(value)}</td></tr>\n'
    yield "</tbody></table>\n"
    yield from page_end("cards", drawing.cards(), _HERE / drawing.card_script, _HERE / "page.js")


def _legend(legend: Legend) -> Iterator[str]:
    yield f'<div class="legend" role="img" aria-label="{escape(legend.description)}">'
    yield f"<span>{escape(legend.before)}</span>"
    for level, label in enumerate(legend.labels):
        yield f'<b class="c{level}">{label}</b>'
    yield f"<span>{escape(legend.after)}</span></div>\n"


def _text(drawing: Drawing) -> Iterator[str]:
    """Yield paragraphs of whole lines. A browser finds the direction of each, and lays it out when it is in sight."""
    yield '<div id="text" tabindex="0" role="group" aria-label="Text; the arrow keys move from character to character">'
    yield '<p data-from="0" dir="auto">'
    start = 0
    for number, part in enumerate(drawing.parts(), 1):
        yield _element(part)
        if (part.text.endswith("\n") or part.ends_line) and number - start >= _PARTS_PER_PARAGRAPH:
            yield f'</p><p data-from="{number}" dir="auto">'
            start = number
    yield "</p></div>\n"


def _element(part: Part) -> str:
    clusters = f' data-characters="{part.clusters}"' if part.clusters > 1 else ""
    end = " end" if part.is_end else ""
    line_end = "<br>" if part.ends_line else ""
    return f'<i class="c{part.level}{end}"{clusters}>{escape(escape_invisible_lines(part.text))}</i>{line_end}'


def _places_table(found: Places) -> Iterator[str]:
    if not found.places:
        return
    heading = escape(found.heading[:1].upper() + found.heading[1:])
    detail = f'<th scope="col">{escape(found.detail)}</th>' if found.detail else ""
    yield f"<h2>{heading}</h2>\n"
    yield f'<div class="scroll places" tabindex="0" role="region" aria-label="{heading}"><table><thead><tr>'
    yield f'<th scope="col" class="number">bits</th><th scope="col" class="number">{escape(found.probability)}</th>'
    yield f'<th scope="col">place</th>{detail}</tr></thead><tbody>\n'
    for place in found.places:
        yield f'<tr><td class="number">{place.bits}</td><td class="number">{escape(place.probability)}</td>'
        yield f'<td><button type="button" data-unit="{place.part}" dir="auto">{escape(place.before)}'
        yield f"<mark>{escape(place.text)}</mark>{escape(place.after)}</button></td>"
        yield f'<td dir="auto">{escape(place.detail)}</td></tr>\n' if detail else "</tr>\n"
    yield "</tbody></table></div>\n"
