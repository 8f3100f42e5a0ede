"""The page: title, facts, the body, the model as data, and the scripts as one.

All that comes from a model is data: facts are escaped, the vocabulary stands in JSON without `<`, and scripts write
text only as text. A policy in the page forbids it to load anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from charlm import storage
from charlm.evaluation.explain.colour_style import scales_style
from charlm.evaluation.explain.colours import SURPRISAL
from charlm.export.web_page.facts import Facts
from charlm.export.web_page.scripts import page_script, read_page_file
from charlm.export.web_page.tensors import TensorBlock
from charlm.export.web_page.text_encoding import encode_bytes, encoded_size
from charlm.html_page import element_of_data, page_start

_ELEMENT_SIZE = 200
"""Bytes of the element around a section, and of its entry in the JSON, at most."""
_SHARED_STYLE, _OWN_STYLE = "page.css", "small_page.css"


@dataclass(frozen=True)
class Section:
    """A block of tensors in the page."""

    data: bytes
    """Compressed."""
    index: Mapping[str, Any]

    @classmethod
    def of(cls, block: TensorBlock) -> "Section":
        return cls(block.compress(), block.index)

    @property
    def size(self) -> int:
        """The bytes that it takes in the page, at most."""
        return encoded_size(len(self.data)) + len(storage.to_json(self.index, indent=None)) + _ELEMENT_SIZE


def render_page(name: str, facts: Facts, spec: Mapping[str, Any], sections: Mapping[str, Section]) -> Iterator[str]:
    """Yield the page in pieces.

    Args:
        name: of the model.
        spec: what page/main.js reads: the network, the vocabulary and the n-grams.
    """
    style = read_page_file(_SHARED_STYLE) + read_page_file(_OWN_STYLE) + scales_style(SURPRISAL)
    yield page_start(name, "export", style)
    yield from _render_facts(facts)
    yield read_page_file("body.html")
    yield "</main>\n"
    for key, section in sections.items():
        yield f'<script type="text/plain" id="{key}">\n'
        yield from encode_bytes(section.data)
        yield "</script>\n"
    described = {key: {"bytes": len(section.data), "index": section.index} for key, section in sections.items()}
    yield from element_of_data("model", [storage.to_json({**spec, "sections": described}, indent=None)])
    yield page_script()
    yield "</body></html>\n"


def _render_facts(facts: Facts) -> Iterator[str]:
    yield '<dl class="facts">\n'
    for name, value in facts:
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n"
    yield "</dl>\n"
