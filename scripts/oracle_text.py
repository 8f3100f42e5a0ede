"""HTML of MediaWiki's parser -> the lines of text that a corpus should have.

    <p>a <b>c</b><sup>2</sup></p><ul><li>d</li></ul>  ──>  ["a c²", "- d"]

Elements that a corpus leaves out by design leave GAP (references, files, formulas, numbered links) or nothing (tables,
galleries). A term and its definition are one item, and so is a line that continues an item.
"""

import re

from lxml import html

from charlm.text.wikitext.marks import GAP

_BLOCKS = frozenset(
    "address blockquote body center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre section table tr ul".split()
)
_HEADINGS = {f"h{level}": "=" * level for level in range(1, 7)}
_ONE_LINE = frozenset(("li", "dt", *_HEADINGS))
_DROPPED_CLASSES = re.compile(
    r"(?:^|\s)(?:references|mw-references-wrap|gallery|thumb|error|toc|mw-empty-elt|noprint)(?:\s|$)"
)
_GAP_CLASSES = re.compile(r"(?:^|\s)(?:reference|autonumber|oracle-gap)(?:\s|$)")
_CITE_ERROR = "mw-ext-cite-error"  # stands for a reference
_DROPPED = frozenset(("table", "style", "script", "rp"))
_SUPERSCRIPT = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_SUBSCRIPT = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")
_SMALL_DIGITS = re.compile(r"[-+−\d]{1,6}")
_NEWLINE = "\n"
_SPACES = re.compile(r"[ \t\r\n\f\xa0]+")
_GAPS_AT_NEWLINE = re.compile(rf"\n[ \n{GAP}]*{GAP}")
"""Gaps at the start of a line in a paragraph, which close nothing: they are not in the line."""


HEADING = "\x07"
"""Begins the line of a heading."""


class _Lines:
    """The lines shown so far; text is appended to the last one."""

    def __init__(self) -> None:
        self.lines = [""]
        self.term = False  # whether the last line is the term of a definition list
        self.in_paragraph = False

    def end(self) -> None:
        if self.lines[-1].strip():
            self.lines.append("")
        else:
            self.lines[-1] = ""

    def add(self, text: str) -> None:
        self.lines[-1] += text


def shown_lines(page: str) -> list[str]:
    """Return the lines that a reader of the HTML sees, without blank lines; blanks are single."""
    if not page.strip():
        return []
    lines = _Lines()
    _walk(html.fragment_fromstring(page, create_parent="body"), lines, in_line=False, verbatim=False)
    shown = (_SPACES.sub(" ", _GAPS_AT_NEWLINE.sub(_NEWLINE, line)).strip() for line in lines.lines)
    return [line for line in shown if line and line != "-"]


def _walk(node: html.HtmlElement, lines: _Lines, *, in_line: bool, verbatim: bool) -> None:
    tag = node.tag
    classes = node.get("class") or ""
    if not isinstance(tag, str) or tag in _DROPPED or _DROPPED_CLASSES.search(classes):
        if tag == "table":
            lines.end()
        elif _CITE_ERROR in classes:
            lines.add(GAP)
        return
    is_note = (node.get("href") or "").startswith("#cite_note-")  # apart from its <sup> in the label of a link
    is_empty_link = tag == "a" and not len(node) and not node.text and node.get("href")  # [[a|__TOC__]]
    if (
        is_note
        or is_empty_link
        or (_GAP_CLASSES.search(classes) and (classes != "reference" or (node.get("id") or "").startswith("cite_ref-")))
    ):
        lines.add(GAP)
        return
    if tag in ("sup", "sub") and _SMALL_DIGITS.fullmatch(node.text_content()) and _holds_only_links(node):
        lines.add(node.text_content().translate(_SUPERSCRIPT if tag == "sup" else _SUBSCRIPT))
        return
    if tag == "dd" and lines.term and not node.text_content().strip():
        return  # the definition follows
    if tag == "br":
        lines.add(" ") if in_line else lines.end()
        return
    continues = False
    if tag in _BLOCKS:
        continues = tag == "dd" and lines.term
        lines.term = False
        if not continues:
            lines.end()
    if tag == "li" or (tag == "dd" and not continues and next(node.iterancestors("li"), None) is not None):
        lines.add("- ")
    elif tag == "p":
        lines.in_paragraph = True
        lines.add(_NEWLINE)
    elif tag == "q":
        lines.add('"')
    elif tag == "rt":
        lines.add("(")
    elif tag in _HEADINGS:
        lines.add(f"{HEADING}{_HEADINGS[tag]} ")
    verbatim = (verbatim or tag == "pre") and tag != "a"  # a label is one line
    in_line |= continues or tag in _ONE_LINE
    _text(node.text, lines, verbatim=verbatim)
    for child in node:
        _walk(child, lines, in_line=in_line, verbatim=verbatim)
        _text(child.tail, lines, verbatim=verbatim)
    if tag == "p":
        lines.in_paragraph = False
    elif tag == "q":
        lines.add('"')
    elif tag == "rt":
        lines.add(")")
    elif tag in _HEADINGS:
        lines.add(f" {_HEADINGS[tag]}")
    if tag == "dt" and (following := _definition(node)) is not None:
        begins = (following.text or "").strip() or (len(following) and following[0].tag not in _BLOCKS)
        shown = lines.lines[-1].strip() if begins and following.text_content().strip() else ""
        if shown:
            lines.lines[-1] = f"- {shown}{'' if shown.endswith(':') else ':'} "
            lines.term = True
            return
    if tag in _BLOCKS:
        lines.end()


def _holds_only_links(node: html.HtmlElement) -> bool:
    """Return whether all elements in `node` are links to pages."""
    return all(inner.tag == "a" and "external" not in (inner.get("class") or "") for inner in node.iterdescendants())


def _definition(term: html.HtmlElement) -> html.HtmlElement | None:
    """Return the first definition of the term that shows something, also inside tags that the term left open."""
    for sibling in term.itersiblings():
        following = sibling if sibling.tag in _BLOCKS else next(sibling.iter("dd", "dt"), sibling)
        if following.tag != "dd":
            return None
        if following.text_content().strip():
            return following
    return None


def _text(text: str | None, lines: _Lines, *, verbatim: bool) -> None:
    if not text:
        return
    if verbatim:
        first, *rest = text.split(_NEWLINE)
        lines.add(first)
        for line in rest:
            lines.end()
            lines.add(line)
    else:
        lines.add(text if lines.in_paragraph else _SPACES.sub(" ", text))


def tidy_lines(text: str) -> list[str]:
    """Return the lines of charlm's text in the form of `shown_lines`."""
    return [line for line in (_SPACES.sub(" ", line).strip() for line in text.split("\n")) if line]
