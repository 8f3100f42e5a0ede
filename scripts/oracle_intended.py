"""The differences to MediaWiki's text that are meant: each rewrites MediaWiki's lines to what a corpus should hold."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from oracle_text import HEADING

from charlm.text.wikitext.back_matter import ADDRESS_LINE, drop_reference_sections, is_back_matter
from charlm.text.wikitext.cleaner import HATNOTE, POINTER_LINE
from charlm.text.wikitext.links import fold_prefix
from charlm.text.wikitext.marks import GAP, SEPARATOR
from charlm.text.wikitext.placeholders import Placeholders
from charlm.text.wikitext.punctuation import close_gaps

_ESCAPED_TAG = re.compile(
    r"</?(?:nowiki|pre|syntaxhighlight|source|code|poem|math|chem|ce|references|ref|gallery|timeline|score|graph|mapframe|maplink"
    r"|hiero|templatedata|templatestyles|imagemap|inputbox|categorytree|includeonly|indicator|rp|style|script|section|noinclude"
    r"|onlyinclude|a|col|colgroup|tbody|thead|tfoot|phonos)\b[^<>]*>?",
    re.IGNORECASE,
)
_LINK_IN_BRACKETS = re.compile(r"\[\[\[([^\[\]]+)\]\]\]")
_LABEL_BEHIND_BRACKET = re.compile(r"\[\[\[[^\[\]|]*\|([^\[\]]*)\]\]")
_ADDRESS = r"(?:https?:(?://)?|ftp:(?://)?|//)[^\s<>\"\[\]/\0-\x08][^\s<>\"\[\]\0-\x08]*(?<!:)"
_BRACKETS = re.compile(
    rf"\[\[+(?=\[{_ADDRESS})|(?<!\[)(?:\[\[)+(?=\[[^\[\]]+\](?!\]))|\[\[+(?!{_ADDRESS}[^\[\]]*$)|\]\]+|\{{\{{+|\}}\}}+",
    re.IGNORECASE,
)
"""Brackets of links and templates, but not the last one before an address or around text in single brackets."""
_BLANK_BEFORE_COLON = re.compile(r"(?<=[^\s-]) +(?=: )")
_OPEN_ADDRESS = re.compile(rf"\[{_ADDRESS}", re.IGNORECASE)
_CJK = "[\u2e80-\uabff\uf900-\ufaff\uff00-\uff60]"
_CJK_BLANK = re.compile(f"(?<={_CJK})({GAP}*) ({GAP}*)(?={_CJK})")
_TABLE_START = re.compile(r"^[ \t:]*\{\|", re.MULTILINE)
_HTML_TABLE = re.compile(r"<table\b(?:.*</table|.*)", re.IGNORECASE | re.DOTALL)
_TABLE_TAG = re.compile(r"</?table\b", re.IGNORECASE)
_TABLE_CLOSING_TAG = re.compile(r"</table", re.IGNORECASE)
_ROW = re.compile(r"^[|!]|\|\||!!")
_TABLE_END = re.compile(r"^[ \t]*\|\}", re.MULTILINE)
_CELL = re.compile(r"</?t[dhr]\b", re.IGNORECASE)
_BLOCK_TAG = re.compile(r"<(?:poem|pre|syntaxhighlight|source|p)\b", re.IGNORECASE)
_FILE = re.compile(r"\[\[[^\[\]|:]{2,30}:")
_EMPTY_TERM = re.compile(rf"^- *{GAP}[ {GAP}]*: ?")
_EMPTY_DEFINITION = re.compile(rf"^- (.*): *{GAP}[ {GAP}]*$")
_WORDLESS_TERM = re.compile(r"^- [\W_]*?: (.*\w)")
_MARKUP_IN_POINTER = re.compile(r"''+|\[\[[ _]*:?(?:[^\[\]|]*\|)?|\]\]")
_DIVIDER = re.compile(r"<br[^<>]*>|__TOC__", re.IGNORECASE)
_WORDLESS_DEFINITION = re.compile(r"^- (.*\w[^:]*):[\W_]*$")
_HEADING = re.compile(rf"{HEADING}(=+) (.*) =+")
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Case:
    """One block: its wikitext, the lines that MediaWiki shows, and the lines of charlm's text."""

    wikitext: str
    shown: list[str]
    cleaned: list[str]
    hidden_prefixes: frozenset[str]
    """Case-folded prefixes of links to files and categories in this wiki."""

    def __str__(self) -> str:
        shown, cleaned = "\n".join(self.shown), "\n".join(self.cleaned)
        return f"--- wikitext\n{self.wikitext}\n--- MediaWiki\n{shown}\n--- charlm\n{cleaned}\n"

    def agrees(self) -> bool:
        """Return whether both sides have the same lines; gaps show nothing."""
        lines = (line.replace(GAP, "").removeprefix(HEADING) for line in self.shown)
        return [" ".join(line.split()) for line in lines if line.strip(" -")] == self.cleaned


@dataclass(frozen=True, slots=True)
class Intended:
    """A kind of difference that is meant."""

    name: str
    reason: str
    example: str
    """Wikitext with this difference and no other; `scripts/oracle examples` checks that."""
    cap: float
    """Largest share of real blocks that may have it."""
    rewrite: Callable[[Case], Case]
    """Returns the case with both sides brought to the same form; unchanged if the kind does not apply."""


def _shown(change: Callable[[Case], list[str]]) -> Callable[[Case], Case]:
    return lambda case: replace(case, shown=change(case))


def _drop_wordless_lines(case: Case) -> Case:
    shown, cleaned = (
        [_WORDLESS_TERM.sub(r"\1", line) for line in lines if _WORD.search(line)]
        for lines in (case.shown, case.cleaned)
    )
    terms = [_WORDLESS_DEFINITION.sub(r"\1", line) for line in shown]
    shown = [term if term in cleaned else line for line, term in zip(shown, terms, strict=True)]
    return replace(case, shown=shown, cleaned=cleaned)


def _drop_empty_headings(case: Case) -> list[str]:
    kept: list[str] = []
    next_level = 0
    for line in reversed(case.shown):
        heading = re.match(rf"{HEADING}(=+) ", line)
        if heading and next_level <= len(heading[1]):
            continue
        next_level = len(heading[1]) if heading else 7
        kept.append(line)
    return kept[::-1]


def _close(line: str) -> str:
    return "- " + close_gaps(line[2:]).strip() if line.startswith("- ") else close_gaps(line).strip()


def _close_gaps(case: Case) -> list[str]:
    closed: list[str] = []
    for line in case.shown:
        definition = _EMPTY_DEFINITION.sub(r"\1", _EMPTY_TERM.sub("", line))
        closed.append(_close(line) if _close(line) in case.cleaned else _close(definition))
    return closed


def _drop_back_matter(case: Case) -> list[str]:
    end, level = len(case.shown), 7
    for at in range(end - 1, -1, -1):
        heading = _HEADING.fullmatch(case.shown[at])
        if heading and len(heading[1]) < level:
            level = len(heading[1])
            if is_back_matter(heading[2]):
                end, level = at, 7
    if (
        end == len(case.shown)
        and drop_reference_sections("\n" + Placeholders().extract_literals(case.wikitext)).sections
    ):
        plain = [line.replace(GAP, "").removeprefix(HEADING) for line in case.shown]
        end = len(case.cleaned) if plain[: len(case.cleaned)] == case.cleaned else end
    return case.shown[:end]


def _drop_addresses(case: Case) -> Case:
    """Drop the addresses of external links without an end, and those that are alone in their line of wikitext."""
    lines = (match[0].lstrip(" \t*#:;'\n") for match in ADDRESS_LINE.finditer(f"\n{_without_comments(case)}"))
    alone = [re.sub("''+", "", line).rstrip(" \t'") for line in lines]
    shown = [line.replace("%7C", "|") for line in case.shown]
    for address in alone:
        at = next((i for i, line in enumerate(shown) if address in line), None)
        if at is not None:
            shown[at] = shown[at].replace(address, "", 1)
            if not _WORD.search(shown[at]):
                del shown[at]
    return _both(lambda line: _OPEN_ADDRESS.sub("", line))(replace(case, shown=shown))


def _without_comments(case: Case) -> str:
    """Return the wikitext as most passes of the cleaner see it, with placeholders for literals."""
    return Placeholders().extract_literals(case.wikitext).replace(SEPARATOR, "")


def _drop_brackets(case: Case) -> Case:
    """Drop brackets without a partner, and the target of a link behind a bracket too many: `[[[a|b]]`."""
    changed = _both(_without_brackets)(case)
    if changed.agrees() or "[[[" not in case.wikitext:
        return changed
    cleaned = {_letters(line) for line in changed.cleaned}
    labels = [
        line
        if _letters(_without_brackets(line)) in cleaned
        else _LABEL_BEHIND_BRACKET.sub(r"\1", _LINK_IN_BRACKETS.sub(r"[\1]", line))
        for line in case.shown
    ]
    return _both(_without_brackets)(replace(case, shown=labels))


def _without_brackets(line: str) -> str:
    previous = ""
    while line != previous:  # `}[[}` leaves brackets
        previous, line = line, _BRACKETS.sub("", line)
    return _BLANK_BEFORE_COLON.sub("", line) if line.startswith("- ") else line


def _letters(line: str) -> str:
    """Return the line without gaps and blanks."""
    return "".join(line.replace(GAP, "").removeprefix(HEADING).split())


def _drop_tags(case: Case) -> Case:
    return _both(lambda line: _ESCAPED_TAG.sub("", line))(case)


def _drop_cells(case: Case) -> Case:
    return _both(lambda line: line.replace(" ", ""))(_join(case)) if _CELL.search(case.wikitext) else case


def _drop_notes(case: Case) -> list[str]:
    count = len(HATNOTE.findall(f"\n{case.wikitext}"))
    kept: list[str] = []
    for line in case.shown:
        if count and line.replace(GAP, "").strip() not in case.cleaned and not line.startswith(HEADING):
            count -= 1
        else:
            kept.append(line)
    return kept


def _join_files(case: Case) -> Case:
    return _join(case) if _FILE.search(case.wikitext) or _BLOCK_TAG.search(case.wikitext) else case


def _join(case: Case) -> Case:
    """Accept the same letters and digits in other lines; charlm's text may have fewer other signs, but no more."""
    shown, cleaned = (
        "".join("".join(line.removeprefix("- ").split()) for line in lines) for lines in (case.shown, case.cleaned)
    )
    signs = iter(shown)
    for sign in cleaned:
        for candidate in signs:
            if candidate == sign:
                break
            if _WORD.match(candidate):
                return case
        else:
            return case
    return case if any(map(_WORD.match, signs)) else replace(case, shown=case.cleaned)


def _restore_table(case: Case) -> Case:
    """Accept that one side shows more: MediaWiki puts what follows into the table, or before it."""
    wikitext = _without_comments(case)
    starts, ends = len(_TABLE_START.findall(wikitext)), len(_TABLE_END.findall(wikitext))
    if not starts and not ends:
        return _drop_rows(case, wikitext)
    if ends > starts:  # the rows are part of a paragraph for MediaWiki
        characters = iter("".join(case.shown))
        dropped = all(sign in characters for sign in "".join(case.cleaned) if sign != " ")
        return replace(case, shown=case.cleaned) if dropped else case
    shown = _plain(case)
    longer, shorter = (shown, case.cleaned) if len(shown) > len(case.cleaned) else (case.cleaned, shown)
    if longer is case.cleaned and starts <= ends:
        return case
    if any(_ROW.search(line) for line in case.cleaned if line not in shown):
        return case
    rest = iter(longer)
    return replace(case, shown=case.cleaned) if all(line in rest for line in shorter) else case


def _drop_rows(case: Case, wikitext: str) -> Case:
    """Drop what only one side shows of a <table>: text in no cell, or cells of a table without an end."""
    table = _HTML_TABLE.search(wikitext)
    if not table:
        return case
    inside = _letters_of(table[0])
    shown = _plain(case)
    kept = [line for line in shown if line in case.cleaned or not _is_subsequence(_letters_of(line), inside)]
    cleaned = case.cleaned
    if len(_TABLE_TAG.findall(table[0])) > 2 * len(_TABLE_CLOSING_TAG.findall(table[0])):
        cleaned = [line for line in cleaned if line in shown or not _is_subsequence(_letters_of(line), inside)]
    return replace(case, shown=kept, cleaned=cleaned)


def _plain(case: Case) -> list[str]:
    return [line.replace(GAP, "").removeprefix(HEADING).strip() for line in case.shown]


def _letters_of(text: str) -> str:
    return "".join(_WORD.findall(text))


def _is_subsequence(part: str, text: str) -> bool:
    rest = iter(text)
    return all(sign in rest for sign in part)


def _join_dashes(case: Case) -> Case:
    return _join(case) if re.search(r"^- ", case.wikitext, re.MULTILINE) else case


def _both(change: Callable[[str], str]) -> Callable[[Case], Case]:
    def rewrite(case: Case) -> Case:
        shown, cleaned = ([" ".join(change(line).split()) for line in lines] for lines in (case.shown, case.cleaned))
        return replace(case, shown=shown, cleaned=cleaned)

    return rewrite


@cache
def _names(prefixes: frozenset[str]) -> str:
    """Return the pattern of the names of the namespaces whose links show nothing."""
    return "|".join(sorted(map(re.escape, prefixes), key=len, reverse=True)).replace("\\ ", "[ _]")


def _drop_hidden_links(case: Case) -> Case:
    names = _names(case.hidden_prefixes)
    hidden_link = re.compile(rf"\[\[[ _]*(?:{names})[ _]*:.*?(?:\]\]|$)", re.IGNORECASE)
    if any(hidden_link.search(line) for line in case.shown):
        rewritten = _both(lambda line: hidden_link.sub("", line))(case)
        if rewritten.agrees():
            return rewritten
        characters = iter("".join(case.shown))
        if all(sign in characters for sign in "".join(case.cleaned) if sign != " "):  # up to the end of the source line
            return replace(case, shown=case.cleaned)
    else:
        rewritten = case
    if not _has_same_letters(rewritten):
        lines = re.sub(rf"\[\[\s*(?:{names})[ _]*:.*?\]\]", "", "\n".join(case.shown), flags=re.IGNORECASE | re.DOTALL)
        over_lines = replace(case, shown=[line.strip() for line in lines.split("\n") if line.strip()])
        if over_lines.shown != case.shown and _has_same_letters(over_lines):
            return replace(case, shown=case.cleaned)
    return rewritten


def _has_same_letters(case: Case) -> bool:
    """Return whether only brackets, blanks and headings without text differ."""
    shown, cleaned = (
        "".join(_letters(_without_brackets(line)) for line in lines)
        for lines in (_drop_empty_headings(case), case.cleaned)
    )
    return shown.replace("-", "") == cleaned.replace("-", "")


def _drop_pointers(case: Case) -> list[str]:
    pointer = re.compile(rf"^.{{0,40}}(?:{_names(case.hidden_prefixes)}):", re.IGNORECASE)
    sources = [
        match[0]
        for match in POINTER_LINE.finditer(f"\n{case.wikitext}")
        if fold_prefix(match[1]) in case.hidden_prefixes
    ]
    labels = [source.rpartition("]]")[0].rpartition("|")[2].strip() for source in sources if "|" in source]
    shown = [" ".join(line.replace(GAP, "").split()) for line in case.shown]
    parts = [part for source in sources for part in _pointer_parts(source)]
    kept: list[str] = []
    for line, plain in zip(case.shown, shown, strict=True):
        is_pointer = pointer.search(line) or any(label in line[-len(label) - 5 :] for label in labels)
        within = [rest for part in parts if part in plain for rest in [" ".join(plain.replace(part, "", 1).split())]]
        if plain in case.cleaned:
            kept.append(line)
        elif rest := next((rest for rest in within if not rest or rest in case.cleaned), None):
            kept.append(rest)
        elif is_pointer:  # the pointer and what follows it in the same paragraph
            kept += [
                rest for rest in case.cleaned if rest not in shown and (line.endswith(rest) or line.startswith(rest))
            ][:2]
        elif "" not in within:
            kept.append(line)
    return kept


def _pointer_parts(source: str) -> list[str]:
    """Return what MediaWiki shows of a line that leads to a category: several parts if it has a <br> or __TOC__."""
    plain = _MARKUP_IN_POINTER.sub("", source.replace("&nbsp;", " ")).strip(" \t\n*#:;")
    return [part for part in (" ".join(part.split()) for part in _DIVIDER.split(plain)) if _WORD.search(part)]


INTENDED = (
    Intended("broken links to files and categories", "an author's mistake is no text to learn",
             "a [[File:x.png|b", 0.01, _drop_hidden_links),
    Intended("tags without a partner", "an author's mistake is no text to learn",
             "a<ref>b", 0.02, _drop_tags),
    Intended("brackets without a partner", "an author's mistake is no text to learn",
             "a [[b", 0.02, _drop_brackets),
    Intended("addresses", "they are no text to learn, and bars in them stay as written",
             "a [http://example.org b", 0.01, _drop_addresses),
    Intended("punctuation around dropped content", "nobody writes `( , x)`",
             "a (<math>x</math>, b)", 0.04, _shown(_close_gaps)),
    Intended("lines of Chinese and Japanese", "they join without a blank",
             "港\n船", 0.05, _both(lambda line: _CJK_BLANK.sub(r"\1\2", line))),
    Intended("lines that point to a category", "they lead a reader on and tell nothing",
             "a\n\nsee [[:Category:B]]", 0.06, _shown(_drop_pointers)),
    Intended("sections of references and links", "they are no prose",
             "a\n\n== See also ==\nb", 0.02, _shown(_drop_back_matter)),
    Intended("lines without a letter or digit", "they carry no text",
             "a\n\n?", 0.05, _drop_wordless_lines),
    Intended("notes above an article or a section", "they lead a reader on and tell nothing",
             ":''see [[a]]''\nb", 0.02, _shown(_drop_notes)),
    Intended("headings without text", "a heading belongs to its section",
             "a\n\n== b ==", 0.06, _shown(_drop_empty_headings)),
    Intended("tables without their beginning or their end", "their rows are no prose, and what follows them is",
             "{|\n| a\n\nb", 0.01, _restore_table),
    Intended("lines that begin with a dash and a blank", "their authors mean items of a list",
             "- a\n- b", 0.01, _join_dashes),
    Intended("cells outside a table", "blanks keep their words apart",
             "a<td>b", 0.01, _drop_cells),
    Intended("ends of paragraphs around files and tags", "a picture does not end a sentence",
             "[[File:x.png]] a\nb [[File:y.png]]\nc", 0.02, _join_files),
)  # fmt: skip
