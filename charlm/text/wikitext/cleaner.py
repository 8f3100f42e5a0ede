"""The passes that clean a page, in their order."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from charlm.text.wikitext.back_matter import drop_reference_sections
from charlm.text.wikitext.brackets import MAX_DEPTH, Brackets
from charlm.text.wikitext.entities import decode_entities
from charlm.text.wikitext.inline import mark_term, strip_links, strip_tags
from charlm.text.wikitext.languages import load_language
from charlm.text.wikitext.layout import lay_out
from charlm.text.wikitext.links import fold_prefix
from charlm.text.wikitext.magic_words import load_magic_words, mark_contents
from charlm.text.wikitext.marks import RESERVED, SEPARATOR
from charlm.text.wikitext.namespaces import INTERLANGUAGE_PREFIXES, category_prefixes, file_prefixes, special_prefixes
from charlm.text.wikitext.placeholders import MathMode, Placeholders
from charlm.text.wikitext.templates import Templates
from charlm.text.wikitext.variants import load_variants

# These patterns begin with a newline, which `re` looks for much faster than for ^.
_TERM_LINE = re.compile(r"\n[*#:]*+;[^\n]*:[^\n]*")
_FIRST_TAB = re.compile(r"\n\t[ \t]*+(?=[^ \t\n])")
HATNOTE = re.compile(r"\n:+[ \t]*''(?!').*\[\[.*''[.)]?[ \t]*(?=\n|\Z)")
"""A note that leads to another article: `:''For the city, see [[...]].''`"""
POINTER_LINE = re.compile(
    r"\n(?!=)[^\[\]{}|\n]{0,40}\[\[[ _]*+:[ _]*+([^\[\]{}|:\n]{1,40}):[^\[\]{}\n]*\]\][ \t.'’\")]*(?=\n|\Z)"
)
"""A line that only leads to a category or a file, whose prefix is the group: `See also [[:Category:Born 1864]]`"""


@dataclass(frozen=True, slots=True)
class CleanedPage:
    """The result of cleaning a page."""

    text: str
    """The text of the page; "" if nothing is left."""
    exceeded_limit: str = ""
    """The limit that was exceeded, so that some text is missing; usually ""."""
    reference_sections: int = 0
    """Sections at the end that were dropped because they hold only links and citations."""
    address_lines: int = 0
    """Lines that were dropped because they hold only addresses."""


class Cleaner:
    """Cleans the pages of one wiki.

    Args:
        language_code: language of the wiki, which decides its templates and the words that they show.
        namespaces: namespace number -> name, from the header of the dump; they identify files and categories.
        math: "drop" removes formulas, "tex" keeps their TeX between dollar signs.
    """

    def __init__(
        self, language_code: str = "en", namespaces: Mapping[int, str] | None = None, *,
        math: MathMode = "drop",
    ) -> None:  # fmt: skip
        files, categories = file_prefixes(namespaces or {}), category_prefixes(namespaces or {})
        self._hidden_prefixes = files | categories
        self._brackets = Brackets(
            Templates(load_language(language_code), namespaces),
            files,
            categories,
            INTERLANGUAGE_PREFIXES - {language_code},
            special_prefixes(namespaces or {}),
        )
        self._variants = load_variants(language_code)
        self._magic_words = load_magic_words(language_code)
        self._math: MathMode = math

    def clean(self, wikitext: str, title: str = "") -> CleanedPage:
        """Return the visible text of a page; {{PAGENAME}} shows `title`."""
        placeholders = Placeholders(self._math)
        for character in RESERVED:
            if character in wikitext:  # faster than to replace nothing
                wikitext = wikitext.replace(character, "")
        page = drop_reference_sections("\n" + placeholders.extract_literals(wikitext))
        text = self._drop_pointer_lines(_drop_hatnotes(page.text))
        text = _TERM_LINE.sub(mark_term, text)
        text, too_deep = self._brackets.resolve(mark_contents(text), title)
        text = self._magic_words.drop_switches(text)
        text = strip_tags(self._brackets.drop_unbalanced(strip_links(text)))
        if self._variants:
            text = self._variants.convert(text)
        text = decode_entities(text, mark=SEPARATOR)
        if "\t" in text:  # at the start of a line it makes no verbatim text
            text = _FIRST_TAB.sub(f"\n{SEPARATOR}", text).replace("\t", " ")
        if "\xa0" in text:
            text = text.replace("\n\xa0", f"\n{SEPARATOR} ").replace("\xa0", " ")
        if "\r" in text:
            text = text.replace("\r", "")
        text = placeholders.extract_verbatim(text)
        text = lay_out(text)
        text = placeholders.restore(text).strip("\n")
        exceeded_limit = f"templates and links nested deeper than {MAX_DEPTH}" if too_deep else ""
        return CleanedPage(text, exceeded_limit, page.sections, page.address_lines)

    def _drop_pointer_lines(self, text: str) -> str:
        """Drop lines that only point to a category or a file: `See also [[:Category:Born 1864]]`."""
        if "[[:" not in text:
            return text
        return POINTER_LINE.sub(self._drop_pointer_line, text)

    def _drop_pointer_line(self, match: re.Match[str]) -> str:
        if fold_prefix(match[1]) not in self._hidden_prefixes:
            return match[0]
        return "\n" if match[0][1] in "*#:;" else ""  # an empty item still ends the list


def _drop_hatnotes(text: str) -> str:
    """Drop `:''For the city, see [[...]].''` at the top of a page or a section."""

    def drop_hatnote(match: re.Match[str]) -> str:
        before = text[max(match.start() - 200, 0) : match.start()].rstrip()
        return "\n" if not before or before.endswith(("}}", "==", "]]", "''")) else match[0]

    return HATNOTE.sub(drop_hatnote, text)


def clean(
    wikitext: str, language_code: str = "en", namespaces: Mapping[int, str] | None = None, *, title: str = "",
    math: MathMode = "drop",
) -> CleanedPage:  # fmt: skip
    """Clean one page; use `Cleaner` for many pages."""
    return Cleaner(language_code, namespaces, math=math).clean(wikitext, title)
