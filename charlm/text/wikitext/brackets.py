"""Nested templates, links and tables -> the text that they show.

    match brackets ── from the outside in: drop what is not visible ── from the inside out: render ──> text

The time is linear in the length of the text, times the depth of visible brackets, which MAX_DEPTH bounds.
"""

import re
from dataclasses import dataclass

from charlm.text.wikitext.namespaces import INTERLANGUAGE_PREFIXES
from charlm.text.wikitext.templates import BLANK, Templates, template_name

MAX_DEPTH = 60
"""Deeper brackets are dropped and reported (`CleanedPage.exceeded_limit`); MediaWiki's limits are 40 to 100."""

_BRACKET = re.compile(
    r"\[\[|\]\]|\{\{+|\}\}+|\{\|(?!\})|\n(?:==|[ \t]*+\|\}(?!\}(?!\})))|</?[tT][aA][bB][lL][eE]\b[^<>]*>"
)
_PLAIN_LINK = re.compile(r"\[\[([^\[\]{}|:<>\n]+)(?:\|([^\[\]{}|\n]+))?\]\]")
_TEMPLATE_NAME = re.compile(r"\{\{\s*+([^|{}\[\]<>\n]*)")
_LINK_PREFIX = re.compile(r"\[\[[\s_]*+(:?)\s*([^\[\]|{}<>\n:]*+)(:?)([^\[\]|]*+)(\|?)")
_UNBALANCED = re.compile(r"\{\{+|\}\}+|\[\[+([^\[\]|{}<>\n:]{1,40}:)?|\]\]+")
_OPENINGS = ("{{", "[[", "{|", "<t")


@dataclass(slots=True)
class Brackets:
    """Replaces the brackets in pages of one wiki by what they show."""

    templates: Templates
    hidden_prefixes: frozenset[str]
    """Case-folded prefixes of links that show nothing."""

    def resolve(self, text: str, title: str) -> tuple[str, bool]:
        """Return the text with all templates, links and tables replaced, and whether MAX_DEPTH was exceeded."""
        pieces: list[str] = []
        frames: list[tuple[int, str, list[str]]] = []  # (end, opening, pieces outside) of each open span
        position = 0
        too_deep = False
        render, is_visible, link = self.templates.render, self._is_visible, _render_link
        text = _PLAIN_LINK.sub(_render_plain_link, text)
        text_end = (len(text), len(text), "")  # closes the open spans
        for start, end, opening in (*_match_brackets(text), text_end):
            if start < position:
                continue  # inside a dropped span
            while frames and frames[-1][0] <= start:
                closed, kind, outside = frames.pop()
                pieces.append(text[position : closed - 2])
                inner = "".join(pieces)
                outside.append(link(inner) if kind == "[[" else render(inner, title))
                pieces, position = outside, closed
            pieces.append(text[position:start])
            position = end
            if is_visible(text, start, opening):
                if len(frames) < MAX_DEPTH:
                    frames.append((end, opening, pieces))
                    pieces, position = [], start + 2
                else:
                    too_deep = True
        return self._drop_unbalanced("".join(pieces)), too_deep

    def _is_visible(self, text: str, start: int, opening: str) -> bool:
        """Return whether a template or link shows anything."""
        if opening == "{{":
            name = _TEMPLATE_NAME.match(text, start)
            return name is not None and self.templates.is_visible(template_name(name[1]))
        match = _LINK_PREFIX.match(text, start) if opening == "[[" else None
        if match is None:
            return False
        leading_colon, prefix, colon, _, label = match.groups()
        if leading_colon or not colon:
            return True
        prefix = prefix.strip()
        return prefix.replace("_", " ").casefold() not in self.hidden_prefixes and (
            bool(label) or prefix.lower() not in INTERLANGUAGE_PREFIXES
        )

    def _drop_unbalanced(self, text: str) -> str:
        """Drop brackets without a partner; an unclosed File link is dropped up to the end of its line."""
        pieces: list[str] = []
        position = 0
        for match in _UNBALANCED.finditer(text):
            if match.start() < position:
                continue
            pieces.append(text[position : match.start()])
            position = match.end()
            if prefix := match[1]:
                if prefix[:-1].strip().replace("_", " ").casefold() in self.hidden_prefixes:
                    newline = text.find("\n", position)
                    position = len(text) if newline < 0 else newline
                else:
                    pieces.append(prefix)
        pieces.append(text[position:])
        return "".join(pieces)


def _render_plain_link(match: re.Match[str]) -> str:
    """Render a link without a prefix or other markup. Most links are like this, so replacing them first saves time."""
    label = match[2]
    return label if label and label.strip(BLANK) else match[1].strip().replace("_", " ")


def _render_link(inner: str) -> str:
    target, _, label = inner.partition("|")
    if label.strip(BLANK):
        return label.replace("|", "&#124;")  # no separator of the arguments around it
    target = target.strip().removeprefix(":")
    return target.partition(" ")[2] if target.startswith(("http:", "https:", "//")) else target.replace("_", " ")


def _match_brackets(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, opening) of all pairs, sorted by start; brackets without a partner are left out."""
    spans: list[tuple[int, int, str]] = []
    stack: list[list[int]] = []  # [index into _OPENINGS, start, number of braces]
    num_open = [0, 0, 0, 0]

    def pop_unclosed(kind: int) -> list[int]:
        """Drop the inner brackets that were never closed."""
        while stack[-1][0] != kind:
            num_open[stack.pop()[0]] -= 1
        return stack[-1]

    for match in _BRACKET.finditer(text):
        bracket, start, end = match[0], match.start(), match.end()
        if bracket == "[[":
            stack.append([1, start, 2])
            num_open[1] += 1
        elif bracket == "]]":
            if stack and stack[-1][0] == 1:
                spans.append((stack.pop()[1], end, "[["))
                num_open[1] -= 1
        elif bracket[-1] == "{":
            stack.append([0, start, end - start])
            num_open[0] += 1
        elif bracket[0] == "}":
            remaining = end - start
            while remaining >= 2 and num_open[0]:
                top = pop_unclosed(0)
                size = 3 if remaining >= 3 and top[2] >= 3 else 2
                opened = top[1] + top[2] - size
                spans.append((opened, end - remaining + size, "{{{"[:size]))
                remaining -= size
                top[2] -= size
                if top[2] < 2:
                    num_open[stack.pop()[0]] -= 1
        elif bracket == "\n==":  # a link or template that is open at the next heading was never closed
            while stack and stack[-1][0] <= 1:
                num_open[stack.pop()[0]] -= 1
        elif bracket == "{|" and not _starts_line(text, start):
            continue
        else:
            kind = 3 if bracket[0] == "<" else 2
            if bracket == "{|" or (kind == 3 and bracket[1] != "/"):
                stack.append([kind, start, 0])
                num_open[kind] += 1
            elif num_open[kind]:
                spans.append((pop_unclosed(kind)[1], end, _OPENINGS[kind]))
                num_open[stack.pop()[0]] -= 1
    spans.sort()
    return spans


def _starts_line(text: str, start: int) -> bool:
    """Return whether only indentation precedes `start` in its line (at most 30 characters: time stays linear)."""
    before = text[max(start - 30, 0) : start].rpartition("\n")
    return not before[2].strip(" \t:*#") and (bool(before[1]) or start <= 30)
