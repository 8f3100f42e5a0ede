"""Lines -> blocks (paragraphs, headings, list items, verbatim text) -> plain text.

    == H ==      == H ==
    a            a b           single newlines join lines, as in MediaWiki; a blank line separates blocks
    b
    * c          - c           an item of a list of any kind and depth; no blank line between items
    ; d : e      - d: e
    : f          f             an indented line is a paragraph
    g<br>h       g / h         a paragraph each; three or more short lines are verses and form one block

Verses and verbatim text (pre, code) keep their lines; each line begins with a space, as in wikitext, so that laying out
the result again does not change it. Headings without text are dropped, and so are sections of references and links at
the end of the page.
"""

import re
from itertools import pairwise

from charlm.text.wikitext.back_matter import is_back_matter
from charlm.text.wikitext.marks import BLOCK_MARKER, CONTENTS, EDGE, GAP, LINE_BREAK, SEPARATOR, TERM_END
from charlm.text.wikitext.placeholders import has_word
from charlm.text.wikitext.punctuation import close_gaps

_LIST_MARKERS = frozenset("*#:;")
_MARKERS = "*#:;" + TERM_END  # `;[[Category:A]]: b` begins with ";:"
_BLANK = f" \t\u3000{SEPARATOR}{GAP}{EDGE}"
# A term or a literal may have become part of another line, as in the label of a link.
_SHOWN = str.maketrans(TERM_END, ":", EDGE + BLOCK_MARKER)
_AROUND_HEADING = f" \t{GAP}"
_MIN_VERSE_LINES = 3
_MAX_VERSE_LENGTH = 90
_TEXT, _ITEM, _VERBATIM = 0, 7, 8  # kinds of blocks; 1 to 6 are headings of that level

Block = tuple[int, str]


def lay_out(text: str) -> str:
    """Return the blocks of the text, separated by blank lines; items of a list by newlines."""
    blocks = _drop_empty_sections(_parse_blocks(text))
    pieces: list[str] = []
    previous = -1
    for kind, shown in blocks:
        if pieces:
            pieces.append("\n" if kind == previous == _ITEM else "\n\n")
        pieces.append(f"{'=' * kind} {shown} {'=' * kind}" if 0 < kind < _ITEM else shown)
        previous = kind
    return "".join(pieces)


def _parse_blocks(text: str) -> list[Block]:
    blocks: list[Block] = []
    paragraph: list[str] = []
    has_edges = False  # whether blocks begin or end in the lines of the paragraph; such lines are a paragraph apart
    term, term_depth = "", 0  # of a definition list, waiting for its definition
    markers = ""  # of the line before, as MediaWiki compares them

    def end_paragraph() -> None:
        nonlocal term
        if term:
            blocks.append((_TEXT, term))
            term = ""
        if paragraph:
            blocks.extend(_paragraph_blocks(_join_lines(paragraph)))
            paragraph.clear()

    has_any_edge, has_any_term = EDGE in text, TERM_END in text
    lines = text.split("\n")
    for number, raw in enumerate(lines):
        previous_markers, markers = markers, ""
        if not raw:
            if paragraph or term:
                end_paragraph()
            continue
        line = raw.strip(_BLANK)
        if not line:
            if raw[0] == " " or EDGE in raw:  # no inline content
                end_paragraph()
            continue
        first = raw[0] if raw[0] != GAP else raw.lstrip(GAP)[0]
        if first in _LIST_MARKERS:
            body = line.lstrip(_MARKERS)
            marker = line[: len(line) - len(body)]
            if has_any_term and TERM_END in marker:  # the term vanished, and so does the colon behind it
                marker, body = marker.replace(TERM_END, ":"), body.lstrip().removeprefix(":")
            markers = marker.replace(";", ":")
            if has_any_term and ";" in marker[:-1] and TERM_END in body and markers != previous_markers:
                end_paragraph()  # a list in a list takes the term away from its definition
                outer_term, _, body = body.partition(TERM_END)
                blocks.extend(_paragraph_blocks(outer_term))
            if term and marker[-1] == ":" and len(marker) == term_depth:
                if has_word(body):
                    blocks.append((_ITEM, _definition(term, _one_line(body))))
                    term = ""
                    continue
                if not body:
                    continue  # the next line is its definition
            if paragraph or term:
                end_paragraph()
            if not has_word(body):
                continue
            if marker[-1] == ";":
                term, _, body = body.partition(TERM_END)
                term, term_depth = _one_line(term), len(marker)
                if body := _one_line(body):
                    blocks.append((_ITEM, _definition(term, body)) if term else (_TEXT, body))
                    term = ""
            elif "*" in marker or "#" in marker:
                blocks.append((_ITEM, f"- {_one_line(body)}"))
            else:
                blocks.extend(_paragraph_blocks(body))
        elif first == "=" and (level := _heading_level(raw.strip(_AROUND_HEADING))):
            end_paragraph()
            if has_word(line):
                blocks.append((level, _one_line(raw.strip(_AROUND_HEADING)[level:-level])))
        elif first == "-" and line.startswith("- "):  # an item of a text that is clean already
            end_paragraph()
            if has_word(line):
                blocks.append((_ITEM, f"- {_one_line(line[2:])}"))
        elif first == BLOCK_MARKER:
            end_paragraph()
            blocks.append((_VERBATIM, line[1:]))
        elif raw[0] == " ":
            end_paragraph()
            for part in line.split(CONTENTS):
                blocks.extend(_paragraph_blocks(part))
        else:
            has_edge = has_any_edge and (EDGE in raw or _ends_before_edge(lines, number))
            if term or has_edge != has_edges:
                end_paragraph()
            has_edges = has_edge
            if not has_edge:
                paragraph.append(line)
                continue
            before, *parts = raw.split(CONTENTS)
            paragraph.append(before.strip(_BLANK))
            for part in parts:
                end_paragraph()
                paragraph.append(part.strip(_BLANK))
    end_paragraph()
    return blocks


def _ends_before_edge(lines: list[str], number: int) -> bool:
    """Return whether the edge of a block stood in the line with this number: only an empty line is between them."""
    return number + 2 < len(lines) and not lines[number + 1] and lines[number + 2].startswith(EDGE)


def _definition(term: str, body: str) -> str:
    return "- " + _one_line(f"{term}{'' if term.endswith(':') else ':'} {body}")


def _join_lines(lines: list[str]) -> str:
    """Join the lines of a paragraph, with a space except between Chinese or Japanese characters."""
    if len(lines) == 1:
        return lines[0]
    pieces = [lines[0]]
    for previous, line in pairwise(lines):
        pieces.append(line if _is_cjk(previous[-1:]) and _is_cjk(line[:1]) else f" {line}")
    return "".join(pieces)


def _is_cjk(character: str) -> bool:
    return "\u2e80" <= character <= "\uabff" or "\uf900" <= character <= "\ufaff" or "\uff00" <= character <= "\uff60"


def _one_line(text: str) -> str:
    if LINE_BREAK in text:
        text = " ".join(part for part in map(str.strip, text.split(LINE_BREAK)) if part)
    return _tidy(text)


def _tidy(text: str) -> str:
    if SEPARATOR in text:
        text = text.replace(SEPARATOR, "")
    if EDGE in text or BLOCK_MARKER in text or TERM_END in text:
        text = text.translate(_SHOWN)
    if GAP in text or "  " in text:
        text = close_gaps(text)
    return text.strip()


def _paragraph_blocks(text: str) -> list[Block]:
    if LINE_BREAK not in text:
        text = _one_line(text)
        return [(_TEXT, text)] if has_word(text) else []
    stanzas = [
        [line for line in map(str.strip, stanza.split(LINE_BREAK)) if line]
        for stanza in re.split(f"{LINE_BREAK}(?: *{LINE_BREAK})+", text)
    ]
    lines = [line for stanza in stanzas for line in stanza]
    if len(lines) >= _MIN_VERSE_LINES and max(map(len, lines)) <= _MAX_VERSE_LENGTH:
        return [
            (_VERBATIM, "\n".join(f" {_tidy(line)}" for line in stanza))
            if len(stanza) > 1
            else (_TEXT, _one_line(stanza[0]))
            for stanza in stanzas
            if has_word("".join(stanza))
        ]
    return [(_TEXT, _one_line(line)) for line in lines if has_word(line)]


def _heading_level(line: str) -> int:
    """Return 1 to 6, or 0 if the line is not a heading."""
    if line[-1] != "=" or len(line) < 3:
        return 0
    return min((len(line) - 1) // 2, len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("=")), 6)


def _drop_empty_sections(blocks: list[Block]) -> list[Block]:
    """Drop the sections of references and links at the end, and headings without text."""
    while True:
        blocks = _drop_empty_headings(blocks)
        end = _back_matter_start(blocks)
        if end == len(blocks):
            return blocks
        blocks = blocks[:end]


def _drop_empty_headings(blocks: list[Block]) -> list[Block]:
    kept: list[Block] = []  # in reverse order
    next_level = 0  # level of the next kept heading; _ITEM if text comes before it
    for block in reversed(blocks):
        if 0 < block[0] < _ITEM:
            if next_level > block[0]:
                kept.append(block)
                next_level = block[0]
        else:
            kept.append(block)
            next_level = _ITEM
    kept.reverse()
    return kept


def _back_matter_start(blocks: list[Block]) -> int:
    """Return the index of the first section of references and links at the end; len(blocks) if there is none."""
    end = len(blocks)
    level = _ITEM
    for i in range(len(blocks) - 1, -1, -1):
        kind = blocks[i][0]
        if 0 < kind < level:
            level = kind
            if is_back_matter(blocks[i][1]):
                end, level = i, _ITEM
    return end
