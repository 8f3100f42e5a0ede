"""Lines -> blocks (paragraphs, headings, list items, verbatim stretches) -> plain text.

    == H ==      == H ==
    a            a b           single newlines join, as in MediaWiki; one blank line between blocks
    b
    * c          - c           an item of any list, whatever its depth; items stand on successive lines
    ; d : e      - d: e
    : f          f             an indented line is a paragraph of its own
    g<br>h       g / h         paragraphs of their own; three short ones or more are verses, and stand together

Verses, and whatever else MediaWiki shows line by line (pre, code), keep their lines, each led in by one space: that is
how wikitext writes them, so a text laid out twice is the same. A heading with nothing under it goes, and so do the
sections of references and links at a page's end.
"""

import re
from itertools import pairwise

from charlm.text.wikitext.back_matter import is_back_matter
from charlm.text.wikitext.placeholders import BLOCK, BREAK
from charlm.text.wikitext.punctuation import mend

_GAP_FIRST = re.compile(r"^(?:[,;.:、，；]\s+|[;:*#、，；])+")
_GAP_SIGNS = frozenset(",;.:*#、，；")
_MAX_ROUNDS = 4
_WORD = re.compile(r"[^\W_]")
_NUM_VERSES = 3
_LONGEST_VERSE = 90
_TEXT, _ITEM, _LINES = 0, 7, 8  # kinds of blocks beside 1 to 6, the levels of headings

Block = tuple[int, str]


def lay_out(text: str) -> str:
    """The text in blocks, one blank line between them, none between the items of a list."""
    blocks = _with_content(_blocks(text))
    pieces: list[str] = []
    before = -1
    for kind, shown in blocks:
        if pieces:
            pieces.append("\n" if kind == before == _ITEM else "\n\n")
        pieces.append(f"{'=' * kind} {shown} {'=' * kind}" if 0 < kind < _ITEM else shown)
        before = kind
    return "".join(pieces)


def _blocks(text: str) -> list[Block]:
    blocks: list[Block] = []
    paragraph: list[str] = []
    term = ""  # of a definition list, waiting for what defines it

    def end_paragraph() -> None:
        nonlocal term
        if term:
            blocks.append((_TEXT, term))
            term = ""
        if paragraph:
            blocks.extend(_paragraph(_joined(paragraph)))
            paragraph.clear()

    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            end_paragraph()
            continue
        first = line[0]
        if first in "*#:;":
            body = line.lstrip("*#:; \u3000")
            marker = line[: len(line) - len(body)].rstrip()
            if term and marker[-1] == ":" and _WORD.search(body):
                body = _one_line(body)
                blocks.append((_ITEM, "- " + _one_line(f"{term}{'' if term.endswith(':') else ':'} {body}")))
                term = ""
                continue
            end_paragraph()
            if not _WORD.search(body):
                continue
            if marker[-1] == ";":
                term, _, body = body.partition(": ")
                term = _one_line(term)
                if _WORD.search(body):
                    blocks.append((_ITEM, "- " + _one_line(f"{term}: {_one_line(body)}")))
                    term = ""
            elif "*" in marker or "#" in marker or body.startswith("- "):
                blocks.append((_ITEM, f"- {_one_line(body.removeprefix('- '))}"))
            else:
                blocks.extend(_paragraph(body))
        elif first == "=" and (level := _heading_level(line)):
            end_paragraph()
            blocks.append((level, _one_line(line[level:-level])))
        elif first == "-" and line.startswith("- "):
            end_paragraph()
            if _WORD.search(line):
                blocks.append((_ITEM, f"- {_one_line(line[2:])}"))
        elif first == BLOCK:
            end_paragraph()
            blocks.append((_LINES, line[1:]))
        elif line.startswith(("|", "{|", "----")):
            end_paragraph()
        else:
            if term:
                end_paragraph()
            paragraph.append(line)
    end_paragraph()
    return blocks


def _joined(lines: list[str]) -> str:
    """The lines of a paragraph as one; between signs of Chinese or Japanese without a space."""
    if len(lines) == 1:
        return lines[0]
    pieces = [lines[0]]
    for before, line in pairwise(lines):
        pieces.append(line if _is_wide(before[-1]) and _is_wide(line[0]) else f" {line}")
    return "".join(pieces)


def _is_wide(sign: str) -> bool:
    return "\u2e80" <= sign <= "\uabff" or "\uf900" <= sign <= "\ufaff" or "\uff00" <= sign <= "\uff60"


def _one_line(text: str) -> str:
    if BREAK in text:
        text = " ".join(part for part in map(str.strip, text.split(BREAK)) if part)
    text = mend(text.strip()).strip()
    for _ in range(_MAX_ROUNDS):
        if text[:1] not in _GAP_SIGNS or (shorter := _GAP_FIRST.sub("", text)) == text:
            break
        text = mend(shorter).strip()
    return text


def _paragraph(text: str) -> list[Block]:
    if BREAK not in text:
        text = _one_line(text)
        return [(_TEXT, text)] if _WORD.search(text) else []
    stanzas = [
        [line for line in map(str.strip, stanza.split(BREAK)) if line]
        for stanza in re.split(f"{BREAK}(?: *{BREAK})+", text)
    ]
    lines = [line for stanza in stanzas for line in stanza]
    if len(lines) >= _NUM_VERSES and max(map(len, lines)) <= _LONGEST_VERSE:
        return [
            (_LINES, "\n".join(f" {mend(line)}" for line in stanza))
            if len(stanza) > 1
            else (_TEXT, _one_line(stanza[0]))
            for stanza in stanzas
            if _WORD.search("".join(stanza))
        ]
    return [(_TEXT, _one_line(line)) for line in lines if _WORD.search(line)]


def _heading_level(line: str) -> int:
    """1 to 6, or 0 for what is no heading."""
    if line[-1] != "=":
        return 0
    level = min(len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("=")), 6)
    return level if _WORD.search(line[level:-level]) else 0


def _with_content(blocks: list[Block]) -> list[Block]:
    """Without the sections of references and links at the end, and without headings that nothing stands under."""
    while True:
        blocks = _without_empty(blocks)
        end = _back_matter(blocks)
        if end == len(blocks):
            return blocks
        blocks = blocks[:end]


def _without_empty(blocks: list[Block]) -> list[Block]:
    kept: list[Block] = []  # from the last to the first
    below = 0  # level of the next heading that is kept; _ITEM where text comes first
    for block in reversed(blocks):
        if 0 < block[0] < _ITEM:
            if below > block[0]:
                kept.append(block)
                below = block[0]
        else:
            kept.append(block)
            below = _ITEM
    kept.reverse()
    return kept


def _back_matter(blocks: list[Block]) -> int:
    """Where the sections of references and links at the end begin; the number of blocks where there are none."""
    end = len(blocks)
    level = _ITEM
    for i in range(len(blocks) - 1, -1, -1):
        kind = blocks[i][0]
        if 0 < kind < level:
            level = kind
            if is_back_matter(blocks[i][1]):
                end, level = i, _ITEM
    return end
