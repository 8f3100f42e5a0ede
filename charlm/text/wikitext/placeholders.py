"""Wikitext -> wikitext without comments and dropped tags, with placeholders for literal text.

    "a<!-- b --><ref>c</ref> <nowiki>[[d]]</nowiki>" ──> "a \\0" "0" "\\0", ["[[d]]"] ── restore ──> "a [[d]]"

Literals (nowiki, pre, code, verbatim lines, TeX) are hidden from the later passes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from charlm.text.wikitext.entities import decode_entities
from charlm.text.wikitext.extension_tags import (
    FORMULA_TAGS,
    HIDDEN_TAGS,
    INCLUDED_TAG,
    LABEL_TAGS,
    LITERAL_TAGS,
    MAP_LINK_TAG,
    POEM_TAG,
    TABBER_TAG,
    TRANSLATE_TAGS,
    UNSEEN_TAGS,
)
from charlm.text.wikitext.marks import BLOCK_MARKER, CONTENTS, GAP, LINE_BREAK, MARKS, SEPARATOR, TERM_END

MathMode = Literal["drop", "tex"]
"""Formulas are dropped, or kept as TeX between dollar signs."""

_WORD_CHARACTER = re.compile(r"[^\W_]")

_CONTENT_TAGS = (
    *HIDDEN_TAGS, *LITERAL_TAGS, *FORMULA_TAGS, POEM_TAG, TABBER_TAG, MAP_LINK_TAG, *UNSEEN_TAGS, INCLUDED_TAG
)  # fmt: skip


def _in_any_case(names: Iterable[str]) -> str:
    """Return a pattern for these names, which `re` refuses by their first letters: most of the time."""
    by_letter: dict[str, list[str]] = {}
    for name in names:
        by_letter.setdefault(name[0], []).append(name[1:])
    return "|".join(f"[{letter}{letter.upper()}](?ai:{'|'.join(rests)})" for letter, rests in by_letter.items())


_COMMENT_OR_TAG = re.compile(
    rf"<(?:!--|({_in_any_case(_CONTENT_TAGS)})(?=[\s/>])([^<>]*)>"
    rf"|(/?)({_in_any_case((*LABEL_TAGS, *TRANSLATE_TAGS))})(?=[\s/>]|\|)[^<>]*>|(/)>)"
)
_CLOSING_TAGS = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in _CONTENT_TAGS}
_DROPPED_TAGS = {INCLUDED_TAG: ""} | dict.fromkeys(UNSEEN_TAGS, SEPARATOR) | dict.fromkeys(HIDDEN_TAGS, SEPARATOR + GAP)
_MAP_LINK_TEXT = re.compile(r"""\btext\s*=\s*("[^"]*"|'[^']*'|[^\s"'/]+)""", re.IGNORECASE)
_TAB_SEPARATOR = re.compile(r"\|-\|")
_POEM_INDENT = re.compile(r"^:++(?=[^\n])[ \t]*+", re.MULTILINE)
_BLANK_REST = re.compile(r"[ \t]*+\n")
_TAGS_IN_TEXT = ("nowiki", "pre", "poem", "math", "ref", "references", "gallery")
"""Tags that `inline` drops if they have no partner."""
_NOWIKI_TAG = re.compile(r"</?nowiki\s*/?>", re.IGNORECASE)
_PLACEHOLDER = re.compile("\0([0-9]+|[←-↙]+)\0")
_TO_ARROWS = str.maketrans("0123456789", "←↑→↓↔↕↖↗↘↙")
_FROM_ARROWS = str.maketrans("←↑→↓↔↕↖↗↘↙", "0123456789")
_NO_MARKS = str.maketrans(TERM_END, ":", MARKS)
_LINE_BREAKS = re.compile(rf"(?: *{LINE_BREAK})+")
_VERBATIM = re.compile(r"\n +[^\s|!][^\n]*(?:(?:\n +(?=\n))*\n +[^\s|!][^\n]*)+")


@dataclass(slots=True)
class Placeholders:
    """The literals of one page."""

    math: MathMode = "drop"
    literals: list[str] = field(default_factory=list[str])

    def add_literal(self, literal: str) -> str:
        """Store a literal and return its placeholder, which is a block if the literal has several lines."""
        literal = literal.replace("\xa0", " ")
        placeholder = str(len(self.literals))
        if "\n" in literal:
            literal = "\n".join(f" {line}".rstrip() for line in literal.split("\n"))
            placeholder = f"\n\n{BLOCK_MARKER}\0{placeholder}\0\n\n"
        else:
            if not has_word(literal):
                placeholder = placeholder.translate(_TO_ARROWS)  # arrows are no word either: such a line is dropped
            placeholder = f"\0{placeholder}\0"
        self.literals.append(literal)
        return placeholder

    def extract_literals(self, text: str) -> str:
        """Drop comments and dropped tags from `text`, and replace literal tags by placeholders."""
        pieces: list[str] = []
        unclosed: set[str] = set()
        position = num_open_variables = 0
        while match := _COMMENT_OR_TAG.search(text, position):
            start, end = match.span()
            pieces.append(text[position:start])
            position = end
            name, attributes, slash, label_tag, short_closing = match.groups()
            if short_closing:  # <tvar name=1>...</>
                pieces.append("" if num_open_variables else match[0])
                num_open_variables = max(num_open_variables - 1, 0)
            elif label_tag:
                if label_tag.lower() in LABEL_TAGS:
                    pieces.append(SEPARATOR)
                elif label_tag.lower() == "translate":
                    position = _skip_newline(text, pieces, end, closing=bool(slash))
                else:
                    num_open_variables = max(num_open_variables - 1, 0) if slash else num_open_variables + 1
            elif name is None:
                comment_end = text.find("-->", end)
                position = len(text) if comment_end < 0 else comment_end + 3
                if (after := _BLANK_REST.match(text, position)) and _end_at_newline(pieces):
                    position = after.end()  # a line that holds only comments vanishes
            else:
                name = name.lower()
                closing_tag = None
                if not attributes.rstrip().endswith("/") and name not in unclosed:
                    closing_tag = _CLOSING_TAGS[name].search(text, end)
                    if closing_tag is None:
                        unclosed.add(name)
                if closing_tag is None and not attributes.rstrip().endswith("/"):  # text: `[[a<ref>]]` is no link
                    pieces.append(f"<{name}>" if name in _TAGS_IN_TEXT else "")
                    continue
                position = closing_tag.end() if closing_tag else end
                content = text[end : closing_tag.start()] if closing_tag else ""
                shown = _DROPPED_TAGS.get(name)
                pieces.append(self._replace_tag(name, attributes, content) if shown is None else shown)
        pieces.append(text[position:])
        return "".join(pieces)

    def _replace_tag(self, name: str, attributes: str, content: str) -> str:
        if name in FORMULA_TAGS:
            if self.math == "drop" or not content.strip():
                return SEPARATOR + GAP
            tex = " ".join(content.split())
            return self.add_literal(f"$\\ce{{{tex}}}$" if name != "math" else f"${tex}$")
        if name == MAP_LINK_TAG:
            label = _MAP_LINK_TEXT.search(attributes)
            return self.extract_literals(label[1].strip("\"'")) if label else SEPARATOR + GAP
        if name == TABBER_TAG:
            return self.extract_literals(_lay_out_tabs(content))
        if name == POEM_TAG:
            lines = self.extract_literals(_POEM_INDENT.sub(SEPARATOR, content)).strip()
            return f"\n\n{lines.replace(chr(10), LINE_BREAK)}{LINE_BREAK}{LINE_BREAK}\n\n"
        if name == "nowiki":
            if not content.strip():
                return SEPARATOR + content
            return self.add_literal(decode_entities(" ".join(content.split("\n"))))
        inline = name != "pre" and "inline" in attributes
        literal = (decode_entities(_NOWIKI_TAG.sub("", content)) if name == "pre" else content).strip("\n").rstrip()
        replacement = self.add_literal(literal if "\n" in literal else literal.strip()) if literal.strip() else ""
        return replacement if inline else f"\n\n{replacement}\n\n"

    def extract_verbatim(self, text: str) -> str:
        """Replace two or more lines that begin with a space by a placeholder: MediaWiki shows them verbatim."""
        return _VERBATIM.sub(self._replace_verbatim, f"\n{text}")

    def _replace_verbatim(self, match: re.Match[str]) -> str:
        shown = match[0][1:].replace(CONTENTS, LINE_BREAK).translate(_NO_MARKS)
        lines = [line[1:].rstrip() for line in _LINE_BREAKS.sub("\n ", shown).split("\n")]
        lines = [line for line in lines if line]
        return self.add_literal("\n".join(lines)) if len(lines) > 1 else "\n " + "".join(lines)

    def restore(self, text: str) -> str:
        """Replace placeholders by their literals, in literals too."""
        for _ in range(3):
            if "\0" not in text:
                break
            text = _PLACEHOLDER.sub(lambda match: self.literals[int(match[1].translate(_FROM_ARROWS))], text)
        return text


def has_word(text: str) -> bool:
    """Return whether a text has a letter or a digit: a line without any is dropped."""
    return text[:1].isalnum() or _WORD_CHARACTER.search(text) is not None


def _end_at_newline(pieces: list[str]) -> bool:
    """Return whether the text so far ends with a newline and blanks, after dropping these blanks."""
    last = ""
    while pieces and not (last := pieces.pop().rstrip(" \t")):
        pass
    pieces.append(last)
    return last.endswith("\n")


def _skip_newline(text: str, pieces: list[str], end: int, *, closing: bool) -> int:
    """Drop the newline after <translate> or before </translate>; return where the text goes on."""
    if closing:
        pieces[-1] = pieces[-1].removesuffix("\n")
        return end
    return end + 1 if text.startswith("\n", end) else end


def _lay_out_tabs(content: str) -> str:
    """Make a paragraph of the label of each tab: "|-|Label=content" and "Label=content|-|..."."""
    tabs = (tab.partition("=") for tab in _TAB_SEPARATOR.split(content) if tab.strip())
    return "\n\n" + "\n\n".join(f"{label.strip()}\n\n{shown.strip()}" for label, _, shown in tabs) + "\n\n"
