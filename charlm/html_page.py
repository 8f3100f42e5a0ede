"""The frame of charlm's HTML pages: one file that needs no network and no other file.

title, style ──page_start──> <!doctype ... <main><h1>    (content)    data, scripts ──page_end──> </main> ... </html>

`charlm/model_page` has the files that the pages of a model share: that of `charlm serve`, and the exported one.

Names and texts are escaped with `html.escape`. A policy in the page also forbids it to load anything.
"""

from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from pathlib import Path

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def page_start(title: str, command: str, style: str) -> str:
    """Everything up to the heading of the page.

    Args:
        title: plain text, escaped here.
        command: the command that writes the page.
        style: CSS after the style that all pages share.
    """
    shared_style = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)} · charlm {command}</title>\n<style>{shared_style}{style}</style></head>\n"
        f"<body><main>\n<h1>{escape(title)}</h1>\n"
    )


def page_end(data_id: str, data: Iterable[str], *scripts: Path) -> Iterator[str]:
    """Everything after the content: `data` as JSON in an element with the id `data_id`, then the scripts as one.

    Args:
        data: pieces of one JSON text. A `<` in it, which could end the element, is escaped here.
    """
    yield "</main>\n"
    yield from element_of_data(data_id, data)
    yield script_element("".join(script.read_text(encoding="utf-8") for script in scripts))
    yield "</body></html>\n"


def read_model_page(folder: str) -> dict[str, str]:
    """Return the name and the text of each file of a page of a model: those that such pages share, and its own.

    Args:
        folder: of its own files, below the package. Their names differ from those of shared files.
    """
    found: dict[str, str] = {}
    for each in ("model_page", folder):
        for file in files("charlm").joinpath(each).iterdir():
            assert file.name not in found, "a name belongs to one file"
            found[file.name] = file.read_text(encoding="utf-8")
    return found


def element_of_data(data_id: str, data: Iterable[str]) -> Iterator[str]:
    """An element with the id `data_id` that holds one JSON text, which comes in pieces.

    A `<` in it, which could end the element, is escaped here.
    """
    yield f'<script type="application/json" id="{data_id}">'
    yield from (piece.replace("<", "\\u003c") for piece in data)
    yield "</script>\n"


def script_element(code: str) -> str:
    """An element with a script of charlm's own, which has no `</script` in it."""
    assert "</script" not in code.lower()
    return f"<script>{code}</script>"
