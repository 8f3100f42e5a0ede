"""Templates inside prose -> the words that they show. `brackets` drops all other templates.

    "lang|de|Haus", its links resolved ── name, arguments ──> pattern or renderer of the language ──> "Haus"

`languages/*.toml` lists the templates and their patterns. A pattern `=name` calls one of the functions in `renderers`.
`parser_functions` computes {{lc:...}}, {{#if:...}} and the like.
"""

import re
import string
from collections.abc import Mapping
from functools import cache, lru_cache

from charlm.text.wikitext.languages import Arguments, Language
from charlm.text.wikitext.marks import GAP, MARKS, SEPARATOR
from charlm.text.wikitext.namespaces import template_prefixes
from charlm.text.wikitext.parser_functions import ParserFunctions
from charlm.text.wikitext.renderers import RENDERERS, Renderer, fill

BLANK = string.whitespace + "\xa0\u3000" + MARKS
"""Characters that do not count at the ends of an argument: also the marks of what was dropped there."""
_MAX_KNOWN_NAMES = 10_000
_BLOCK_MARKERS = ("*", "#", ":", ";", "=")
_NAMED = re.compile(r"\s*+(\w[\w -]{0,29}?)\s*+=")


class Templates:
    """The templates and parser functions of one wiki.

    Args:
        language: decides which templates it has, and what they show.
        namespaces: namespace number -> name; it has the wiki's word for "Template".
    """

    def __init__(self, language: Language, namespaces: Mapping[int, str] | None = None) -> None:
        self._language = language
        self._functions = ParserFunctions(language, namespaces or {})
        self._prefixes = template_prefixes(namespaces or {})
        self._renderers = {name: _make_renderer(pattern) for name, pattern in language.templates.items()}
        self._families = {name[:-1]: name for name in self._renderers if name.endswith("-*")}
        self._visible = {name: bool(language.templates[name]) for name in self._renderers}
        self.is_visible = lru_cache(maxsize=_MAX_KNOWN_NAMES)(self._is_visible)

    def _is_visible(self, raw_name: str) -> bool:
        """Return whether the template shows anything."""
        name = self._without_namespace(template_name(raw_name))
        shown = self._visible.get(name)
        if shown is None:
            shown = self._functions.has(name) or self._family(name) in self._renderers
        return shown

    def render(self, inner: str, title: str = "") -> str:
        """Return what `{{inner}}` shows; the templates and links in it are already replaced."""
        raw_name, *parts = inner.split("|")
        name = self._without_namespace(template_name(raw_name))
        if self._functions.has(name):
            computed = self._functions.compute(raw_name, parts, title)
            if computed is not None or name not in self._renderers:
                return GAP if computed is None else computed
        arguments = Arguments()
        position = 0
        for part in parts:
            named = _NAMED.match(part) if "=" in part else None
            if named:
                arguments[named[1]] = _argument(part[named.end() :])
            else:
                position += 1
                arguments[str(position)] = _argument(part)
        if name not in self._renderers:
            family = self._family(name)
            arguments["*"] = name[len(family) - 1 :]
            name = family
        if name == "pagename":
            return title
        renderer = self._renderers.get(name)
        return renderer(arguments, self._language) if renderer else arguments.get("1", "")

    def _without_namespace(self, name: str) -> str:
        prefix, colon, rest = name.partition(":")
        return rest.lstrip() if colon and prefix.rstrip() in self._prefixes else name

    def _family(self, name: str) -> str:
        return self._families.get(name[: name.find("-") + 1], "")


def _argument(part: str) -> str:
    """Return an argument without blanks around it. It begins a list or a heading only if it begins a line."""
    shown = part.strip(BLANK)
    if shown[:1] in _BLOCK_MARKERS:
        begins_line = "\n" in part[: len(part) - len(part.lstrip(BLANK))]
        shown = ("\n" if begins_line else SEPARATOR) + shown
    return shown


def template_name(raw: str) -> str:
    """Return a template name in lower case with spaces for underscores."""
    return raw.strip(BLANK).replace("_", " ").lower()


@cache
def _make_renderer(pattern: str) -> Renderer:
    if pattern.startswith("="):
        return RENDERERS[pattern[1:]]
    if "{" not in pattern:
        return lambda arguments, language: pattern
    if (plain := re.fullmatch(r"\{(\w+(?:\|\w+)*)\}", pattern)) and plain[1] != "last":  # most patterns
        keys = tuple(plain[1].split("|"))
        return lambda arguments, language: next((arguments[key] for key in keys if arguments.get(key)), "")
    return lambda arguments, language: fill(pattern, arguments, language)
