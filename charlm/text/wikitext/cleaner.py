"""The passes in their order: what `clean` does to a page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from charlm.text.wikitext.brackets import MAX_DEPTH, Brackets
from charlm.text.wikitext.entities import decode_entities
from charlm.text.wikitext.inline import strip_inline
from charlm.text.wikitext.languages import language
from charlm.text.wikitext.layout import lay_out
from charlm.text.wikitext.namespaces import hidden_names
from charlm.text.wikitext.placeholders import APART, BLOCK, BREAK, Aside, Math
from charlm.text.wikitext.templates import Templates

_MARKS = ("\0", BREAK, APART, BLOCK)
_HATNOTE = re.compile(r"^:+[ \t]*''(?!').*\[\[.*''[.)]?[ \t]*$\n?", re.MULTILINE)
_OTHER_LIST = re.compile(
    r"^[^\[\]{}|\n]{0,40}\[\[[ _]*+:[ _]*+([^\[\]{}|:\n]{1,40}):[^\[\]{}\n]*\]\][\s.'’\")]*$\n?", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The text of a page."""

    text: str
    """Empty where nothing is left."""
    limit: str = ""
    """Which bound was hit, so that some of the text is missing; empty as a rule."""


class Cleaner:
    """Cleans the pages of one wiki.

    Args:
        language: the wiki's language code, for the names of its templates and the words that they show.
        namespaces: namespace number -> name, from the dump's header: they tell files and categories.
        math: what becomes of formulas: nothing, or their TeX between dollar signs.
    """

    def __init__(
        self, language_code: str = "en", namespaces: Mapping[int, str] | None = None, *,
        math: Math = "drop",
    ) -> None:  # fmt: skip
        self._hidden = hidden_names(namespaces or {})
        self._brackets = Brackets(Templates(language(language_code)), self._hidden)
        self._math: Math = math

    def clean(self, wikitext: str, title: str = "") -> Cleaned:
        """The visible text of a page; `title` is what {{PAGENAME}} shows."""
        aside = Aside(self._math)
        for mark in _MARKS:  # ours; no XML holds them
            wikitext = wikitext.replace(mark, "")
        text = aside.take(wikitext)
        text = self._without_pointers(_without_hatnotes(text))
        text, too_deep = self._brackets.resolve(text, title)
        text = strip_inline(text)
        text = decode_entities(text)
        text = text.replace("\xa0", " ").replace("\t", " ").replace("\r", "")
        text = aside.take_verbatim(text)
        text = lay_out(text)
        text = aside.restore(text).strip("\n")
        return Cleaned(text, f"templates and links nested deeper than {MAX_DEPTH}" if too_deep else "")

    def _without_pointers(self, text: str) -> str:
        """Drop lines that only point to a category or a file: `See also [[:Category:Born 1864]]`."""
        if "[[:" not in text:
            return text
        return _OTHER_LIST.sub(
            lambda found: "" if found[1].replace("_", " ").strip().casefold() in self._hidden else found[0], text
        )


def _without_hatnotes(text: str) -> str:
    """Drop `:''For the city, see [[...]].''` at the top of a page or a section."""
    if "\n:" not in text and not text.startswith(":"):
        return text

    def hatnote(found: re.Match[str]) -> str:
        before = text[max(found.start() - 200, 0) : found.start()].rstrip()
        return "" if not before or before.endswith(("}}", "==", "]]", "''")) else found[0]

    return _HATNOTE.sub(hatnote, text)


def clean(
    wikitext: str, language_code: str = "en", namespaces: Mapping[int, str] | None = None, *, title: str = "",
    math: Math = "drop",
) -> Cleaned:  # fmt: skip
    """One page of a wiki; `Cleaner` is for many."""
    return Cleaner(language_code, namespaces, math=math).clean(wikitext, title)
