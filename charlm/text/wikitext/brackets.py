"""Nested templates, links and tables -> the text that they show.

    match brackets ── from the outside in: drop what is not visible ── from the inside out: render ──> text

The time is linear in the length of the text, times the depth of visible brackets, which MAX_DEPTH bounds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from charlm.text.wikitext.links import fold_prefix, is_target, render_link, render_plain_links, show_broken_target
from charlm.text.wikitext.marks import BLOCK_MARKER, EDGE, GAP, SEPARATOR
from charlm.text.wikitext.templates import Templates

MAX_DEPTH = 60
"""Deeper brackets are dropped and reported (`CleanedPage.exceeded_limit`); MediaWiki's limits are 40 to 100."""

_BRACKET = re.compile(r"(\[\[|\]\]|\{\{+|\}\}+|\{\|(?!\}\})|\n[ \t]*+\|\}(?!\})|</?[tT][aA][bB][lL][eE]\b[^<>]*>)")
_LINK_AROUND_LINK = re.compile(r"\[\[([^\[\]{}]*+(?:(?:\[(?!\[)|\](?!\])|\{(?![{|])|\}(?!\}))[^\[\]{}]*+)*+)(?=\[\[)")
_ADDRESS_BEFORE_LINK = re.compile(r"[^\s\[\]<>\"\0-\x08]*+(?=\[\[)")
_SURPLUS_BRACKET = re.compile(r"(?<!\[)\[\[\[(?=[^\[\]{}/\n]*\]\](?!\]|[^\n]*\]\]\]))")
"""Three brackets of which one has no partner in its line."""
_PREFIX = re.compile(r"([^\[\]{}|<>\n:]*+):")
_PIPE_TRICK = re.compile(r"\[\[(?<!\[\[\[)([^\[\]{}|<>\n]+)\|\]\](?:\]|([^\[\]{}]*)\]\])")
"""[[a|]]b]]: MediaWiki reads the first brackets as a part of the label."""
_STARTS_ADDRESS = re.compile(r"(?:(?:https?|ftp):)?//", re.IGNORECASE)
_EMPTY_OPTION = re.compile(r"\[\[([^\[\]{}|<>\n:]+):[^\[\]{}|<>\n]*\|(\]\])")
_LINK_EDGE = re.compile(r"\[\[|\]\]")
_MAX_CAPTION = 2_000
_TEMPLATE_NAME = re.compile(r"\{\{\s*+([^|{}\[\]<>\n]*)")
_EMPTY_NAMESPACE = re.compile(r"[\s_]*+:[\s_]*+([^:|]*):[\s_]*+(?:[:|]|\Z)")
"""The beginning of [[:Category:]] and [[:Category::A]], which are no links."""
_LINK_PREFIX = re.compile(r"\[\[\s*+(:?)(?:(?:[\s_]|&nbsp;)++:?)?+([^\[\]|{}<>\n:]*+)(:?)")
_UNBALANCED = re.compile(r"\{\{+|\}\}+|(?<!\[)(?:\[\[)++(?=\[[^\[\]\n]+\](?!\]))|\[\[+([^\[\]|{}<>\n:]{1,40}:)?|\]\]+")
_BROKEN_TARGET = re.compile(r"([^\[\]{}|<>\n]+)\|")
_ENDLESS_TARGET = re.compile(rf"{_BROKEN_TARGET.pattern}(?:\]\]|(?![^\[]*\]\]))")
_TABLE_END = re.compile(
    rf"\n=[^\n]*=[ \t]*(?=\n|\Z)|\n[ \t]*+\n"
    rf"(?![ \t]*+\n|(?:{BLOCK_MARKER}[^\n]*+\n++|[ \t]*+(?!\{{\|)[^\s={BLOCK_MARKER}][^\n]*+\n)*?[ \t]*+[|!])"
)
"""A heading, or a blank line before lines without a row; a literal (BLOCK_MARKER) has blank lines around it."""
_DOUBLE_BRACKETS = ("[[", "]]", "{{", "}}")
_OPENINGS = ("{{", "[[", "{|", "<t")
_END_BLOCK = f"\n\n{EDGE}"


@dataclass(slots=True)
class Brackets:
    """Replaces the brackets in pages of one wiki by what they show."""

    templates: Templates
    file_prefixes: frozenset[str]
    """Case-folded prefixes of links to files, which show nothing."""
    category_prefixes: frozenset[str]
    """Case-folded prefixes of links to categories, which leave no trace."""
    interlanguage_prefixes: frozenset[str]
    """Prefixes of links to the same article in other languages, which leave no trace either."""
    special_prefixes: frozenset[str]
    """Case-folded prefixes of links to special pages."""

    def resolve(self, text: str, title: str) -> tuple[str, bool]:
        """Return the text with all templates, links and tables replaced, and whether MAX_DEPTH was exceeded.

        Brackets without a partner stay: `inline` may read them as external links.
        """
        pieces: list[str] = []
        frames: list[tuple[int, str, list[str]]] = []  # (end, opening, pieces outside) of each open span
        position = 0
        too_deep = False
        if "[[[" in text:
            text = _SURPLUS_BRACKET.sub("[[", text)
        if "[http" in text:
            text = _end_addresses_at_links(text)
        text = _LINK_AROUND_LINK.sub(self._drop_outer_link, text)
        if "|]]" in text:
            text = _EMPTY_OPTION.sub(self._open_file, text)
            text = _PIPE_TRICK.sub(self._complete_label, text)
        text = render_plain_links(text)
        text_end = (len(text), len(text), "")  # closes the open spans
        for start, end, opening in (*_match_brackets(text), text_end):
            if start < position:
                continue  # inside a dropped span
            while frames and frames[-1][0] <= start:
                closed, kind, outside = frames.pop()
                pieces.append(text[position : closed - len(kind)])
                outside.append(self._render(kind, "".join(pieces), title) or ("" if kind == "{{{" else GAP))
                pieces, position = outside, closed
            pieces.append(text[position:start])
            position = end
            if opening:
                shown = self._replacement(text, start, end, opening)
                if shown is None and len(frames) < MAX_DEPTH:
                    frames.append((end, opening, pieces))
                    pieces, position = [], start + len(opening)
                elif shown is None:
                    too_deep = True
                elif shown:
                    pieces.append(shown)
                else:  # MediaWiki drops the blanks and newlines before a link to a category or another language
                    blanks = ""
                    while pieces and not pieces[-1].strip():
                        blanks += pieces.pop()
                    if pieces:
                        last = pieces[-1].rstrip()
                        blanks += pieces[-1][len(last) :]
                        ends_block = last.endswith("=") or last.rpartition("\n")[2].startswith(BLOCK_MARKER)
                        pieces[-1] = f"{last}\n" if ends_block and "\n" in blanks else last
        return "".join(pieces), too_deep

    def _replacement(self, text: str, start: int, end: int, opening: str) -> str | None:
        """Return what replaces a span, "" for a link that leaves no trace, or None if its inside shows something."""
        if opening == "{{":
            name = _TEMPLATE_NAME.match(text, start)
            visible = name and self.templates.is_visible(name[1])
            return None if visible else self._dropped(text, start, end).removeprefix(SEPARATOR)
        if opening == "{{{":
            return None
        if opening != "[[":
            return _END_BLOCK
        match = _LINK_PREFIX.match(text, start)
        if match is None:
            return GAP
        leading_colon, prefix, colon = match.groups()
        if leading_colon or not colon:
            return None
        prefix = fold_prefix(prefix)
        if prefix in self.category_prefixes:
            return ""
        if prefix in self.file_prefixes:
            return self._dropped(text, start, end)
        if prefix not in self.interlanguage_prefixes:
            return None
        target, bar, label = text[start + 2 : end - 2].partition("|")
        return "" if ("{{" in target or is_target(target)) and (label or not bar) else None

    def _dropped(self, text: str, start: int, end: int) -> str:
        """Return what stands for a dropped span: the end of a block if the span is at an end of its line."""
        return (
            f"{SEPARATOR}\n\n{SEPARATOR}"
            if text[end : end + 1] in "\n" or text[start - 1 : start] in "\n"
            else SEPARATOR + GAP
        )

    def _render(self, opening: str, inner: str, title: str) -> str:
        if opening == "[[":
            if (match := _EMPTY_NAMESPACE.match(inner)) and fold_prefix(match[1]) in self._hidden_prefixes():
                return f"[[{inner}]]"
            prefix = _PREFIX.match(inner) if "\n" in inner else None
            return render_link(inner, is_special=bool(prefix) and fold_prefix(prefix[1]) in self.special_prefixes)
        if opening == "{{{":  # {{{name|default}}}
            return inner.partition("|")[2].partition("|")[0]
        shown = self.templates.render(inner, title)
        if inner.lstrip().startswith("#") or "'" not in (shown[:1], shown[-1:]):
            return shown
        return f"{SEPARATOR}{shown}{SEPARATOR}"  # most templates put their text into a tag, apart from quotes around it

    def _hidden_prefixes(self) -> frozenset[str]:
        return self.file_prefixes | self.category_prefixes

    def _drop_outer_link(self, match: re.Match[str]) -> str:
        """Drop the opening brackets of a link with a link in its label: MediaWiki reads only the inner one."""
        prefix = _PREFIX.match(match[1])
        if prefix and fold_prefix(prefix[1]) in self._hidden_prefixes():
            return match[0]
        inside = match[1]
        if target := _BROKEN_TARGET.match(inside):
            inside = show_broken_target(target[1]) + inside[target.end(1) :]
        inside = inside.replace("|", "&#124;")  # no separator of the arguments around it
        return f"[{SEPARATOR}[{inside}{SEPARATOR}" if _STARTS_ADDRESS.match(inside) else SEPARATOR + inside

    def _open_file(self, match: re.Match[str]) -> str:
        """Drop the brackets in `[[File:a|]]|b]]`: MediaWiki reads them as a part of the caption."""
        if fold_prefix(match[1]) not in self.file_prefixes:
            return match[0]
        depth = 1
        for edge in _LINK_EDGE.finditer(match.string, match.end(), match.end() + _MAX_CAPTION):
            depth += 1 if edge[0] == "[[" else -1
            if not depth:
                return match[0].removesuffix("]]")
        return match[0]

    def _complete_label(self, match: re.Match[str]) -> str:
        """Write `[[a|]]b]]` as `[[a|b]]`, but in the caption of a file the first brackets end the link."""
        target, label = match.groups()
        depth = 0
        for edge in reversed([*_LINK_EDGE.finditer(match.string, max(match.start() - _MAX_CAPTION, 0), match.start())]):
            depth += 1 if edge[0] == "]]" else -1
            if depth < 0:
                prefix = _PREFIX.match(match.string, edge.end())
                if prefix and fold_prefix(prefix[1]) in self.file_prefixes:
                    return match[0]
                break
        return "]" if label is None else f"[[{target}|{label}]]" if label.strip() else ""

    def drop_unbalanced(self, text: str) -> str:
        """Drop brackets without a partner; an unclosed File link is dropped up to the end of its line."""
        if not any(bracket[0] in text and bracket in text for bracket in _DOUBLE_BRACKETS):
            return text
        pieces: list[str] = []
        position = 0
        for match in _UNBALANCED.finditer(text):
            if match.start() < position:
                continue
            pieces += text[position : match.start()], SEPARATOR
            position = match.end()
            if prefix := match[1]:
                if fold_prefix(prefix[:-1]) in self._hidden_prefixes():
                    newline = text.find("\n", position)
                    position = len(text) if newline < 0 else newline
                    pieces.append(f"\n{_END_BLOCK}")
                else:
                    pieces.append(prefix)
            elif match[0][0] == "[" and (target := _ENDLESS_TARGET.match(text, position)):
                pieces.append(show_broken_target(target[1]))
                position = target.end(1)
        pieces.append(text[position:])
        return "".join(pieces)


def _end_addresses_at_links(text: str) -> str:
    """Write SEPARATOR between the address of an external link and the link behind it."""
    pieces = text.split("[http")
    for i, piece in enumerate(pieces[1:], start=1):
        if match := _ADDRESS_BEFORE_LINK.match(piece):
            pieces[i] = f"{match[0]}{SEPARATOR}{piece[match.end() :]}"
    return "[http".join(pieces)


def _match_brackets(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, opening) of all pairs, sorted by start; brackets without a partner are left out."""
    spans: list[tuple[int, int, str]] = []
    stack: list[list[int]] = []  # [index into _OPENINGS, start, number of braces]
    num_open = [0, 0, 0, 0]
    rows_end = 0  # of the last table without a beginning: time stays linear

    def pop_unclosed(kind: int) -> list[int]:
        """Drop the inner brackets that were never closed."""
        while stack[-1][0] != kind:
            num_open[stack.pop()[0]] -= 1
        return stack[-1]

    tokens = _BRACKET.split(text)
    end = 0
    for before, bracket in zip(tokens[::2], tokens[1::2], strict=False):
        start = end + len(before)
        end = start + len(bracket)
        if bracket == "[[":
            stack.append([1, start, 2])
            num_open[1] += 1
        elif bracket == "]]":
            if stack and stack[-1][0] == 1:
                opened = stack.pop()[1]
                # [[a|[http://b c]]]: the first bracket closes the external link
                inside = max(opened + 2, spans[-1][1] if spans and spans[-1][2] == "[[" else 0)
                closes_inner = text[end : end + 1] == "]" and text.find("[", inside, start) >= 0
                spans.append((opened, end + closes_inner, "[["))
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
        elif bracket == "{|" and not _starts_line(text, start):
            continue
        else:
            kind = 3 if bracket[0] == "<" else 2
            if bracket == "{|" or (kind == 3 and bracket[1] != "/"):
                stack.append([kind, start, 0])
                num_open[kind] += 1
            elif num_open[kind] or (kind == 3 and num_open[2]):  # </table> closes {| too
                kind = kind if num_open[kind] else 2
                spans.append((pop_unclosed(kind)[1], end, _OPENINGS[kind]))
                num_open[stack.pop()[0]] -= 1
            elif kind == 2 and not stack:  # a template has begun this table
                spans.append((_rows_before(text, rows_end, start), end, "{|"))
                rows_end = end
    spans.sort()
    unclosed = [opened for kind, opened, _ in stack if kind == 2]
    return sorted([*spans, *_unclosed_tables(text, unclosed, spans)]) if unclosed else spans


def _rows_before(text: str, start: int, end: int) -> int:
    """Return where the lines from `start` to `end` begin that all begin with a bar or an exclamation mark."""
    while (before := text.rfind("\n", start, end)) >= 0 and text[before + 1 : end].lstrip(" \t")[:1] in ("|", "!"):
        end = before
    return end


def _unclosed_tables(text: str, starts: list[int], spans: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """Yield the spans of the tables that begin at `starts` and never end, with the sorted `spans` in them."""
    inner = iter(spans)
    opened, closed, _ = next(inner, (len(text), 0, ""))
    end = 0
    for start in starts:
        if start < end:
            continue
        end = _unclosed_table_end(text, start)
        while opened < end:
            if opened > start and closed > end:
                end = _unclosed_table_end(text, closed)
            opened, closed, _ = next(inner, (len(text), 0, ""))
        yield start, end, "{|"


def _unclosed_table_end(text: str, start: int) -> int:
    """Return the end of the rows of a table that is never closed: a heading, or a blank line before other text."""
    match = _TABLE_END.search(text, start)
    return match.start() if match else len(text)


def _starts_line(text: str, start: int) -> bool:
    """Return whether only indentation precedes `start` in its line (at most 30 characters: time stays linear)."""
    before = text[max(start - 30, 0) : start].rpartition("\n")
    return not before[2].strip(" \t:") and (bool(before[1]) or start <= 30)
