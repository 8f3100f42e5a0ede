"""Wikitext -> the same without comments and dropped tags, its literal stretches put aside under marks.

    "a<!-- b --><ref>c</ref> <nowiki>[[d]]</nowiki>" ──> "a \\0" "0" "\\0", ["[[d]]"] ── restore ──> "a [[d]]"

No later pass sees what is put aside: nowiki, pre, code, verbatim lines, TeX.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from charlm.text.wikitext.entities import decode_entities

Math = Literal["drop", "tex"]
"""What becomes of formulas: nothing, or their TeX between dollar signs."""

BREAK = "\x01"
"""A line break that has to stay one: <br>."""
BLOCK = "\x03"
"""Before the mark of a literal with several lines, which stands alone."""
APART = "\x02"
"""Nothing, but it parts two runs of quotes: an empty <nowiki />."""

_LITERAL_TAGS = ("nowiki", "pre", "syntaxhighlight", "source", "code")
_VERSES = ("poem",)
_FORMULAS = ("math", "chem", "ce")
_DROPPED_TAGS = (
    "references", "ref", "gallery", "timeline", "score", "graph", "mapframe", "maplink", "hiero", "templatedata",
    "templatestyles", "imagemap", "inputbox", "categorytree", "includeonly", "indicator", "rp", "style", "script",
)  # fmt: skip
_ASIDE = re.compile(
    rf"<(?:!--|({'|'.join((*_LITERAL_TAGS, *_VERSES, *_FORMULAS, *_DROPPED_TAGS))})(?=[\s/>])([^<>]*)>)", re.IGNORECASE
)
_CLOSING = {
    name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in (*_LITERAL_TAGS, *_VERSES, *_FORMULAS, *_DROPPED_TAGS)
}
_MARKUP = re.compile(r"\[\[|\{\{|''|<(?!/?(?:nowiki|br)\b)[a-z/]", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_NOWIKI = re.compile(r"<nowiki>.*?</nowiki>", re.IGNORECASE | re.DOTALL)
_NOWIKI_TAG = re.compile(r"</?nowiki\s*/?>", re.IGNORECASE)
_MARK = re.compile("\0([0-9]+|[←-↙]+)\0")
_TO_ARROWS = str.maketrans("0123456789", "←↑→↓↔↕↖↗↘↙")
_FROM_ARROWS = str.maketrans("←↑→↓↔↕↖↗↘↙", "0123456789")
_WORD = re.compile(r"[^\W_]")
_BREAKS = re.compile(rf"(?: *{BREAK})+")
_VERBATIM = re.compile(r"\n +[^\s|!][^\n]*(?:(?:\n +(?=\n))*\n +[^\s|!][^\n]*)+")


@dataclass(slots=True)
class Aside:
    """What is put aside of one page."""

    math: Math = "drop"
    literals: list[str] = field(default_factory=list[str])

    def put(self, literal: str) -> str:
        """The mark under which `literal` comes back, on lines of its own if it has several."""
        literal = literal.replace("\xa0", " ")
        mark = str(len(self.literals))
        if "\n" in literal:
            literal = "\n".join(f" {line}".rstrip() for line in literal.split("\n"))
            mark = f"\n\n{BLOCK}\0{mark}\0\n\n"
        else:
            mark = f"\0{mark if _WORD.search(literal) else mark.translate(_TO_ARROWS)}\0"  # no word, no line
        self.literals.append(literal)
        return mark

    def take(self, text: str) -> str:
        """Drop comments and dropped tags from `text`, and put its literal tags aside."""
        pieces: list[str] = []
        unclosed: set[str] = set()
        position = 0
        while found := _ASIDE.search(text, position):
            start, end = found.span()
            pieces.append(text[position:start])
            name = found[1]
            if name is None:
                closed = text.find("-->", end)
                position = len(text) if closed < 0 else closed + 3
                if (start == 0 or text[start - 1] == "\n") and text[position : position + 1] == "\n":
                    position += 1
                continue
            name = name.lower()
            closing = None
            if not found[2].rstrip().endswith("/") and name not in unclosed:
                closing = _CLOSING[name].search(text, end)
                if closing is None:
                    unclosed.add(name)
            position = closing.end() if closing else end
            content = text[end : closing.start()] if closing else ""
            if name not in _DROPPED_TAGS:
                pieces.append(self._literal(name, found[2], content))
        pieces.append(text[position:])
        return "".join(pieces)

    def _literal(self, name: str, attributes: str, content: str) -> str:
        if name in _FORMULAS:
            if self.math == "drop" or not content.strip():
                return ""
            tex = " ".join(content.split())
            return self.put(f"$\\ce{{{tex}}}$" if name != "math" else f"${tex}$")
        if name in _VERSES:
            return f"\n\n{self.take(content).strip().replace(chr(10), BREAK)}{BREAK}{BREAK}\n\n"
        if name == "nowiki":
            if not content.strip():
                return content or APART
            return self.put(decode_entities(" ".join(content.split("\n"))))
        if name == "code":
            if _MARKUP.search(_NOWIKI.sub("", content)):
                return self.take(content)  # MediaWiki reads the markup in <code>
            return self.put(decode_entities(_TAG.sub("", content).strip())) if content.strip() else ""
        inline = name != "pre" and "inline" in attributes
        literal = decode_entities(_NOWIKI_TAG.sub("", content) if name == "pre" else content).strip("\n").rstrip()
        shown = self.put(literal if "\n" in literal else literal.strip()) if literal.strip() else ""
        return shown if inline else f"\n\n{shown}\n\n"

    def take_verbatim(self, text: str) -> str:
        """Put aside two or more lines that begin with a space: MediaWiki shows them as they are, up to an empty one."""
        return _VERBATIM.sub(self._verbatim, f"\n{text}") if "\n " in text else text

    def _verbatim(self, found: re.Match[str]) -> str:
        lines = [line[1:].rstrip() for line in _BREAKS.sub("\n ", found[0][1:]).split("\n")]
        return self.put("\n".join(line for line in lines if line))

    def restore(self, text: str) -> str:
        """Put back what was put aside; a literal may hold marks of others."""
        for _ in range(3):
            if "\0" not in text:
                break
            text = _MARK.sub(lambda found: self.literals[int(found[1].translate(_FROM_ARROWS))], text)
        return text
